"""``rotator rotate --leaked``: says who may fail, asks, and follows the old keys until they are dead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from worker.cli.asking import agreed
from worker.cli.messenger import wake_or_say
from worker.cli.output import say
from worker.cli.receipts import OTHER, reader_lines, said_by_apps
from worker.cli.waiting import LOOK_SECONDS, TRY_LATER, Outcome
from worker.errors import UsageError, VaultUnavailable
from worker.events import Event
from worker.rotation.changes.leak import revocation
from worker.rotation.history import Entry
from worker.rotation.hold import pause_of, pause_text
from worker.rotation.record import Record, Request, Why
from worker.rotation.trace import entries
from worker.service.assemble import Runtime
from worker.targets.freeze import freeze_at
from worker.targets.target import Target

DELETE_ANYWAY = "Delete {keys} although there is NO new key? Every app that reads one fails until there is one."
NOT_DEAD = "Not seen dead yet: {}. A worker goes on; see `rotator status {}`."


@dataclass(frozen=True, slots=True)
class Leak:
    """How a leak is to be dealt with: without asking, and by deleting the key even where no new one can be made."""

    yes: bool = False
    even_without: bool = False


def see_that_options_fit(*, leaked: bool, even_without: bool, yes: bool) -> None:
    """Raises UsageError for what has no meaning without ``--leaked``."""
    for given, name in ((even_without, "--even-without-a-new-one"), (yes, "--yes")):
        if given and not leaked:
            raise UsageError(f"{name} goes with --leaked only", hint="Nothing was changed.")


def see_that_it_is_meant(runtime: Runtime, target: Target, leak: Leak) -> bool:
    """Say what leak mode does to this target, and ask. Raises UsageError, RecordError, VaultError."""
    record, now = runtime.services.store.open(target).record, runtime.clock.now()
    for line in _warning(record, target, now):
        say(line)
    root = runtime.settings.vault.receipts_path
    readers = said_by_apps(runtime.services.vault, root, target, record, now)
    for line in reader_lines([each for each in readers if each["uses"] != OTHER and not each["gone"]], now):
        say(f"  {line}")
    return leak.yes or agreed(f"Replace the key of {target.name}, and delete the old one at once?")


def _warning(record: Record, target: Target, now: datetime) -> Iterator[str]:
    places = ", ".join((target.path, *(copy.name for copy in target.also)))
    yield f"{target.name}: a new key is made and published at {places}; then, without any grace, are deleted:"
    if record.current:
        yield f"  the current key {record.current.access_key}"
    for key in in_grace(record):
        yield f"  {key} in its grace period"
    if not record.current and not in_grace(record):
        yield "  nothing: no key of this target works"
    yield "  Every app that holds one of them fails until it has read the new key. Restart those that read once."
    if target.readers:
        yield f"  It is read by: {', '.join(map(str, target.readers))}."
    if record.deletes_held:
        yield f"  WARNING: Vault was set back, so nothing is deleted before `rotator settle {target.name} --restored`."
    if paused := pause_of(record, now):
        yield f"  That overrides {pause_text(paused)}."
    if freeze := freeze_at(target.freezes, now):
        yield f"  That is in {freeze}."


def in_grace(record: Record) -> list[str]:
    """The keys before the current one that apps may still use."""
    return [key.access_key for key in record.retiring if key.why is Why.REPLACED and not key.deleted_at]


@dataclass(frozen=True, slots=True)
class _Seconds:
    """How long after the request the new key was published, and each old one was dead."""

    published: float | None = None
    keys: Mapping[str, float | None] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {"published_seconds": self.published, "dead_seconds": dict(self.keys)}


class LeakFollower:
    """Follows what becomes of the old keys once the request was served, or could not be."""

    def __init__(self, runtime: Runtime, target: Target, request: Request) -> None:
        self._runtime = runtime
        self._target = target
        self._request = request

    def until_dead(self, outcome: Outcome, patience: timedelta) -> Outcome:
        """Wait until the keys whose grace was ended are dead, at most so long; the outcome with the seconds."""
        rotation_id = outcome.document["rotation_id"]
        began, found = self._runtime.clock.monotonic(), _Seconds()
        while True:
            found = self._seconds(rotation_id) or found
            if found.keys and all(seconds is not None for seconds in found.keys.values()):
                return replace(outcome, document=outcome.document | found.document())
            if not found.keys or self._runtime.clock.monotonic() - began >= patience.total_seconds():
                break
            self._runtime.clock.wait(LOOK_SECONDS)
        document = outcome.document | found.document()
        if not found.keys:
            return replace(outcome, document=document)
        alive = ", ".join(key for key, seconds in found.keys.items() if seconds is None)
        return Outcome(document, TRY_LATER, gave_up=NOT_DEAD.format(alive, self._target.name))

    def revoke(self, leak: Leak, by: str, patience: timedelta) -> Outcome | None:
        """Without a new key: have the current one deleted all the same, if the person says so once more."""
        record = self._load()
        key = record.current.access_key if record.current else ""
        if not key or not (leak.yes or agreed(DELETE_ANYWAY.format(keys=", ".join((key, *in_grace(record)))))):
            return None
        store, now = self._runtime.services.store, self._runtime.clock.now()
        loaded = store.load(self._target.name, self._target.path)
        store.change(loaded, lambda known: revocation(known, key, by, now))
        wake_or_say(self._runtime, self._target.name)
        return self._until_revoked(key, patience)

    def _until_revoked(self, key: str, patience: timedelta) -> Outcome:
        """Wait until the key, and those whose grace ended with it, are dead, at most so long."""
        began = self._runtime.clock.monotonic()
        while True:
            document = self._revoked(key)
            alive = [name for name, seconds in document["dead_seconds"].items() if seconds is None]
            if not alive:
                return Outcome(document, 0)
            if self._runtime.clock.monotonic() - began >= patience.total_seconds():
                return Outcome(document, TRY_LATER, gave_up=NOT_DEAD.format(", ".join(alive), self._target.name))
            self._runtime.clock.wait(LOOK_SECONDS)

    def _revoked(self, key: str) -> dict[str, Any]:
        events = list(entries(self._runtime.services.store, self._target.name))  # it may have been revoked before
        deleted = [entry for entry in events if (entry.event, entry.access_key) == (Event.KEY_RETIRED, key)]
        ended = [e.access_key for e in events if e.event == Event.GRACE_ENDED and e.access_key and self._is_new(e)]
        return {
            "target": self._target.name,
            "outcome": "revoked" if deleted else "accepted",
            "access_key": key,
            "request_id": deleted[-1].request_id if deleted else None,
            "dead_seconds": self._dead_seconds(events, [key, *ended]),
        }

    def _dead_seconds(self, events: list[Entry], keys: Iterable[str]) -> dict[str, float | None]:
        dead = {entry.access_key: entry for entry in events if entry.event == Event.KEY_DEAD}
        return {key: _after(self._request.at, dead[key]) if key in dead else None for key in keys}

    def _seconds(self, rotation_id: str) -> _Seconds | None:
        try:
            events = self._events()
        except VaultUnavailable:
            return None
        ended = [entry.access_key for entry in events if _is_of(entry, Event.GRACE_ENDED, rotation_id)]
        published = [entry for entry in events if _is_of(entry, Event.SECRET_PUBLISHED, rotation_id)]
        return _Seconds(
            _after(self._request.at, published[-1]) if published else None,
            self._dead_seconds(events, [key for key in ended if key]),
        )

    def _events(self) -> list[Entry]:
        return [entry for entry in entries(self._runtime.services.store, self._target.name) if self._is_new(entry)]

    def _is_new(self, entry: Entry) -> bool:
        return entry.at is not None and entry.at >= self._request.at - timedelta(minutes=1)

    def _load(self) -> Record:
        return self._runtime.services.store.load(self._target.name, self._target.path).record


def leak_lines(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The seconds, for people."""
    if document.get("published_seconds") is not None:
        yield "published after", f"{document['published_seconds']} s"
    for key, seconds in (document.get("dead_seconds") or {}).items():
        yield "dead", f"{key} after {seconds} s" if seconds is not None else f"{key} NOT yet"


def _is_of(entry: Entry, event: Event, rotation_id: str) -> bool:
    return entry.event == event and entry.rotation_id == rotation_id


def _after(since: datetime, entry: Entry) -> float | None:
    return max(0.0, round((entry.at - since).total_seconds(), 1)) if entry.at else None
