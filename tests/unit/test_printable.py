"""What no text from outside may bring to a terminal, to JSON, or to a log on a terminal."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.cli.failing import tell
from worker.cli.output import MANY, print_facts, print_json, print_lines, print_table
from worker.errors import ConfigurationError, RotatorError
from worker.events import Event
from worker.logs.redaction import Redactor
from worker.logs.setup import configure
from worker.printable import printable, printable_json
from worker.secret import Secret

HOSTILE = [
    "\x1b[2J\x1b]0;title\x07",
    "\r\nrotator: all is well",
    "\n2026-01-01 [info] key.dead",
    "\x9b31m",
    "\x85next",
    "\x7f\x08\x08",
    "a\u2028b\u2029c",
    "\u202egnp.exe\u202c\u200e\u200f",
    "\u2066x\u2069",
    "a\u200bb\u200cc\u200dd\u2060e\ufeff",
    "\ud800lone\udfff",
    "\ue000\U000f0000\U000e0041",
    "\u00ad\u180e\u061c",
]
texts = st.text(st.characters() | st.sampled_from("\n\r\x1b\x9b\u202e\u2028\ud800\U000e0041"), max_size=40)
quick = settings(deadline=None, max_examples=200)


def is_clean(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@quick
@given(texts)
def test_whatever_is_shown_is_printable_and_on_one_line(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@quick
@given(st.recursive(texts | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(texts, inner)))
def test_escaped_json_is_the_same_document(document: Any) -> None:
    for indent in (None, 2):
        shown = printable_json(json.dumps(document, indent=indent, ensure_ascii=False))
        assert is_clean(shown)
        assert json.loads(shown) == json.loads(json.dumps(document))


def test_letters_of_all_languages_stay() -> None:
    for text in ("Åsa läser", "日本語", "שלום", "e\u0301", "😀", "a\\b"):
        assert printable(text) == text
        assert printable_json(text) == text


Show = Callable[[str], None]


def an_error(text: str) -> None:
    tell(RotatorError(f"what {text}", target=text, request_id=text, hint=text), as_json=True)


def errors_of_the_configuration(text: str) -> None:
    tell(ConfigurationError((text, f"{text} again"), hint=text), as_json=True)


def an_unexpected_error(text: str) -> None:
    tell(TypeError(text), as_json=True)


SHOWN: list[Show] = [
    lambda text: print_json({"label": text, text: [text]}),
    lambda text: print_json([{text: text}] * MANY),
    lambda text: print_table(["label"], [[text]]),
    lambda text: print_facts([("label", text)]),
    lambda text: print_lines([text]),
    an_error,
    errors_of_the_configuration,
    an_unexpected_error,
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
@pytest.mark.parametrize("show", SHOWN)
def test_no_command_shows_it_raw(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, show: Show, text: str
) -> None:
    monkeypatch.setenv("ROTATOR_DEBUG", "1")
    plain = _lines_of(capsys, show, "harmless")
    shown = _lines_of(capsys, show, text)
    assert all(line.isprintable() for line in shown)
    assert len(shown) == len(plain), "it begins no line of its own"


def _lines_of(capsys: pytest.CaptureFixture[str], show: Show, text: str) -> list[str]:
    show(text)
    captured = capsys.readouterr()
    return [*captured.out.split("\n"), *captured.err.split("\n")]


def test_json_stays_json_where_stdout_takes_no_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding in ("ascii", "latin-1", "utf-8"):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding, errors="backslashreplace"))
        print_json({"label": "é \u202e 日 😀"})
        assert json.loads(raw.getvalue().decode(encoding)) == {"label": "é \u202e 日 😀"}


@pytest.fixture
def logged() -> Any:
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize("mode", ["console", "json"])
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_log_line_shows_it_raw(text: str, mode: Any) -> None:
    plain, shown = _log(mode, "harmless"), _log(mode, text)
    assert all(line.isprintable() for line in shown)
    assert len(shown) == len(plain), "it begins no line of its own"


def _log(mode: Any, text: str) -> list[str]:
    stream = io.StringIO()
    configure(mode, stream, Redactor())  # a text stream without a file
    log = structlog.get_logger("worker")
    log.info(text, label=text, many=[text], named={text: text}, **{text: "name"})
    log.error(Event.TARGET_FAILED, exc_info=RotatorError(text, hint=text))
    return stream.getvalue().split("\n")


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize("mode", ["console", "json"])
@pytest.mark.parametrize(
    "word", ["rotation", "rotation_id", "succeeded", "rotation.succeeded", "timestamp", "worker.rotation"]
)
def test_a_secret_that_is_a_common_word_garbles_no_word_of_ours(mode: Any, word: str) -> None:
    stream = io.StringIO()
    configure(mode, stream, Redactor([Secret(word)]))
    structlog.get_logger("worker.rotation").info(Event.ROTATION_SUCCEEDED, rotation_id="1", said=f"it is {word}")
    line = stream.getvalue()
    for ours in ("rotation.succeeded", "rotation_id", "worker.rotation"):
        assert ours in line
    assert f"it is {word}" not in line
    if mode == "json":
        assert {"timestamp", "event", "rotation_id", "logger"} <= set(json.loads(line))
