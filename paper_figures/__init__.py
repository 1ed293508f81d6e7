"""Figures of the theory, one module each.

A figure module has `compute(fast) -> table`, `draw(table) -> Figure` and `caption(table) -> Caption`; drawing and
caption read nothing but the table, which is kept as CSV. `python -m paper_figures` makes them all and a gallery page;
`figures` lists them, `gallery` writes the page.
"""
