"""Answers that end anywhere, and compressed streams that something happened to."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from tests.unit.adapters.salvaging import (
    ACCESS_KEY,
    LABEL,
    SECRET,
    body,
    head,
    in_chunks,
    parts,
    secret_of,
    with_length,
)
from worker.adapters.hostup.salvage import Found, salvage

BODY = body()


def test_a_damaged_compressed_stream_is_not_believed() -> None:
    packed = bytearray(gzip.compress(BODY))
    packed[-6] ^= 1  # in its checksum
    assert salvage(with_length(bytes(packed)), LABEL) is None


# All of the deflated text, but not its checksum, which is where the debris stands.
UNPROVEN = gzip.compress(BODY)[:-8]


def test_a_compressed_stream_without_its_checksum_is_believed_when_it_is_in_order() -> None:
    assert secret_of(salvage(head() + UNPROVEN, LABEL)) == SECRET
    assert secret_of(salvage(in_chunks(UNPROVEN, [40]), LABEL)) == SECRET


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(head() + b"%x\n%s\n1\n" % (len(UNPROVEN) + 9, UNPROVEN), id="a size line in a chunk"),
        pytest.param(head() + b"%x\n%s!\n" % (len(UNPROVEN), UNPROVEN), id="a chunk that is too small"),
        pytest.param(in_chunks(UNPROVEN, [40], last=b"0\r\n") + b"\r\nx", id="something behind the chunks"),
        pytest.param(head("Content-Length: 9") + UNPROVEN, id="more than the Content-Length"),
        pytest.param(head() + b"Notice" + UNPROVEN, id="something before the stream"),
        pytest.param(head() + gzip.compress(UNPROVEN) + b"x", id="something behind the outer stream"),
    ],
)
def test_a_compressed_stream_with_debris_is_believed_with_its_checksum_only(raw: bytes) -> None:
    assert salvage(raw, LABEL) is None


def test_a_second_stream_is_believed_with_its_checksum_only() -> None:
    packed = gzip.compress(BODY[:99]) + gzip.compress(BODY[99:])
    assert secret_of(salvage(head() + packed, LABEL)) == SECRET
    assert secret_of(salvage(head() + packed[:-8], LABEL)) is None


def plain(data: bytes) -> bytes:
    return with_length(data)


def chunked(data: bytes) -> bytes:
    return in_chunks(data, [13, 40])


@pytest.mark.parametrize("send", [plain, chunked])
def test_each_place_of_a_cut(send: Callable[[bytes], bytes]) -> None:
    """Of an answer cut at any byte, exactly that is found which is whole."""
    raw = send(BODY)
    seen = []
    for at in range(len(raw) + 1):
        found = salvage(raw[:at], LABEL)
        assert found is None or found.access_key in (None, ACCESS_KEY)
        assert secret_of(found) in (None, SECRET)
        assert not any(part in repr(found) for part in parts(SECRET))
        seen.append(found and found.found)
    assert list(dict.fromkeys(seen)) == [None, Found.REQUEST_ID, Found.ACCESS_KEY, Found.KEY_PAIR]
    if send is plain:
        start = len(raw) - len(BODY)
        assert seen.index(Found.ACCESS_KEY) == start + BODY.index(b'"secretKey":') + len('"secretKey":')
        assert seen.index(Found.KEY_PAIR) == len(raw) - len("}}}")


def test_each_place_of_a_cut_in_a_compressed_stream() -> None:
    raw = with_length(gzip.compress(BODY), "Content-Encoding: gzip")
    found = [salvage(raw[:at], LABEL) for at in range(len(raw) + 1)]
    assert {each.access_key for each in found if each} == {None, ACCESS_KEY}
    assert {secret_of(each) for each in found} == {None, SECRET}
    assert all(secret_of(each) == SECRET for each in found[-8:])
