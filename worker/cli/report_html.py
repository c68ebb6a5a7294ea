"""Pieces of HTML: what is not yet one is escaped, and mypy tells the two apart. And the page's style."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NewType

from worker.printable import printable

Html = NewType("Html", str)
"""HTML that is ready; made by the functions here only."""


def text(value: object) -> Html:
    """Anything from outside: escaped, and nothing in it turns the direction of writing."""
    return Html("" if value is None else escape(printable(str(value))))


def tag(name: str, *inside: Html, **attributes: object) -> Html:
    """An element; ``class_`` stands for ``class``, and ``_`` within a name for ``-``."""
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{named}>{''.join(inside)}</{name}>")


def joined(parts: Iterable[Html]) -> Html:
    """Pieces below each other."""
    return Html("\n".join(parts))


def table(columns: Sequence[str], rows: Iterable[Sequence[Html]]) -> Html:
    """A table that scrolls sideways where it is too wide."""
    head = tag("thead", tag("tr", *(tag("th", text(column), scope="col") for column in columns)))
    body = tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows))
    return tag("div", tag("table", head, body), class_="wide", tabindex=0)


def document(title: str, body: Html) -> Html:
    """One page that needs nothing from elsewhere, and may load nothing."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    )
    return Html(
        f'<!doctype html>\n<html lang="en">\n<head>{head}<title>{text(title)}</title>\n<style>{STYLE}</style></head>\n'
        f"<body>\n{body}\n</body>\n</html>"
    )


STYLE = """
:root { --paper: #fff; --ink: #1b1f24; --faint: #5b6470; --line: #d5dae0; --soft: #f4f6f8;
  --current: #1f7a4d; --grace: #d29a1d; --dying: #c2452d; --waiting: #8aa4c8; --good: #1f7a4d; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e6e9ec; --faint: #9aa4af; --line: #343b43;
  --soft: #1d2227; --current: #46b27c; --grace: #e0b04a; --dying: #e8735c; --waiting: #6f8db8; --good: #62c894;
  --bad: #ff8a7a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 88rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p { margin: .25rem 0 .5rem; max-width: 75ch; }
.faint { color: var(--faint); }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .5rem; margin: 1rem 0; }
.numbers div { background: var(--soft); border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .75rem; }
.numbers b { display: block; font-size: 1.3rem; line-height: 1.3; }
.numbers span { color: var(--faint); font-size: .85rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line);
  min-width: 5.5rem; }
th { color: var(--faint); font-weight: 600; }
td:last-child { min-width: 14rem; }
code { font: .85em ui-monospace, monospace; }
section { content-visibility: auto; contain-intrinsic-size: auto 30rem; }
svg { display: block; width: 100%; background: var(--soft); border: 1px solid var(--line); border-radius: .3rem; }
.waiting { fill: var(--waiting); background: var(--waiting); }
.current { fill: var(--current); background: var(--current); }
.grace { fill: var(--grace); background: var(--grace); } .dying { fill: var(--dying); background: var(--dying); }
.axis { display: flex; justify-content: space-between; color: var(--faint); font-size: .75rem; gap: 1rem; }
.legend { font-size: .8rem; color: var(--faint); margin: .25rem 0; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: .15em; margin: 0 .3em 0 .9em; }
.legend i:first-child { margin-left: 0; }
@page { size: A4 landscape; margin: 12mm; }
@media print {
  :root { --paper: #fff; --ink: #000; --faint: #444; --line: #bbb; --soft: #fff; --current: #1f7a4d; --grace: #d29a1d;
    --dying: #c2452d; --waiting: #8aa4c8; --good: #14593a; --bad: #8c1d18; }
  body { max-width: none; padding: 0; font-size: 9pt; }
  section { content-visibility: visible; }
  .wide { overflow: visible; } table { font-size: 7pt; } th, td, td:last-child { min-width: 0; padding-right: .3rem; }
  thead { display: table-header-group; } tr, svg, .numbers div { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  svg, .legend i { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
""".strip()
