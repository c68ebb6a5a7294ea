from __future__ import annotations

import base64
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.errors import VaultDenied
from worker.events import Event
from worker.logs.redaction import LONGEST_TEXT, REMEMBERED, RENEWED, Redactor, names_secret
from worker.secret import Secret

CANARY = "cAnAry/+5ecret=="
awkward = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=8, max_size=40)
quick = settings(deadline=None, max_examples=200)


def _redacted(redactor: Redactor, **fields: Any) -> dict[str, Any]:
    return dict(redactor(None, "info", fields))


@pytest.mark.parametrize(
    "name",
    [
        "secret",
        "secret_key",
        "secretKey",
        "SecretAccessKey",
        "AWS_SECRET_ACCESS_KEY",
        "secret_id",
        "password",
        "redis_password",
        "token",
        "X-Vault-Token",
        "client_token",
        "api_key",
        "X-API-Key",
        "Authorization",
        "Set-Cookie",
        "credentials",
    ],
)
def test_fields_of_secrets_are_known_by_name(name: str) -> None:
    assert names_secret(name)
    assert _redacted(Redactor(), **{name: "short"}) == {name: "***"}
    assert _redacted(Redactor(), outer=[{"inner": {name: ["short"]}}]) == {"outer": [{"inner": {name: "***"}}]}


@pytest.mark.parametrize(
    "name",
    [
        "access_key",
        "request_id",
        "rotation_id",
        "secret_path",
        "token_file",
        "key",
        "vault_request_id",
        "tokens_seen",
        "event",
    ],
)
def test_other_fields_are_left_alone(name: str) -> None:
    assert not names_secret(name)
    assert _redacted(Redactor(), **{name: "AKIA-1"}) == {name: "AKIA-1"}


def test_whether_there_is_a_secret_may_be_told() -> None:
    assert _redacted(Redactor(), token=None, secret=True) == {"token": None, "secret": True}


def test_secrets_show_stars_wherever_they_are() -> None:
    secret = Secret("any")
    assert _redacted(Redactor(), a=secret, b=[secret, {"c": (secret,)}]) == {"a": "***", "b": ["***", {"c": ["***"]}]}


@quick
@given(awkward, st.text(max_size=10), st.text(max_size=10))
def test_a_known_value_is_found_however_it_is_written(value: str, before: str, after: str) -> None:
    redactor = Redactor([Secret(value)])
    for form in (
        value,
        quote(value),
        quote(value, safe=""),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
    ):
        assert form not in redactor.text(f"{before}{form}{after}")
        assert form not in str(_redacted(redactor, a=[{"b": f"{before}{form}{after}"}]))


@quick
@given(awkward, st.binary(max_size=7), st.binary(max_size=7))
def test_a_known_value_is_found_inside_of_base64(value: str, before: bytes, after: bytes) -> None:
    redactor = Redactor([Secret(value)])
    whole = before + value.encode() + after
    for encoded in (base64.b64encode(whole).decode(), base64.urlsafe_b64encode(whole).decode()):
        shown = redactor.text(f"Header {encoded}").removeprefix("Header ")
        assert "***" in shown
        assert len(shown.replace("***", "")) <= len(encoded) - (len(value.encode()) * 8 // 6 - 2)


def test_a_value_is_found_in_names_too() -> None:
    assert _redacted(Redactor([Secret(CANARY)]), a={CANARY: 1}) == {"a": {"***": 1}}


def test_the_longer_of_two_values_is_hidden_as_a_whole() -> None:
    redactor = Redactor([Secret("abcdefgh"), Secret("abcdefgh-and-more")])
    assert redactor.text("it is abcdefgh-and-more") == "it is ***"


def test_a_short_value_is_not_looked_for() -> None:
    assert Redactor([Secret("abcdefg")]).text("abcdefg") == "abcdefg"


def test_values_come_and_go() -> None:
    redactor = Redactor([Secret("the-fixed-one")])
    redactor.add(Secret(CANARY))
    assert redactor.text(f"{CANARY} the-fixed-one") == "*** ***"
    redactor.discard(Secret(CANARY))
    redactor.discard(Secret("the-fixed-one"))
    redactor.discard(Secret("never-seen"))
    assert redactor.text(f"{CANARY} the-fixed-one") == f"{CANARY} ***"


def test_what_comes_within_a_while_is_forgotten_at_its_end() -> None:
    redactor = Redactor([Secret("the-fixed-one")])
    redactor.add(Secret("one-that-stays"))
    with redactor.for_a_while():
        for secret in (CANARY, CANARY, "one-that-stays", "the-fixed-one"):
            redactor.add(Secret(secret))
        with redactor.for_a_while():
            redactor.add(Secret("inner-secret"))
            assert redactor.text(f"{CANARY} inner-secret") == "*** ***"
        assert redactor.text(f"{CANARY} inner-secret") == "*** inner-secret"
    assert redactor.text(f"{CANARY} one-that-stays the-fixed-one") == f"{CANARY} *** ***"


def test_what_another_thread_holds_stays_known() -> None:
    redactor = Redactor()
    with ThreadPoolExecutor(1) as other, redactor.for_a_while():
        redactor.add(Secret(CANARY))

        def theirs() -> None:
            with redactor.for_a_while():
                redactor.add(Secret(CANARY))

        other.submit(theirs).result()
        assert redactor.text(CANARY) == "***"
    assert redactor.text(CANARY) == CANARY


def test_nothing_grows_over_many_rotations() -> None:
    redactor = Redactor()
    before = None
    for number in range(3 * REMEMBERED):
        with redactor.for_a_while():
            redactor.add(Secret(f"secret of rotation {number:06}"))
        size = len(pickle.dumps((vars(redactor._known), redactor._passing)))  # noqa: SLF001 - all that it remembers
        before = before or size
        assert size == before


def test_what_is_still_in_use_is_not_the_first_to_go() -> None:
    redactor = Redactor()
    redactor.add(Secret(CANARY))
    for number in range(REMEMBERED + 1):
        redactor.add(Secret(f"value-{number:04}"))
        redactor.add(Secret(CANARY))
    assert redactor.text(CANARY) == "***"


def test_too_many_values_push_out_the_oldest_but_no_fixed_one() -> None:
    redactor = Redactor([Secret("the-fixed-one")])
    for number in range(REMEMBERED + 1):
        redactor.add(Secret(f"value-{number:04}"))
    assert redactor.text("value-0000 value-0001 the-fixed-one") == "value-0000 *** ***"


def test_credentials_that_were_renewed_are_not_pushed_out_by_what_passes() -> None:
    redactor = Redactor()
    for number in range(RENEWED + 1):
        redactor.keep(Secret(f"renewed-{number:04}"))
    for number in range(REMEMBERED + 1):
        redactor.add(Secret(f"value-{number:04}"))
    redactor.discard(Secret("renewed-0001"))
    assert redactor.text("renewed-0000 renewed-0001") == "renewed-0000 ***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no login by eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyb3RhdG9yIn0.c2lnbmF0dXJl-X_1 today", "no login by *** today"),
        ("Cannot connect to redis://:pa#s/s@w@h:6379/0.", "Cannot connect to redis://***@h:6379/0."),
        ("see https://user:pw@h/x and https://h/y", "see https://***@h/x and https://h/y"),
        ("denied for hvs.CAESIJ3lQxvVyXkLwGmTqCANARY", "denied for ***"),
        ("denied for s.abcdefghijklmnopqrstuvwx", "denied for ***"),
        ("X-Vault-Token: abcdefgh12345", "X-Vault-Token: ***"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
        ("sent Bearer abcdefgh12345 there", "sent Bearer *** there"),
        ("password=abcdefgh12345&x=1", "password=***&x=1"),
        ("api-key = abcdefgh12345;", "api-key = ***;"),
        ('{"secretKey": "abc def gh/+=", "label": "x"}', '{"secretKey": ***", "label": "x"}'),
        ("{'secret_key': 'abcdefgh12345'}", "{'secret_key': ***'}"),
        (r"{\"secretKey\":\"abcdefgh12345\"}", r"{\"secretKey\":***\"}"),
        ("aws_secret_access_key=abcdefgh12345", "aws_secret_access_key=***"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_in_texts(text: str, shown: str) -> None:
    assert Redactor().text(text) == shown
    assert _redacted(Redactor(), event=text) == {"event": shown}


@pytest.mark.parametrize(
    "text",
    [
        "VAULT_TOKEN: is missing",
        "the token lacks create, update on secret/data/apps/media",
        "secret.published",
        "https://vault.example:8200/v1/secret/data/apps/media",
        "access key AKIAEXAMPLE is retiring",
        "celery@worker-1 ready.",
    ],
)
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    assert _redacted(Redactor(), event=text) == {"event": text}


def test_values_of_every_kind_come_out_as_json_can_show_them() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    uuid = UUID("2121ae20-bd9d-41e9-aeeb-5dd1dd1a24ba")
    given = {
        "event": Event.KEY_CREATED,
        "number": 1.5,
        "yes": True,
        "nothing": None,
        "when": moment,
        "id": uuid,
        "path": PurePosixPath("/a"),
        "raw": b"cAnAry",
        "error": VaultDenied("the policy lacks update"),
        "foreign": ValueError(CANARY),
        "many": {3},
    }
    shown = _redacted(Redactor(), **given)
    assert shown == {
        "event": "key.created",
        "number": 1.5,
        "yes": True,
        "nothing": None,
        "when": "2026-01-02T00:00:00+00:00",
        "id": str(uuid),
        "path": "/a",
        "raw": "<6 bytes>",
        "error": "VaultDenied: the policy lacks update",
        "foreign": "ValueError",
        "many": [3],
    }
    assert type(shown["event"]) is str
    assert json.dumps(shown)


class _Broken:
    def __str__(self) -> str:
        raise KeyError(CANARY)


def test_an_object_that_cannot_be_shown_stops_nobody() -> None:
    assert _redacted(Redactor(), it=_Broken()) == {"it": "<_Broken: KeyError>"}


def test_an_endless_structure_ends() -> None:
    endless: dict[str, Any] = {"secret_key": CANARY}
    endless["again"] = endless
    shown = str(_redacted(Redactor(), it=endless))
    assert CANARY not in shown


def test_a_very_long_text_is_cut_after_it_was_redacted() -> None:
    text = "x" * (LONGEST_TEXT - 5) + CANARY
    shown = _redacted(Redactor([Secret(CANARY)]), event=text)["event"]
    assert shown.startswith("x" * (LONGEST_TEXT - 5) + "***")
    assert len(_redacted(Redactor(), event="x" * 10 * LONGEST_TEXT)["event"]) < LONGEST_TEXT + 50
