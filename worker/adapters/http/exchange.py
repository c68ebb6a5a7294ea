"""What is known of the call under way: was anything of it sent, how much came back.

The connection finds it in a context variable, because httpcore does not hand the request down to its network backend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import httpcore

from worker.adapters.http.patience import Patience, patience

MAX_RECEIVED = 8 * 1024 * 1024
"""Bytes of one response in all: head, hints before it and framing too, which have no limit of their own."""

MOST_LATE_LOOKS = 16
LONGEST_LATE_LOOK = 16 * 1024
"""What is still read when the deadline is over: a look is for what waits already, and takes a record of TLS at most.

Counted and not timed, as the process may be frozen again meanwhile. An honest answer to a create has two thousand
bytes. Who goes on sending is cut off: endless hints, chunks or trailers held a call for 14 s longer (docs/facts.md)."""


class Received:
    """The bytes that came for one call, as they came out of TLS. Never shown: they hold the secret of a new key."""

    __slots__ = ("_data",)

    def __init__(self, data: bytearray) -> None:
        self._data = data

    def reveal(self) -> bytes:
        """The bytes themselves."""
        return bytes(self._data)

    def wipe(self) -> None:
        """Overwrite them; there is nothing left afterwards."""
        self._data[:] = bytes(len(self._data))
        self._data.clear()

    def __repr__(self) -> str:
        """How many there are."""
        return f"Received({len(self._data)} bytes)"


@dataclass(slots=True)
class Exchange:
    """One request and its response. ``sent`` says whether the server may have seen anything of the request."""

    kept: bytearray | None = field(default=None, repr=False)
    by_proxy: bool = False
    sent: bool = False
    patience: Patience = field(default_factory=patience)
    _received: int = 0
    _tunnelling: bool = False
    _late_looks: int = 0

    @property
    def raw(self) -> Received | None:
        """What came, if it is kept."""
        return None if self.kept is None else Received(self.kept)

    def seconds_left(self) -> float:
        """How long more may be waited for, by what came; fewer than none when that is enough."""
        return self.patience.left(self.kept)

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """See httpcore's ``trace`` extension, which tells a request from the CONNECT to a proxy that goes before it.

        Where there is no proxy, it is not asked for: it is called a dozen times for a request.
        """
        if event == "http11.send_request_headers.started":
            self._tunnelling = info["request"].method == b"CONNECT"

    def sends(self) -> None:
        """Something is about to be written."""
        self.sent = self.sent or not self._tunnelling

    def receives(self, data: bytes) -> None:
        """Something was read. Raises httpcore.ReadError when it is too much."""
        self._received += len(data)
        if self.kept is not None and not self._tunnelling:
            self.kept += data
            self.patience.new()
        if self._received > MAX_RECEIVED:
            raise httpcore.ReadError(f"longer than {MAX_RECEIVED} bytes")

    def looks_late(self, most: int) -> int:
        """Something is about to be read although the deadline is over: how many bytes of the ``most`` may be.

        Raises httpcore.ReadTimeout when that has been done often enough.
        """
        self._late_looks += 1
        if self._late_looks > MOST_LATE_LOOKS:
            raise httpcore.ReadTimeout
        return min(most, LONGEST_LATE_LOOK)


_current: ContextVar[Exchange] = ContextVar("exchange")


@contextmanager
def exchange(*, by_proxy: bool, keep_raw: bool) -> Iterator[Exchange]:
    """Begin a call; ``keep_raw`` keeps what comes."""
    begun = Exchange(bytearray() if keep_raw else None, by_proxy)
    token = _current.set(begun)
    try:
        yield begun
    finally:
        _current.reset(token)


def current() -> Exchange:
    """The call under way."""
    return _current.get()
