"""What the table of Vault's answers says is what the code makes of them."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import page
from worker import errors
from worker.adapters.vault.adapter import CallFailed
from worker.adapters.vault.errors import Ask, as_error
from worker.adapters.vault.login import denied
from worker.errors import TryAgainLater, VaultError, VaultUnavailable

ROWS = [
    (answer.strip("`"), error.strip("`"), kind)
    for answer, error, kind, _ in page("operate.md").table("Vault answers", "error")
]
ANSWER = re.compile(r"(\d{3})(?: (.+))?")
KINDS = ("try again", "read again", "log in again, once", "a person", "a person, tried again after 10 s")


def failed(answer: str) -> CallFailed:
    """The failure of a call that was answered so."""
    found = ANSWER.fullmatch(answer)
    if found is None:
        return CallFailed("no whole response in time")
    text = found[2] or ""
    return CallFailed("answered", status=int(found[1]), answer={"errors": [text]}, text=text)


@pytest.mark.parametrize(("answer", "error", "kind"), ROWS, ids=[row[0] for row in ROWS])
def test_each_row_is_true(answer: str, error: str, kind: str) -> None:
    named = getattr(errors, error)
    assert issubclass(named, VaultError)
    assert kind in KINDS
    assert (named.exit_code == TryAgainLater.exit_code) == (kind == "try again")
    if ANSWER.fullmatch(answer) or answer.startswith("no answer"):
        failure = failed(answer)
        assert type(as_error(Ask("read", "secret/data/app", ("read",)), failure)) is named
        assert denied(failure) == (kind == "log in again, once")


def test_every_error_is_in_the_table() -> None:
    shown = {row[1] for row in ROWS}
    every = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, VaultError)}
    assert shown == every - {VaultError.__name__}
    assert VaultUnavailable.__name__ in shown
