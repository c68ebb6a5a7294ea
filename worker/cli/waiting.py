"""Waiting for a rotation: the record in Vault tells how far it is; workers are only reminded of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from worker.cli.messenger import Messenger
from worker.cli.output import say
from worker.cli.presence import Presence
from worker.cli.texts import entry_text, when
from worker.clock import moment
from worker.errors import QueueUnavailable, VaultUnavailable
from worker.rotation.history import Entry, rotations
from worker.rotation.record import Failure, Record, Request
from worker.rotation.trace import entries
from worker.service.assemble import Runtime
from worker.targets.target import Target

LOOK_SECONDS = 0.3
REMIND_SECONDS = 4.0
TRY_LATER = 75

NOT_LOST = "The request stays on record, and is served when that is mended; the current key stays as it is."


def document(record: Record, outcome: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """The result as JSON; what is not known (yet) is None."""
    under_way = record.rotation.id if record.rotation else None
    names = ("access_key", "previous_access_key", "vault_version", "request_id", "duration_ms")
    return {
        "target": record.target,
        "rotation_id": known.get("rotation_id") or under_way,
        "outcome": outcome,
        **{name: known.get(name) for name in names},
    }


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the waiting ended. ``document`` is what ``--json`` prints; ``gave_up`` says why nothing is known yet."""

    document: dict[str, Any]
    exit_code: int
    failure: Failure | None = None
    gave_up: str = ""


class Waiting:
    """Follows one request until its outcome is known."""

    def __init__(self, runtime: Runtime, target: Target, request: Request, record: Record) -> None:
        self._runtime = self.runtime = runtime
        self._target = self.target = target
        self._request = self.request = request
        self._record = record
        self._failed_before = record.failure
        self._shown = record.next_entry - 1
        self._messenger = Messenger(runtime)
        self._presence = Presence(runtime, target.name)
        self._waits_for = ""
        self._redis_away = False
        self._vault_away = False

    def until_served(self, patience: timedelta) -> Outcome:
        """Wait until the request was served or has failed, at most so long. Raises RecordError, VaultError."""
        clock = self._runtime.clock
        began = clock.monotonic()
        remind_at = began
        while True:
            now = clock.monotonic()
            if now >= remind_at:
                self._remind()
                remind_at = now + REMIND_SECONDS
            outcome = self._look() or self._give_up(now - began, patience)
            if outcome:
                return outcome
            clock.wait(LOOK_SECONDS)

    def _look(self) -> Outcome | None:
        """Read the record, tell what is new in it, and see whether it holds the outcome."""
        store = self._runtime.services.store
        try:
            self._record = store.load(self._target.name, self._target.path).record
            self._vault_away = False
            self._tell_news()
            for request, rotation_id in self._record.served:
                if request == self._request.id:
                    return self._succeeded(rotation_id)
        except VaultUnavailable as error:
            self._say_vault_away(error)
            return None
        failure = self._record.failure
        if failure and failure != self._failed_before:
            return self._failed(failure)
        return None

    def _succeeded(self, rotation_id: str) -> Outcome:
        rotation = _find(rotation_id, self._record.history.entries())
        if rotation.get("started_at") is None:  # its beginning has moved into the archive meanwhile
            rotation = _find(rotation_id, entries(self._runtime.services.store, self._target.name))
        return Outcome(document(self._record, "succeeded", rotation), 0)

    def _failed(self, failure: Failure) -> Outcome:
        error = {
            "what": failure.what,
            "hint": failure.hint,
            "request_id": failure.request_id,
            "retry_at": failure.retry_at.isoformat(timespec="milliseconds"),
        }
        return Outcome(document(self._record, "failed", {}) | {"error": error}, 1, failure=failure)

    def _tell_news(self) -> None:
        for entry in self._record.history.entries():
            if entry.number > self._shown:
                self._shown = entry.number
                say(entry_text(entry))

    def _remind(self) -> None:
        try:
            if self._vault_away:
                self._presence.forget()  # a worker without Vault may not show itself in time
            else:
                self._say_news(self._presence.look())
                self._say_what_it_waits_for()
            self._messenger.wake(self._target.name)
        except QueueUnavailable as error:
            if not self._redis_away:
                say(f"{error.what}. Still waiting: the request is on record in Vault.")
            self._redis_away = True
            self._presence.forget()
            return
        self._redis_away = False

    def _say_news(self, news: str) -> None:
        if news:
            say(news)

    def _say_what_it_waits_for(self) -> None:
        """Once for each reason: until when no worker goes on, as the last look had it."""
        summary = self._runtime.shared.index.summary(self._target.name) or {}
        why, until = summary.get("waits_for"), moment(summary.get("waits_until"))
        now = self._runtime.clock.now()
        if not why or not until or until < now + timedelta(seconds=LOOK_SECONDS):
            return
        if why not in (self._waits_for, "the next rotation"):
            self._waits_for = str(why)
            say(f"Waits for {why}, until {when(until, now)}.")

    def _give_up(self, waited: float, patience: timedelta) -> Outcome | None:
        if waited >= patience.total_seconds():
            reason = f" and waits for {self._waits_for}" if self._waits_for else ""
            why = f"There is no outcome yet after {waited:.0f} s; the target is {self._record.phase}{reason}"
            hint = "See `rotator check`."
        elif self._presence.is_gone():
            gone = "No worker is there any more" if self._presence.ever_there else "No worker has shown up"
            why = f"{gone}; given up after {waited:.0f} s; the target is {self._record.phase}"
            hint = "Start one with `rotator worker`."
        else:
            return None
        return Outcome(document(self._record, "accepted", {}), TRY_LATER, gave_up=f"{why}. {NOT_LOST} {hint}")

    def _say_vault_away(self, error: VaultUnavailable) -> None:
        if not self._vault_away:
            say(f"{error.what}. Still waiting; {error.hint}")
        self._vault_away = True


def _find(rotation_id: str, entries: Iterable[Entry]) -> Mapping[str, Any]:
    found = (each for each in rotations(entries) if each["rotation_id"] == rotation_id)
    return next(found, {"rotation_id": rotation_id})
