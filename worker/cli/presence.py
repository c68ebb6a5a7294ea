"""Whether a worker is there that moves a target, seen from a command that waits for it. Only Redis knows."""

from __future__ import annotations

from datetime import timedelta

from worker.adapters.redis.workers import SILENT_SECONDS
from worker.cli.texts import span
from worker.service.assemble import Runtime

WORKER_SECONDS = 10.0
"""How long to wait for a worker where none is there; one shows up within 5 s of its start."""

UNTOUCHED_LOOKS = 5
"""After so many looks in a row that found the target not taken up, that is said."""


class Presence:
    """Follows the workers' heartbeats, whose moments are by Redis' clock.

    The last heartbeat of a worker that was killed stays in Redis: a worker counts as there until it has been silent for
    :data:`SILENT_SECONDS`, from when it was last seen, whenever that was.
    """

    def __init__(self, runtime: Runtime, target: str) -> None:
        self._runtime = runtime
        self._target = target
        self._missing_since: float | None = None
        self._untouched = 0
        self._said_missing = False
        self._said_untouched = False
        self.ever_there = False

    def look(self) -> str:
        """Look once; what a person should know now and was not shown before, else empty. Raises QueueUnavailable."""
        silent = min(self._runtime.shared.heartbeats.ages().values(), default=None)
        if silent is not None and silent <= timedelta(seconds=SILENT_SECONDS):
            self.ever_there, self._missing_since, self._said_missing = True, None, False
        elif self._missing_since is None:
            self._missing_since = self._runtime.clock.monotonic()
        self._untouched = 0 if self._is_taken_up() else self._untouched + 1
        return self._what_to_say(silent)

    def forget(self) -> None:
        """Redis or Vault is away: nothing is known of the workers, so that time does not count."""
        self._missing_since = None
        self._untouched = 0

    def is_gone(self) -> bool:
        """Whether there has been no worker for longer than it takes another one to start."""
        return (
            self._missing_since is not None and self._runtime.clock.monotonic() - self._missing_since >= WORKER_SECONDS
        )

    def _is_taken_up(self) -> bool:
        shared = self._runtime.shared
        return shared.due.is_taken_up(self._target) and shared.index.summary(self._target) is not None

    def _what_to_say(self, silent: timedelta | None) -> str:
        if self._missing_since is not None and not self._said_missing:
            self._said_missing = True
            last = f"; one was seen {span(silent)} ago" if silent is not None else ""
            return f"No worker is there to rotate the key{last}. Start one with `rotator worker`; waiting for it."
        if self._untouched >= UNTOUCHED_LOOKS and self._missing_since is None and not self._said_untouched:
            self._said_untouched = True
            return (
                "A worker is there, but none takes the target up: their threads may be busy, or their configuration "
                "lacks it. See their log; still waiting."
            )
        return ""
