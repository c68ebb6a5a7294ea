"""Reads one HTTP answer from the bytes that come: llhttp, the parser of Node.js, by way of :mod:`httptools`.

Head and framing are its business (lengths, chunks, hints before the answer, what ends a connection); here the parts are
put together. http.client, which did this before, made an e-mail message of each head: a third of all of Python's
instructions in a rotation (``make bench BENCH_ARGS="--part instructions"``).
"""

from __future__ import annotations

from http import HTTPStatus

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

LONGEST_HEAD = 64 * 1024
"""Bytes."""

_FRAMING = (b"content-length", b"transfer-encoding")


class Unreadable(Exception):
    """What came is no whole answer. The text quotes nothing of it."""


class Reading:
    """One answer, as far as it has come. ``longest`` is how many bytes its body may have.

    httptools calls the ``on_`` methods. Hints (1xx) are passed over, whatever follows the answer is not read.
    """

    def __init__(self, longest: int) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.complete = False
        self.keep = False
        """Whether the connection may be used again, once the answer is complete."""
        self._longest = longest
        self._in_head = True
        self._head = 0
        self._parser = HttpResponseParser(self)
        # a server's slip in form must not cost the key in its answer; these are dangerous between proxies, which may
        # take one answer for two: here nothing that follows an answer is ever read
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_chunked_length=True,
            lenient_optional_lf_after_cr=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    def take(self, data: bytes) -> None:
        """Read what came; nothing means that the connection has ended. Raises Unreadable."""
        if not data:
            self._ended()
            return
        if self._in_head:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self.keep = False
            if not self.complete:
                message = "what came is no HTTP"
                raise Unreadable(message) from None
        if self._in_head and self._head > LONGEST_HEAD:
            message = f"the head of the answer is longer than {LONGEST_HEAD} bytes"
            raise Unreadable(message)
        if len(self.body) > self._longest:
            message = f"the answer is longer than {self._longest} bytes"
            raise Unreadable(message)

    def end(self) -> None:
        """Let go of the parser, which knows us, too: a secret would stay in memory until garbage is searched for."""
        del self._parser

    def on_message_begin(self) -> None:
        """An answer, a hint before it, or something after it that nobody asked for."""
        if self.complete:
            self.keep = False
        self._in_head = not self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or one that stands behind the body and tells nothing."""
        if self._in_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if not self.complete:
            self._in_head = False
            self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if not self.complete:
            self.body += data

    def on_message_complete(self) -> None:
        """The answer is whole, if it is one."""
        if self.complete:
            return
        if self.status < HTTPStatus.OK and self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers.clear()
            return
        self.complete = True
        self.keep = self._parser.should_keep_alive()

    def _ended(self) -> None:
        """An answer that does not tell its length ends with its connection."""
        in_body = self.status >= HTTPStatus.OK and not self._in_head
        if not in_body or any(name.lower() in _FRAMING for name, _ in self.headers):
            message = "the connection was lost before the answer was whole"
            raise Unreadable(message)
        self.complete = True
