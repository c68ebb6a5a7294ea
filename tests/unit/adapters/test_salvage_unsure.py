"""What is not sure in an answer is not used, but named as far as it is sure."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.unit.adapters.salvaging import (
    ACCESS_KEY,
    LABEL,
    REQUEST_ID,
    SECRET,
    body,
    document,
    head,
    parts,
    with_length,
)
from worker.adapters.hostup.salvage import Found, salvage

BODY = body()
OTHER = body(access_key="AKIAANOTHERKEY0000000", secret_key="another/secret+another/secret+another/se")


def replaced(old: bytes, new: bytes, data: bytes = BODY) -> bytes:
    assert old in data
    return with_length(data.replace(old, new))


def label_first() -> bytes:
    """The label before the key pair."""
    label = json.dumps(LABEL, ensure_ascii=False).encode()
    return BODY.replace(b', "label": ' + label, b"").replace(b'{"accessKey"', b'{"label": ' + label + b', "accessKey"')


LABEL_FIRST = label_first()
CAMEL_TO_SNAKE = BODY.replace(b"accessKey", b"access_key").replace(b"secretKey", b"secret_key")
KEY_OBJECT = json.dumps(document()["data"]).encode()[len('{"key": ') : -1]
NOT_USED: dict[str, tuple[bytes, Found, str | None, str]] = {
    # raw, what was found, access key, words of the reason
    "cut inside the secret": (
        with_length(BODY)[: with_length(BODY).index(b"MDENG")],
        Found.ACCESS_KEY,
        ACCESS_KEY,
        "not whole",
    ),
    "cut behind the secret": (BODY[: BODY.index(b', "label"')], Found.ACCESS_KEY, ACCESS_KEY, "label"),
    "cut inside the label": (BODY[: BODY.index(b"uploads")], Found.ACCESS_KEY, ACCESS_KEY, "label"),
    "cut inside a character of the label": (
        BODY[: BODY.index("é".encode()) + 1],
        Found.ACCESS_KEY,
        ACCESS_KEY,
        "label",
    ),
    "cut inside another label": (
        BODY[: BODY.index(LABEL.encode())] + b"backup",
        Found.ANOTHER_LABEL,
        ACCESS_KEY,
        "another label",
    ),
    "cut inside the secret, and a quote": (BODY[: BODY.index(b"bPx")] + b'"}', Found.ACCESS_KEY, ACCESS_KEY, "label"),
    "cut inside the secret, and the JSON": (
        BODY[: BODY.index(b"bPx")] + b'"}}}',
        Found.ACCESS_KEY,
        ACCESS_KEY,
        "label",
    ),
    "a chunk size inside the secret": (
        replaced(b"MDENG", b"MD\r\n1f\r\nENG"),
        Found.ACCESS_KEY,
        ACCESS_KEY,
        "not whole",
    ),
    "something odd behind another label": (
        replaced(LABEL.encode(), "média".encode() + b'" "'),
        Found.ACCESS_KEY,
        ACCESS_KEY,
        "label",
    ),
    "the label before the key, cut": (
        LABEL_FIRST[: LABEL_FIRST.index(SECRET.encode()) + len(SECRET) + 1],
        Found.ACCESS_KEY,
        ACCESS_KEY,
        "proves",
    ),
    "the label before the key, in damaged JSON": (
        LABEL_FIRST.replace(b'"data"', b'x "data"'),
        Found.ACCESS_KEY,
        ACCESS_KEY,
        "proves",
    ),
    "another label before the key, cut inside the access key, and the JSON": (
        LABEL_FIRST.replace(b"uploads", b"backup")[: LABEL_FIRST.index(b"EXAMPLE")] + b'"}}}',
        Found.ANOTHER_LABEL,
        None,
        "another label",
    ),
    "another key in a header": (
        head(f"X-Cache: {OTHER.decode()}") + gzip.compress(BODY[: BODY.index(b', "label"')]),
        Found.UNUSABLE,
        None,
        "two different",
    ),
    "no label": (replaced(b', "label": ', b', "name": '), Found.ACCESS_KEY, ACCESS_KEY, "label"),
    "null for a label": (
        replaced(json.dumps(LABEL, ensure_ascii=False).encode(), b"null"),
        Found.ACCESS_KEY,
        ACCESS_KEY,
        "label",
    ),
    "another label": (with_length(body("backup 7f3a")), Found.ANOTHER_LABEL, ACCESS_KEY, "another label"),
    "a shorter label": (with_length(body(LABEL[:-2])), Found.ANOTHER_LABEL, ACCESS_KEY, "another label"),
    "a label cut inside its first letters": (
        replaced(LABEL.encode(), b"m\xc3"),
        Found.ANOTHER_LABEL,
        ACCESS_KEY,
        "another label",
    ),
    "no secret": (
        replaced(b'"secretKey": "' + SECRET.encode() + b'", ', b""),
        Found.ACCESS_KEY,
        ACCESS_KEY,
        "no secret",
    ),
    "null for a secret": (
        replaced(b'"' + SECRET.encode() + b'"', b"null"),
        Found.ACCESS_KEY,
        ACCESS_KEY,
        "not whole",
    ),
    "a short secret": (with_length(body(secret_key="short/secret+15")), Found.ACCESS_KEY, ACCESS_KEY, "fewer than 16"),
    "a long secret": (with_length(body(secret_key="x" * 257)), Found.ACCESS_KEY, ACCESS_KEY, "more than 256"),
    "a secret with a blank": (with_length(body(secret_key=f"{SECRET} x")), Found.ACCESS_KEY, ACCESS_KEY, "blanks"),
    "a secret with stars": (with_length(body(secret_key="*" * 40)), Found.ACCESS_KEY, ACCESS_KEY, "no documented key"),
    "the secret twice": (
        replaced(b'"secretKey"', b'"secretKey": "' + SECRET.encode()[::-1] + b'", "secretKey"'),
        Found.UNUSABLE,
        None,
        "secretKey",
    ),
    "the label twice": (replaced(b'"label"', b'"label": "x", "label"'), Found.UNUSABLE, None, "label"),
    "the object twice": (replaced(b'"key"', b'"key": {}, "key"'), Found.UNUSABLE, None, "key"),
    "access key and secret the same": (with_length(body(access_key=SECRET)), Found.UNUSABLE, None, "the same"),
    "the begun secret is in the access key": (
        body(access_key=SECRET)[: body(access_key=SECRET).rindex(b"MDENG")],
        Found.UNUSABLE,
        None,
        "the same",
    ),
    "a number for an access key": (
        replaced(b'"' + ACCESS_KEY.encode() + b'"', b"12"),
        Found.UNUSABLE,
        None,
        "not a text",
    ),
    "a dot for an access key": (with_length(body(access_key="..")), Found.UNUSABLE, None, "dot"),
    "a long access key": (with_length(body(access_key="A" * 129)), Found.UNUSABLE, None, "more than 128"),
    "an access key with a control character": (
        with_length(body(access_key="AKIA\x7f")),
        Found.UNUSABLE,
        None,
        "control characters",
    ),
    "two key pairs": (with_length(BODY + OTHER), Found.UNUSABLE, None, "two different"),
    "two key pairs, one cut": (with_length(BODY + OTHER[:-40]), Found.UNUSABLE, None, "two different"),
    "two secrets": (with_length(BODY + body(secret_key=SECRET[::-1])), Found.UNUSABLE, None, "two different"),
    "cut behind the requestId": (
        with_length(BODY)[: with_length(BODY).index(b'"data"')],
        Found.REQUEST_ID,
        None,
        "",
    ),
    "cut behind the access key": (BODY[: BODY.index(b', "secretKey"')], Found.REQUEST_ID, None, ""),
    "an error": (
        with_length(json.dumps({"code": "X", "message": "x", "requestId": REQUEST_ID}).encode() + b"\0"),
        Found.REQUEST_ID,
        None,
        "",
    ),
    "names in snake_case": (with_length(CAMEL_TO_SNAKE), Found.CHANGED_API, None, "other names"),
    "names in snake_case, cut": (with_length(CAMEL_TO_SNAKE)[:-50], Found.CHANGED_API, None, "other names"),
    "at the top level": (
        with_length(KEY_OBJECT[:-1] + f', "requestId": "{REQUEST_ID}"}}'.encode()),
        Found.CHANGED_API,
        None,
        "another place",
    ),
    "without data": (replaced(b'"data": {"key": ', b'"key": {"x": '), Found.CHANGED_API, None, "another place"),
    "in a list": (
        replaced(b'"key": ', b'"key": [').replace(b"}}}", b"}]}}"),
        Found.CHANGED_API,
        None,
        "another place",
    ),
}


@pytest.mark.parametrize("name", NOT_USED)
def test_what_is_not_sure_is_not_used(name: str) -> None:
    raw, what, access_key, why = NOT_USED[name]
    found = salvage(raw, LABEL)
    assert found is not None
    assert (found.found, found.access_key, found.secret_key) == (what, access_key, None)
    assert found.request_id == REQUEST_ID
    assert why in found.why
    assert not any(part in repr(found) for part in parts(SECRET))


@pytest.mark.parametrize("name", ["names in snake_case", "at the top level", "in a list"])
def test_a_changed_api_is_named_without_values(name: str) -> None:
    found = salvage(NOT_USED[name][0], LABEL)
    assert found is not None
    assert found.names in (("access_key", "secret_key"), ("accessKey", "secretKey"))
    assert not any(part in repr(found) for part in (*parts(SECRET), *parts(ACCESS_KEY)))


def test_other_names_beside_the_documented_ones_are_named_too() -> None:
    found = salvage(replaced(b'"secretKey"', b'"secret_key"'), LABEL)
    assert found is not None
    assert (found.found, found.access_key, found.names) == (Found.ACCESS_KEY, ACCESS_KEY, ("secret_key",))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"\x16\x03\x01\x02",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        head(),
        with_length(b"{}"),
        with_length(b"<html><h1>502 Bad Gateway</h1></html>"),
        with_length(b'{"data": {"key": null}}'),
        with_length(b'{"data": {"key": {"label": "x"}}}'),
        with_length(gzip.compress(BODY)[:30]),
        head("Transfer-Encoding: chunked") + b"0\r\n\r\n",
        with_length(b'{"accessKey'),
    ],
)
def test_nothing_comes_of_nothing(raw: bytes) -> None:
    assert salvage(raw, LABEL) is None


def test_of_two_request_ids_none_is_named() -> None:
    other = BODY.replace(REQUEST_ID.encode(), REQUEST_ID.replace("2121", "2122").encode())
    found = salvage(with_length(BODY) + with_length(other), LABEL)
    assert found is not None
    assert (found.found, found.request_id) == (Found.KEY_PAIR, None)


@pytest.mark.parametrize("at", [-1, -4, -60])
def test_a_request_id_that_is_the_secret_is_not_named(at: int) -> None:
    found = salvage(body(secret_key=REQUEST_ID)[:at], LABEL)
    assert found is not None
    assert found.access_key == ACCESS_KEY
    assert not any(part in repr(found) for part in parts(REQUEST_ID))
