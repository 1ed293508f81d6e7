"""Executed notebooks as HTML pages: one file each, pictures inside, readable on a phone."""

import nbformat
from nbconvert import HTMLExporter

STYLE = """<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  body.jp-Notebook { max-width: 60rem; margin: 0 auto; padding: 1rem; }
  .jp-InputPrompt, .jp-OutputPrompt { display: none; }
  .jp-RenderedImage img, .jp-RenderedMarkdown img { max-width: 100%; height: auto; }
  .jp-RenderedHTML, .jp-RenderedText, .jp-RenderedMarkdown, .highlight { overflow-x: auto; max-width: 100%; }
  .jp-Cell, .jp-OutputArea-child, .jp-OutputArea-output, .jp-Cell-inputWrapper, .jp-InputArea-editor { min-width: 0; }
</style>
</head>"""


def page(notebook: nbformat.NotebookNode, title: str) -> str:
    """The notebook as one HTML document. Formulas are set by MathJax, which the page asks the network for."""
    exporter = HTMLExporter(template_name="lab", require_js_url="", exclude_anchor_links=True)
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    # No widget needs require.js, and without an address its element asks for the page itself.
    return body.replace('<script src=""></script>', "").replace("</head>", STYLE, 1)
