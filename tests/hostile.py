"""Messages that no worker takes, by what is wrong with each; every one holds a canary where it has room for one."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

CANARY = "CANARY-in-a-message"

Json = dict[str, Any]


def message(target: str = "media", task: str = "rotator.rotate", identifier: str = "one-request") -> Json:
    """What ``send_task`` of Celery 5.7 puts on a queue of Redis."""
    return {
        "body": body([[target], {"reason": "asked"}, embed()]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py", "task": task, "id": identifier, "shadow": None, "eta": None, "expires": None, "group": None,
            "group_index": None, "retries": 0, "timelimit": [None, None], "root_id": identifier, "parent_id": None,
            "argsrepr": f"['{target}']", "kwargsrepr": "{'reason': 'asked'}", "origin": "gen1@host",
            "ignore_result": None, "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {},
        },
        "properties": {
            "correlation_id": identifier, "reply_to": "a-reply", "delivery_mode": 2, "priority": 0,
            "delivery_info": {"exchange": "", "routing_key": "hostup-rotator"}, "body_encoding": "base64",
            "delivery_tag": "a-tag",
        },
    }  # fmt: skip


def embed() -> Json:
    """What else a body may name to be done; nothing."""
    return {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def body(content: object) -> str:
    """A body as it stands in a message."""
    return base64.b64encode(json.dumps(content).encode()).decode()


def item(document: object) -> bytes:
    """A message as it lies on the queue."""
    return json.dumps(document).encode()


def _changed(change: Callable[[Json], object]) -> bytes:
    document = message()
    document["headers"]["note"] = CANARY
    change(document)
    return item(document)


def _with(place: str, name: str, value: object) -> bytes:
    def change(document: Json) -> None:
        (document[place] if place else document)[name] = value

    return _changed(change)


def _without(place: str, name: str) -> bytes:
    return _changed(lambda document: (document[place] if place else document).pop(name))


def _texts() -> Iterator[tuple[str, bytes]]:
    """What is no message at all."""
    yield "empty", b""
    yield "text", CANARY.encode()
    yield "bytes", bytes(range(256))
    yield "pickle", b"\x80\x04\x95\x17\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."
    yield "cut", item(message())[:-20]
    yield "twice", item(message()) * 2
    yield "utf-16", json.dumps(message()).encode("utf-16")
    yield "latin-1", item(message()).replace(b"one-request", b"\xe9")
    yield "lone surrogate", item(message()).replace(b"one-request", b"\\ud800")
    yield "deep list", b"[" * 60_000 + b"]" * 60_000
    yield "deep object", b'{"a":' * 20_000 + b"1" + b"}" * 20_000
    yield "long number", b"9" * 100_000
    yield "huge exponent", b'{"headers": 1e999999999}'
    yield "NaN", item(message()).replace(b'"retries": 0', b'"eta": NaN')
    yield "longer than all", item(message() | {"padding": CANARY * 10_000})
    plain: Mapping[str, object] = {"null": None, "true": True, "number": 1, "list": [1], "object": {}, "string": "a"}
    for name, value in plain.items():
        yield f"only {name}", item(value)
    yield "a type of kombu's", item({"__type__": "decimal", "__value__": "1e999999"})


def _envelopes() -> Iterator[tuple[str, bytes]]:
    for place, name in (
        *(("", each) for each in ("body", "headers", "properties", "content-type", "content-encoding")),
        *(("headers", each) for each in ("task", "id")),
    ):
        yield f"no {name}", _without(place, name)
        for kind, value in {"null": None, "number": 7, "list": ["a"], "object": {"a": "b"}, "empty": ""}.items():
            if not (name in ("headers", "properties") and kind == "object" and name == "properties"):
                yield f"{name} {kind}", _with(place, name, value)
    for name in ("application/x-python-serialize", "application/x-yaml", "application/x-msgpack", "text/plain", "json"):
        yield f"content type {name}", _with("", "content-type", name)
    for name in ("binary", "utf-16", "us-ascii", "no-such", "utf-8" * 1000):
        yield f"content encoding {name[:10]}", _with("", "content-encoding", name)
    encodings: list[object] = ["base32", "BASE64", "", 5, ["base64"]]
    for encoding in encodings:
        yield f"body encoding {encoding}", _with("properties", "body_encoding", encoding)


def _headers() -> Iterator[tuple[str, bytes]]:
    later: list[object] = ["2099-01-01T00:00:00+00:00", CANARY, 5, ["a"], {"__type__": "datetime", "__value__": "x"}]
    for number, value in enumerate(later):
        yield f"eta {number}", _with("headers", "eta", value)
    for number, value in enumerate(["x", [1, None], [None, 1], ["x", "y"], [None], [None] * 3, {"a": 1}, 5]):
        yield f"time limit {number}", _with("headers", "timelimit", value)
    for number, value in enumerate([CANARY, ["a"], {"a": 1}, "2026-13-45", "9" * 5000, "0001-01-01T00:00:00+23:59"]):
        yield f"expires {number}", _with("headers", "expires", value)
    compressions: list[object] = ["bzip2", "gzip", "zlib", "lzma", "no-such", ["bzip2"], 1, True]
    for kind in compressions:
        yield f"compression {kind}", _with("headers", "compression", kind)
    for number, value in enumerate(["a" * 65, "://" * 40_000, "a\nb", "\x1b[2J", "é", "\u202e", "\0", True]):
        yield f"id {number}", _with("headers", "id", value)
    for number, value in enumerate(["no.such", "celery.map", "celery.chord_unlock", "rotator.", "a" * 65, "\n", "é"]):
        yield f"task {number}", _with("headers", "task", value)
    yield "version 1", item(message() | {"headers": {}, "body": body({"task": "rotator.tick", "id": "1", "args": []})})
    yield "version 1, its task in the headers", _with("", "body", body({"task": "rotator.tick", "id": "1"}))


def _bodies() -> Iterator[tuple[str, bytes]]:
    contents: Mapping[str, object] = {
        "null": None, "empty list": [], "object": {}, "number": 5, "text": CANARY, "one": [["media"]],
        "two": [["media"], {}], "four": [["media"], {}, embed(), 1], "args object": [{}, {}, embed()],
        "args text": ["media", {}, embed()], "kwargs list": [["media"], [], embed()],
        "kwargs null": [["media"], None, embed()], "embed list": [["media"], {}, []],
        "embed null": [["media"], {}, None], "callback": [["media"], {}, embed() | {"callbacks": [{"task": "x"}]}],
        "errback": [["media"], {}, embed() | {"errbacks": [{"task": "x"}]}],
        "chain": [["media"], {}, embed() | {"chain": [{"task": "x"}]}],
        "chord": [["media"], {}, embed() | {"chord": {"task": "x"}}], "no target": [[], {}, embed()],
        "five arguments": [["media", "a", "b", True, "c"], {}, embed()], "target number": [[1], {}, embed()],
        "target null": [[None], {}, embed()], "target list": [[["media"]], {}, embed()],
        "reason object": [["media", {}], {}, embed()], "unknown option": [["media"], {CANARY: 1}, embed()],
        "target twice": [["media"], {"target": "media"}, embed()], "self": [["media"], {"self": 1}, embed()],
        "a type of kombu's": [["media", {"__type__": "bytes", "__value__": 1}], {}, embed()],
        "longer than a body": [["media", "x" * 65_536], {}, embed()],
    }  # fmt: skip
    for name, content in contents.items():
        yield f"body {name}", _with("", "body", body(content))
    texts: Mapping[str, str] = {
        "no base64": CANARY, "no JSON": base64.b64encode(CANARY.encode()).decode(), "cut": message()["body"][:-6],
        "deep": base64.b64encode(b"[" * 60_000).decode(), "no UTF-8": base64.b64encode(b'["\xff"]').decode(),
    }  # fmt: skip
    for name, text in texts.items():
        yield f"body {name}", _with("", "body", text)
    packers: Mapping[str, Callable[[bytes], bytes]] = {
        "bzip2": bz2.compress, "gzip": gzip.compress, "zlib": zlib.compress,
    }  # fmt: skip
    for name, pack in packers.items():
        document = message()
        document["headers"]["compression"] = name
        document["body"] = base64.b64encode(pack(b" " * 50_000_000)).decode()
        yield f"bomb {name}", item(document)


SHAPES: Mapping[str, bytes] = {
    name: found for make in (_texts, _envelopes, _headers, _bodies) for name, found in make()
}
