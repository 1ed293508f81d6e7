"""The gallery and the notebooks as pages in a browser, at desktop and phone width."""

import contextlib
import functools
import html
import http.server
import json
import pathlib
import re
import shutil
import subprocess
import threading

import nbformat
import pytest

from notebooks.pages import page
from paper_figures.figures import ROOT

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = {"desktop": 1280, "phone": 390}

# Each page in a frame of a given width, which is what its media queries see.
HARNESS = """<!doctype html><meta charset="utf-8"><body><script>
const found = [], pages = %s, widths = %s;
function look(name, width) {
  return new Promise(done => {
    const frame = document.createElement("iframe");
    frame.style.width = width + "px"; frame.style.height = "900px"; frame.style.border = "0";
    frame.onload = async () => {
      const inner = frame.contentDocument, errors = frame.contentWindow.found || [];
      const images = [...inner.images];
      await Promise.all(images.map(image => new Promise(loaded => {
        image.loading = "eager";
        if (image.complete) loaded(); else image.onload = image.onerror = loaded;
      })));
      images.forEach(image => image.naturalWidth > 0 || errors.push("missing " + image.alt));
      found.push({page: name, width: width, errors: errors, images: images.length,
                  wide: inner.documentElement.scrollWidth - inner.documentElement.clientWidth});
      frame.remove(); done();
    };
    frame.src = name;
    document.body.appendChild(frame);
  });
}
(async () => {
  for (const name of pages) for (const width of widths) await look(name, width);
  document.body.innerHTML = "<pre>" + JSON.stringify(found) + "</pre>";
})();
</script>"""

WATCH = "<script>found = []; addEventListener('error', event => found.push(String(event.message)));</script>"


BAD = """<!doctype html><html><head><meta charset="utf-8"><script>none.such</script></head>
<body><img src="none.png" alt="none"><div style="width: 5000px">wide</div></body></html>"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *arguments):
        pass


@contextlib.contextmanager
def served(folder: pathlib.Path):
    """A folder at an address of this machine."""
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def in_browser(folder: pathlib.Path, pages: list[str]) -> list[dict]:
    """What each page does at each width."""
    for name in pages:
        # Scripts from elsewhere are not what is looked at, and a test has no network.
        text = re.sub(r'<script[^>]*src="https?://[^"]*"[^>]*>', "<script>", (folder / name).read_text())
        (folder / name).write_text(text.replace('<meta charset="utf-8"', WATCH + '<meta charset="utf-8"', 1))
    (folder / "harness.html").write_text(HARNESS % (json.dumps(pages), json.dumps(list(WIDTHS.values()))))
    options = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    with served(folder) as address:
        command = [BROWSER, *options.split(), f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=60000"]
        done = subprocess.run(
            [*command, "--dump-dom", f"{address}/harness.html"], capture_output=True, text=True, timeout=120
        )
    (found,) = re.findall(r"<body><pre>(.*)</pre></body>", done.stdout)
    return json.loads(html.unescape(found))


def test_formulas_need_no_network():
    text = r"The sum $\frac{1}{n}\sum_i \|z_i\|^2$ and $$\mathrm{HSIC} = \operatorname{tr}(KH)^2 / n^2.$$"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    made = page(notebook, "formulas")
    assert made.count("<math ") == 2
    assert 'display="block"' in made
    assert "<mfrac>" in made
    assert "MathJax" not in made
    assert "$" not in re.search(r"<p>The sum.*</p>", made, re.DOTALL).group()


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium, e.g. Debian's package chromium")
def test_pages_in_a_browser(tmp_path):
    """No script error, no missing picture, no horizontal scrolling."""
    shutil.copytree(ROOT / "paper_figures" / "gallery", tmp_path, dirs_exist_ok=True)
    pages = ["index.html"]
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        pages.append(f"{path.stem}.html")
        (tmp_path / pages[-1]).write_text(page(nbformat.read(path, as_version=4), path.stem))
    (tmp_path / "bad.html").write_text(BAD)
    found = in_browser(tmp_path, [*pages, "bad.html"])
    assert len(found) == (len(pages) + 1) * len(WIDTHS)
    for one in found[-2:]:
        assert "ReferenceError" in one["errors"][0]
        assert one["errors"][1] == "missing none"
        assert one["wide"] > 3000
    for one in found[:-2]:
        assert one["images"] > 0, one
        assert one["errors"] == [], one
        assert one["wide"] <= 0, one
