"""Whether a worker is there that moves a target, seen from a command that waits for it. Only Redis knows."""

from __future__ import annotations

from worker.adapters.redis.workers import SILENT_SECONDS
from worker.service.assemble import Runtime

WORKER_SECONDS = 10.0
"""How long to wait for a worker where none is there; one shows up within 5 s of its start."""

UNTOUCHED_LOOKS = 5
"""After so many looks in a row that found the target not taken up, that is said."""


class Presence:
    """Follows the workers' heartbeats.

    A worker is there while its heartbeats go on, whatever moment they name: its clock may be another than ours, and
    the last heartbeat of one that was killed stays in Redis.
    """

    def __init__(self, runtime: Runtime, target: str) -> None:
        self._runtime = runtime
        self._target = target
        self._last: tuple[str, float] | None = None
        self._missing_since: float | None = None
        self._untouched = 0
        self._said_missing = False
        self._said_untouched = False
        self.ever_there = False

    def look(self) -> str:
        """Look once; what a person should know now and was not shown before, else empty. Raises QueueUnavailable."""
        shared, clock = self._runtime.shared, self._runtime.clock
        newest = shared.heartbeats.newest()
        moving = newest is not None and newest != self._last
        if self._last is None and moving and not shared.heartbeats.workers(clock.now()):
            moving = False  # it is what is left of a worker that was killed long ago
        self._last = newest
        if moving:
            self._missing_since, self._said_missing, self.ever_there = None, False, True
        elif self._missing_since is None:
            self._missing_since = clock.monotonic()
        self._untouched = 0 if self._is_taken_up() else self._untouched + 1
        return self._what_to_say(left=newest is None)

    def forget(self) -> None:
        """Redis or Vault is away: nothing is known of the workers, so that time does not count."""
        self._missing_since = None
        self._untouched = 0

    def is_gone(self) -> bool:
        """Whether no worker has been there for longer than one may be silent."""
        if self._missing_since is None:
            return False
        patience = SILENT_SECONDS if self.ever_there and self._last else WORKER_SECONDS
        return self._runtime.clock.monotonic() - self._missing_since >= patience

    def _is_taken_up(self) -> bool:
        shared = self._runtime.shared
        return shared.due.is_taken_up(self._target) and shared.index.summary(self._target) is not None

    def _what_to_say(self, *, left: bool) -> str:
        if self._missing_since is not None and not self._said_missing and (left or not self.ever_there):
            self._said_missing = True
            return (
                "The last worker has stopped. Start one with `rotator worker`; waiting for it."
                if self.ever_there
                else "No worker is there to rotate the key. Start one with `rotator worker`; waiting for it."
            )
        if self._untouched >= UNTOUCHED_LOOKS and self._missing_since is None and not self._said_untouched:
            self._said_untouched = True
            return (
                "A worker is there, but none takes the target up: their threads may be busy, or their configuration "
                "lacks it. See their log; still waiting."
            )
        return ""
