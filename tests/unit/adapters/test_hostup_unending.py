"""A create whose answer is all there and does not end, as the connection stays open: nobody waits for the deadline."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.adapters.hostup_answering import LONG, hostup
from tests.unit.adapters.salvaging import ACCESS_KEY, LABEL, REQUEST_ID, SECRET, body, chunks, head, in_chunks
from tests.wire import Step, Wire
from worker.adapters.hostup.whole import holds_whole_object
from worker.adapters.http.client import HttpClient
from worker.adapters.http.deadline import within
from worker.adapters.http.messages import NoResponse, Request
from worker.adapters.http.patience import A_WHILE, reading_until
from worker.errors import HostUpError, HostUpUncertain
from worker.rotation.ports import CreatedKey
from worker.secret import Secret

BODY = body()
PACKED = gzip.compress(BODY)
IN_JSON = 'NEL: {"report_to":"x","max_age":5}'
"""A header that Cloudflare sends."""

UNENDING = {
    "Content-Length too large": head(f"Content-Length: {len(BODY) + 2}") + BODY,
    "no length at all": head() + BODY,
    "HTTP/1.0 without a length": head(status="HTTP/1.0 200 OK") + BODY,
    "chunks without the last one": in_chunks(BODY, [30], last=b""),
    "one chunk, and not the last one": in_chunks(BODY, [len(BODY)], last=b""),
    "the last chunk without its end": in_chunks(BODY, [30], last=b"0\r\n"),
    "gzip of a wrong length": head(f"Content-Length: {len(PACKED) + 9}", "Content-Encoding: gzip") + PACKED,
    "gzip in chunks without the last one": in_chunks(PACKED, [30], "Content-Encoding: gzip", last=b""),
    "text before": head() + b")]}',\n" + BODY,
    "a comment behind": head() + BODY + b"\n<!-- 2026-02-10 {} -->",
    "a trailing comma": head() + BODY[:-2] + b",}}",
    "latin-1": head("Content-Length: 999") + body(label=LABEL).decode().replace(" ✓", "").encode("latin-1"),
    "JSON in a header": head(IN_JSON) + BODY,
}


def then_silence(*pieces: bytes, pause: float = 0.0) -> Step:
    """These bytes, with pauses between them; the connection stays open until the client has had enough."""

    def step(line: socket.socket, ended: threading.Event) -> bool:
        for piece in pieces:
            line.sendall(piece)
            if pause and ended.wait(pause):
                return False
        return bool(line.recv(1)) and False

    return step


def created(client: HttpClient, step: Step, label: str = LABEL) -> CreatedKey:
    """The key, long before the deadline."""
    with Wire(step) as wire:
        began = time.monotonic()
        key = hostup(client, wire.url).create_key(label)
        assert time.monotonic() - began < LONG / 2
        assert len(wire.heard) == 1
    assert (key.access_key, key.secret_key, key.request_id) == (ACCESS_KEY, Secret(SECRET), REQUEST_ID)
    return key


@pytest.mark.parametrize("form", UNENDING)
def test_a_whole_object_ends_the_reading(client: HttpClient, form: str) -> None:
    label = LABEL.replace(" ✓", "") if form == "latin-1" else LABEL
    assert created(client, then_silence(UNENDING[form]), label).salvaged


@pytest.mark.parametrize("behind", [b" ", b"\r\n", b"0\r\n\r\n", b"}"])
def test_whatever_goes_on_coming_behind_it(client: HttpClient, behind: bytes) -> None:
    """More than is received before the deadline, and never a moment of silence."""
    step = then_silence(UNENDING["no length at all"], *[behind] * 20_000, pause=0.01)
    assert created(client, step).salvaged


@pytest.mark.parametrize("cut_at", [1, 40, -1, -2], ids=["in the first brace", "inside", "before the end", "a brace"])
@pytest.mark.parametrize("header", ["X: y", IN_JSON])
def test_a_pause_before_the_object_is_whole_ends_nothing(client: HttpClient, header: str, cut_at: int) -> None:
    data = head(f"Content-Length: {len(BODY)}", header)
    pieces = (data, BODY[:cut_at], BODY[cut_at:])
    assert created(client, then_silence(*pieces, pause=A_WHILE * 1.5)).salvaged == ()


def test_an_end_that_comes_soon_is_waited_for(client: HttpClient) -> None:
    framed = in_chunks(BODY, [30], last=b"")
    assert created(client, then_silence(framed, b"0\r\n\r\n", pause=A_WHILE / 4)).salvaged == ()


@pytest.mark.parametrize(
    "text",
    [
        b'{"success": true, "requestId": "%b", "data": {}}' % REQUEST_ID.encode(),
        b'{"code": "INTERNAL_ERROR", "error": "Oh", "message": "no", "requestId": "%b"}' % REQUEST_ID.encode(),
    ],
)
def test_an_object_without_a_key_ends_it_too_and_is_told(client: HttpClient, text: bytes) -> None:
    with Wire(then_silence(head("Content-Length: 999") + text)) as wire, pytest.raises(HostUpError) as caught:
        hostup(client, wire.url).create_key(LABEL)
    assert isinstance(caught.value, HostUpUncertain)
    assert "within" not in caught.value.what
    assert "the end of the response did not come" in caught.value.what
    assert caught.value.request_id == REQUEST_ID


def test_many_small_pieces_are_not_looked_at_one_by_one(client: HttpClient) -> None:
    looks: list[int] = []

    def never(raw: bytes) -> bool:
        looks.append(len(raw))
        return False

    began = time.monotonic()
    step = then_silence(head(), *[b"}"] * 3000, pause=0.001)
    with Wire(step) as wire, pytest.raises(NoResponse), within(A_WHILE * 4), reading_until(never):
        client.send(Request("POST", wire.url, {}, b"{}"), fresh=True, keep_raw=True)
    assert 1 <= len(looks) <= (time.monotonic() - began) / A_WHILE + 1


def test_what_is_not_kept_is_waited_for_until_the_deadline(client: HttpClient) -> None:
    step, until_it_is_whole = then_silence(UNENDING["no length at all"]), reading_until(holds_whole_object)
    with Wire(step) as wire, pytest.raises(NoResponse) as caught, within(A_WHILE * 3), until_it_is_whole:
        client.send(Request("GET", wire.url))
    assert caught.value.timed_out


FRAMES: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda data: head() + data,
    "in chunks": lambda data: head("Transfer-Encoding: chunked") + chunks(data, [7, 30], last=b""),
    "in chunks without saying so": lambda data: head() + chunks(data, [200], last=b""),
    "text before": lambda data: head() + b"Notice: x {0} in y\n" + data,
    "without a head": lambda data: data,
}


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, len(BODY)), frame=st.sampled_from(sorted(FRAMES)), header=st.booleans())
def test_it_is_whole_from_its_last_byte_on(cut: int, frame: str, header: bool) -> None:  # noqa: FBT001 - drawn
    raw = FRAMES[frame](BODY[:cut])
    if header and frame != "without a head":
        raw = raw.replace(b"\r\n", f"\r\n{IN_JSON}\r\n".encode(), 1)
    assert holds_whole_object(raw) is (cut == len(BODY))


@given(st.binary(max_size=300))
def test_any_bytes_are_taken(data: bytes) -> None:
    for raw in (data, head() + data, head("Content-Encoding: gzip") + data):
        assert holds_whole_object(raw) in (True, False)
