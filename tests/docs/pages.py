"""The pages of the documentation, read as GitHub reads them: headings, links, tables, code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
TESTED = "<!-- tested -->"
"""Stands above a code block that can be run on this machine."""


@dataclass(frozen=True, slots=True)
class Code:
    """A block of code; ``line`` is that of its first line in the page."""

    page: str
    line: int
    language: str
    text: str
    tested: bool


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file, by its path from the root of the repository."""

    name: str

    @property
    def path(self) -> Path:
        return ROOT / self.name

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @property
    def headings(self) -> list[str]:
        tokens = _tokens(self)
        return [_plain(tokens[n + 1]) for n, token in enumerate(tokens) if token.type == "heading_open"]

    @property
    def anchors(self) -> set[str]:
        """What can stand behind a # in a link to this page."""
        found: list[str] = []
        for heading in self.headings:
            slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
        return set(found)

    @property
    def links(self) -> list[str]:
        return [
            str(child.attrs["href"])
            for token in _tokens(self)
            for child in token.children or ()
            if child.type == "link_open"
        ]

    @property
    def spans(self) -> list[str]:
        """Everything that is set as code within a line."""
        inline = (child for token in _tokens(self) for child in token.children or ())
        return [child.content for child in inline if child.type == "code_inline"]

    @property
    def code(self) -> list[Code]:
        tokens = _tokens(self)
        before = [None, *tokens]
        return [
            Code(self.name, _line(token) + 1, token.info, token.content, tested=_is_mark(before[n]))
            for n, token in enumerate(tokens)
            if token.type == "fence"
        ]

    def tables(self) -> Iterator[list[list[str]]]:
        """Every table, its head first, as rows of cells in their Markdown form."""
        rows: list[list[str]] = []
        inside = False
        for token in _tokens(self):
            if token.type == "table_open":
                rows, inside = [], True
            elif token.type == "tr_open":
                rows.append([])
            elif token.type == "inline" and inside:
                rows[-1].append(token.content)
            elif token.type == "table_close":
                inside = False
                yield rows

    def section(self, heading: str) -> str:
        """The text below a heading, down to the next one of any level."""
        marks = "|".join(map(re.escape, (f"# {heading}", f"## {heading}", f"### {heading}")))
        found = re.search(rf"^(?:{marks})\n(.*?)(?=^#|\Z)", self.text, re.MULTILINE | re.DOTALL)
        assert found, f"{self.name} has no section {heading!r}"
        return found[1]

    def table(self, *head: str) -> list[list[str]]:
        """The rows of all tables whose head begins so."""
        found = [rows for rows in self.tables() if rows[0][: len(head)] == list(head)]
        assert found, f"{self.name} has no table {head}"
        return [row for rows in found for row in rows[1:]]


README = Page("README.md")
ARCHITECTURE = Page("ARCHITECTURE.md")
DOCS = tuple(Page(f"docs/{path.name}") for path in sorted((ROOT / "docs").glob("*.md")))
OTHERS = (Page("CHANGELOG.md"), Page("SECURITY.md"), Page("config/compose/deployment/README.md"))
ALL = (README, ARCHITECTURE, *OTHERS, *DOCS)


def page(name: str) -> Page:
    """One of docs/."""
    return next(each for each in DOCS if each.name == f"docs/{name}")


def codes(cell: str) -> list[str]:
    """What a cell of a table sets as code."""
    return re.findall(r"`([^`]+)`", cell)


@cache
def _tokens(page: Page) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.text)


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())


def _line(token: Token) -> int:
    assert token.map
    return token.map[0] + 1


def _is_mark(token: Token | None) -> bool:
    return token is not None and token.type == "html_block" and token.content.strip() == TESTED
