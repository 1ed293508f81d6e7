"""The gallery: one HTML page of all figures with what each claims and shows."""

import html
import pathlib

from paper_figures.figures import Caption, write

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>kerneldep: figures</title>
<style>
  :root {{ color-scheme: light; }}
  body {{ font: 16px/1.55 system-ui, sans-serif; color: #1b1b1b; background: #fff; margin: 0 auto; max-width: 62rem;
         padding: 1.5rem 1rem 4rem; }}
  h1 {{ font-size: 1.6rem; margin-bottom: .2rem; }}
  h2 {{ font-size: 1.2rem; margin: 0 0 .8rem; }}
  figure {{ margin: 2.5rem 0; padding-top: 1.5rem; border-top: 1px solid #ddd; }}
  img {{ width: 100%; height: auto; }}
  dl {{ margin: 1rem 0 0; display: grid; grid-template-columns: 5.5rem 1fr; gap: .4rem 1rem; }}
  dt {{ font-weight: 600; color: #0072b2; }}
  dd {{ margin: 0; overflow-wrap: anywhere; }}
  .table {{ overflow-x: auto; }}
  table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
  th, td {{ padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap; }}
  th:first-child, td:first-child {{ text-align: left; }}
  a {{ color: #0072b2; }}
  @media (max-width: 36rem) {{ dl {{ grid-template-columns: 1fr; }} dt {{ margin-top: .4rem; }} }}
</style>
<h1>kerneldep: figures</h1>
<p>{intro}</p>
{figures}
</html>
"""

FIGURE = """<figure id="{name}">
<h2>{number}. {title}</h2>
<a href="{name}.pdf"><img src="{name}.png" alt="{title}" loading="lazy"></a>
<figcaption><dl>
<dt>Claim</dt><dd>{claim}</dd>
<dt>Found</dt><dd>{found}</dd>
<dt>Verdict</dt><dd>{verdict}</dd>
<dt>Data</dt><dd><a href="{name}.csv">{name}.csv</a>, <a href="{name}.pdf">PDF</a></dd>
</dl></figcaption>
</figure>"""


def write_gallery(captions: dict[str, Caption], folder: pathlib.Path, *, intro: str) -> pathlib.Path:
    """Write `index.html` into a folder that holds the figures' files, and return its path."""
    figures = "\n".join(
        FIGURE.format(
            name=name,
            number=number,
            **{key: html.escape(text) for key, text in vars(caption).items()},
        )
        for number, (name, caption) in enumerate(captions.items(), 1)
    )
    page = folder / "index.html"
    write(page, PAGE.format(intro=intro, figures=figures).encode())
    return page
