"""Executed notebooks as HTML pages: one file each, pictures and formulas inside, readable on a phone and off-line."""

import re

import nbformat
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

STYLE = """<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  body.jp-Notebook { max-width: 60rem; margin: 0 auto; padding: 1rem; }
  .jp-InputPrompt, .jp-OutputPrompt { display: none; }
  .jp-RenderedImage img, .jp-RenderedMarkdown img { max-width: 100%; height: auto; }
  .jp-RenderedHTML, .jp-RenderedText, .jp-RenderedMarkdown, .highlight { overflow-x: auto; max-width: 100%; }
  .jp-Cell, .jp-OutputArea-child, .jp-OutputArea-output, .jp-Cell-inputWrapper, .jp-InputArea-editor { min-width: 0; }
  math { font-size: 1.1em; }
  math[display="block"] { margin: 0.8em 0; }
</style>
</head>"""
MATHJAX = re.compile(r"<!-- Load mathjax -->.*?<!-- End of mathjax configuration -->", re.DOTALL)


class MathMLRenderer(IPythonRenderer):
    """Markdown to HTML with formulas as MathML, which browsers set themselves."""

    def block_math(self, body: str) -> str:
        """A displayed formula."""
        return convert(body, display="block")

    def inline_math(self, body: str) -> str:
        """A formula in a line."""
        return convert(body)


def page(notebook: nbformat.NotebookNode, title: str) -> str:
    """The notebook as one HTML document that needs no network."""
    exporter = HTMLExporter(template_name="lab", require_js_url="", exclude_anchor_links=True)
    exporter.register_filter("markdown2html", _markdown)
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    # No widget needs require.js, and without an address its element asks for the page itself.
    body = MATHJAX.sub("", body.replace('<script src=""></script>', ""))
    return body.replace("</head>", STYLE, 1)


def _markdown(source: str) -> str:
    renderer = MathMLRenderer(escape=False, exclude_anchor_links=True)
    return MarkdownWithMath(renderer=renderer).render(source)
