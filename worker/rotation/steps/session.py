"""What the steps of a rotation work with: the outside world, and one target's record in hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from worker.clock import AGREE, UNSURE
from worker.errors import RotatorError
from worker.events import Event
from worker.rotation.changes.rotation import failed
from worker.rotation.history import Entry
from worker.rotation.lending import Lend, freely
from worker.rotation.observe import Observation
from worker.rotation.outcomes import account_of, outcome, revocations, whole
from worker.rotation.ports import Document
from worker.rotation.record import Record, Rotation
from worker.rotation.records import Change, Loaded
from worker.rotation.services import AccountServices, Services
from worker.spans import ROTATION, Span
from worker.targets.account import DEFAULT_ACCOUNT
from worker.targets.target import Target

LOUD = frozenset(
    {
        Event.ROTATION_FAILED,
        Event.CREATE_UNCONFIRMED,
        Event.KEY_STRAY,
        Event.KEY_REFUSED,
        Event.KEY_UNCLAIMED,
        Event.KEY_OVERDUE,
        Event.KEY_RETIRE_FAILED,
        Event.TARGET_BLOCKED,
        Event.TARGET_FAILED,
        Event.SECRET_LOST,
        Event.COPY_LEFT,
        Event.WATCH_FOUND,
        Event.STORAGE_UNASKED,
    }
)
"""What a person should see even when logs are read by level."""

GRAVE = frozenset({Event.KEY_DIED, Event.CONFLICT_FOUND, Event.VAULT_SET_BACK})
"""Apps cannot work, or cannot go on as they are."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A kind of step (see :data:`worker.rotation.decide.Pauses`) waits until then; nothing was recorded."""

    kind: str
    until: datetime
    why: str


def always(account: str) -> bool:  # noqa: ARG001 - whichever it is
    """Nothing has to come before a create on this account."""
    return True


@dataclass(slots=True)
class Session:
    """One target's record in hand. Changing it writes it, and logs what was added to its history.

    ``secret`` is the app's secret as it was read before a rotation began. ``witnesses`` are keys that should live, by
    account, for a target that has none itself there any more. ``noted`` is what the step under way added to the
    history. ``allows_create`` says whether one may be made on an account yet. ``known_at``: the record in hand was the
    newest then or later; None where that is not known. ``lend`` is asked before a step on another account than the
    target's; ``turned_away``: since then other threads have taken the room of the target's own.
    """

    services: Services
    target: Target
    loaded: Loaded
    pauses: dict[str, datetime] = field(default_factory=dict)
    reasons: dict[datetime, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    noted: list[Entry] = field(default_factory=list)
    observation: Observation | None = None
    secret: Document | None = field(default=None, repr=False)
    witnesses: Mapping[str, str] = field(default_factory=dict)
    allows_create: Callable[[str], bool] = always
    known_at: datetime | None = None
    lend: Lend = freely
    turned_away: bool = False

    @property
    def record(self) -> Record:
        """The record as last read or written."""
        return self.loaded.record

    @property
    def here(self) -> AccountServices:
        """The account that new keys of the target are made on. Raises AccountGone."""
        return self.services.at(self.target.account)

    @property
    def now(self) -> datetime:
        """The wall clock."""
        return self.services.clock.now()

    @property
    def earliest(self) -> datetime:
        """The earlier of what the clocks say that are known: what must not be done too early goes by this."""
        now, machine, unsure = self._clocks()
        return min(now - unsure, machine)

    @property
    def latest(self) -> datetime:
        """The later of what the clocks say: a promise for a time to come is given by this."""
        now, machine, unsure = self._clocks()
        return max(now + unsure, machine)

    def _clocks(self) -> tuple[datetime, datetime, timedelta]:
        """Vault's word, the machine's, and how far off the first may be: where both agree it is the machine's own."""
        now = self.now
        machine = self.services.machine.now() if self.services.machine else now
        return now, machine, UNSURE if abs(machine - now) > AGREE else timedelta(0)

    def pause(self, pause: Pause) -> None:
        """Have a kind of step wait, and remember why."""
        self.pauses[pause.kind] = pause.until
        self.reasons[pause.until] = pause.why

    def reload(self, at_least: int = 0) -> None:
        """Read the record again; ``at_least`` this version is known to be there."""
        began = self.earliest
        self.loaded = self.services.store.load(self.target.name, self.target.path, at_least)
        self.known_at = began

    def change(self, change: Change, *, since: float | None = None) -> None:
        """Apply a change; ``since`` (monotonic) is when the call began whose outcome it records."""
        began = self.earliest
        self._took(self.services.store.change(self.loaded, change), since, began)

    def change_until_written(self, change: Change, *, since: float | None = None, patience: float = math.inf) -> None:
        """Apply a change that must not be lost; see :meth:`RecordStore.change_until_written`."""
        began = self.earliest
        self._took(self.services.store.change_until_written(self.loaded, change, patience), since, began)

    def fail(self, why: RotatorError, operation: str, rotation_id: str | None = None) -> None:
        """Record a failure of the rotation (or of its beginning), and when it is tried again."""
        now, current, rotation = self.now, self.record.current, self.record.rotation
        account = rotation.account if rotation else self.target.account
        retry_at = now + self.backoff(why)

        def change(record: Record) -> Record:
            under_way = record.rotation.id if record.rotation else None
            if under_way != rotation_id or record.current != current:
                return record  # it has moved on without us, and what we saw may have been just that
            return failed(record, why, now, retry_at, operation=operation, rotation_id=rotation_id, account=account)

        self.change(change)
        failure = self.record.failure
        if failure and failure.at == now and not self.loaded.entries:
            self.log(Event.ROTATION_FAILED, rotation_id=rotation_id, **why.fields(), retry_at=retry_at.isoformat())

    def backoff(self, why: RotatorError | None = None) -> timedelta:
        """How long to wait after the failure that is about to be recorded."""
        failure, rotation = self.record.failure, self.record.rotation
        asked = rotation.account if rotation else self.target.account
        before = failure.count if failure and failure.account == asked else 0
        retry_after = getattr(why, "retry_after", None)
        return self.services.policy.backoff(self.target).delay(before + 1, self.target.name, retry_after)

    def log(self, event: Event, **fields: Any) -> None:
        """Log one event of this target."""
        log = structlog.get_logger("worker.rotation")
        known = {name: value for name, value in fields.items() if value not in (None, "")}
        level = log.error if event in GRAVE else log.warning if event in LOUD else log.info
        elsewhere = self.target.account != DEFAULT_ACCOUNT and "access_key" not in known
        account = {"account": self.target.account} if elsewhere else {}
        level(event.value, **{**account, **known, "target": self.target.name})

    def _took(self, loaded: Loaded, since: float | None, began: datetime) -> None:
        self._count(self.record, loaded)
        if loaded.version != self.loaded.version:
            self.known_at = began
        self.loaded = loaded
        clock = self.services.clock
        took = {} if since is None else {"duration_ms": round((clock.monotonic() - since) * 1000)}
        for entry in loaded.entries:
            self.touched.update(entry.ids)
            self.noted.append(entry)
            extra = {"vault_request_id": loaded.vault_request_id, "record_version": loaded.version, **took}
            self.log(Event(entry.event), **(extra | entry.fields()), entry=entry.number, entry_hash=entry.hash)

    def _count(self, before: Record, loaded: Loaded) -> None:
        meter, ended = self.services.meter, outcome(before, loaded.record, loaded.entries)
        if ended:
            meter.rotated(*ended, account_of(before, loaded.record))
        for seconds, account in revocations(before, loaded.entries):
            meter.died(seconds, account)
        if over := whole(before, loaded.record, loaded.entries):
            self._tell_whole(*over, loaded.entries)

    def _tell_whole(self, rotation: Rotation, ended: str, entries: tuple[Entry, ...]) -> None:
        asked = tuple(dict.fromkeys(entry.request_id for entry in entries if entry.request_id))
        began = rotation.started_at
        about = (self.target.name, rotation.id, began, self.now, ended, rotation.account, rotation.trigger, asked)
        self.services.spans.took(Span(ROTATION, *about))
