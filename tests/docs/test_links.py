"""Every link leads somewhere: to a file of this repository, and to a heading in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ALL, DOCS, README, ROOT, Page, page

FACTS = [
    "HostUp's API",
    "Celery on Redis",
    "HTTP",
    "hvac",
    "Vault",
    "Ceph's object gateway",
    "Apps",
    "Servers in wheels",
]
"""The sections that comments in the code cite."""

_CITED = re.compile(r'docs/facts\.md,? "([^"]+)"')
_MARGIN = re.compile(r"\n\s*#? *")


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.name)
def test_every_relative_link_leads_somewhere(each: Page) -> None:
    wrong = [link for link in each.links if not link.startswith("https://") and not _leads(each, link)]
    assert wrong == []


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in README.links}
    assert {each.name for each in DOCS} <= linked


def test_a_wrong_link_would_be_noticed() -> None:
    assert _leads(README, "docs/facts.md#cephs-object-gateway")
    assert not _leads(README, "docs/facts.md#ceph")
    assert not _leads(README, "docs/no-such-page.md")
    assert not _leads(README, "#no-such-heading")


def test_the_facts_have_the_sections_that_comments_cite() -> None:
    assert page("facts.md").headings[1:] == FACTS
    cited = [cited for file in _sources() for cited in _citations(file.read_text("utf-8"))]
    assert set(cited) <= set(FACTS)


def test_a_citation_is_found_also_where_a_line_breaks() -> None:
    assert _citations('# as measured (docs/facts.md, "Celery on\n    # Redis")') == ["Celery on Redis"]


def _leads(origin: Page, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (origin.path.parent / name).resolve() if name else origin.path
    if not target.exists():
        return False
    return not anchor or anchor in Page(str(target.relative_to(ROOT))).anchors


def _citations(text: str) -> list[str]:
    return _CITED.findall(_MARGIN.sub(" ", text))


def _sources() -> list[Path]:
    found = [*ROOT.glob("worker/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("config/**/*"), ROOT / "Makefile"]
    return [path for path in found if path.is_file() and path != Path(__file__)]
