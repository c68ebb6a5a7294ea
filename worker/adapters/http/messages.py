"""A request, the response to it, and the error when there is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from worker.adapters.http.exchange import Received

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
_URL = re.compile(r"https?://[!-~]+")
"""RFC 9110, 5.6.2 and 5.5; RFC 9112, 3.2. A line break inside a header would make more lines of it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent to ``url``. ``headers`` are those of this request; :mod:`.client` says which others go with it."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)

    @property
    def is_allowed(self) -> bool:
        """Whether it holds no characters that HTTP does not allow."""
        headers = self.headers.items()
        return bool(_URL.fullmatch(self.url)) and all(_NAME.fullmatch(n) and _VALUE.fullmatch(v) for n, v in headers)

    @property
    def host(self) -> str:
        """The header ``Host``: without the scheme's own port, and with brackets around IPv6, both unlike httpcore."""
        split = urlsplit(self.url)
        name = split.hostname or ""
        name = f"[{name}]" if ":" in name else name
        own = {"http": 80, "https": 443}.get(split.scheme)
        return name if split.port in (None, own) else f"{name}:{split.port}"


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: status, headers (names in lower case, several of one name joined by commas), the whole body.

    ``raw`` is what it was read from, where that was to be kept.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    raw: Received | None = None


class NoResponse(Exception):
    """A call without a whole response. ``sent`` is False when the server cannot have seen anything of the request.

    ``timed_out`` tells the deadline's passing from other reasons. ``raw`` is what came nevertheless, where that was to
    be kept. The text never quotes what was sent or received.
    """

    def __init__(self, reason: str, *, sent: bool, timed_out: bool = False, raw: Received | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.timed_out = timed_out
        self.raw = raw
