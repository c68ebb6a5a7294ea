"""What time it is by Vault: every answer says so (the header ``Date``)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from worker.adapters.http.engine import Engine
from worker.adapters.http.messages import Request, Response
from worker.clock import Clock, Hear


class Listening:
    """Sends as the engine does, and hands on what each answer says of the time."""

    def __init__(self, http: Engine, clock: Clock, hear: Hear) -> None:
        self._http = http
        self._clock = clock
        self._hear = hear

    def send(self, request: Request) -> Response:
        """See :meth:`worker.adapters.http.engine.Engine.send`. Raises NoResponse."""
        asked_at = self._clock.monotonic()
        response = self._http.send(request)
        said = _moment(response.headers.get("date", ""))
        if said:
            self._hear(said, asked_at)
        return response

    def close(self) -> None:
        """Close every connection."""
        self._http.close()


def _moment(text: str) -> datetime | None:
    """The header names a second in GMT; None for anything else, which then says nothing."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found.astimezone(UTC) if found.tzinfo else None
