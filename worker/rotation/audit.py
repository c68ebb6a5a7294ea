"""The audit: do the keys that HostUp counts, the records and the calendar agree? Finds, and changes nothing.

``keyCount`` is the one way to see keys that nobody has on record (page "Service status"). Keys that were there before
the worker came are foreign: their number is noted at the first look, in an account document beside the records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from worker.errors import RecordError, VaultCasMismatch
from worker.rotation.decide import waits_for_person
from worker.rotation.ports import Document
from worker.rotation.record import Phase, Record
from worker.rotation.services import Services
from worker.rotation.status import due_at
from worker.targets.target import Target

READERS = 8
"""Threads that read records; what Vault gives to one hvac client levels off there (docs/facts.md, "Vault")."""

PASSES = 3
PASS_SECONDS = 1.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One thing that is not as it should be, and what to do about it."""

    kind: str
    target: str | None
    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class Survey:
    """All records at about one moment; ``unreadable`` names those that could not be used, with the reason."""

    records: Mapping[str, Record]
    unreadable: Mapping[str, RecordError]

    @property
    def living(self) -> int:
        """How many of HostUp's keys the records answer for."""
        return sum(_living(record) for record in self.records.values())

    @property
    def adopted(self) -> int:
        """How many foreign keys were taken over by name."""
        return sum(record.adopted for record in self.records.values())

    @property
    def creating(self) -> bool:
        """Whether a create is under way, so that a count cannot be compared."""
        return any(record.phase is Phase.CREATING for record in self.records.values())


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found. ``drift``: keys that nothing explains (negative: keys that are missing); None: not known."""

    at: datetime
    targets: int
    key_count: int | None
    on_record: int
    foreign: int | None
    drift: int | None
    findings: tuple[AuditFinding, ...]
    survey: Survey = field(repr=False)


def survey(services: Services, targets: Mapping[str, Target], progress: Progress | None = None) -> Survey:
    """Read every record there is: of the configured targets, and of those that no longer are. Raises VaultError."""
    names = sorted(set(targets) | set(services.store.targets()))
    records: dict[str, Record] = {}
    unreadable: dict[str, RecordError] = {}

    def read(name: str) -> tuple[str, Record | RecordError]:
        try:
            return name, services.store.load(name, targets[name].path if name in targets else "").record
        except RecordError as error:
            return name, error

    with ThreadPoolExecutor(READERS, thread_name_prefix="survey") as pool:
        for done, (name, found) in enumerate(pool.map(read, names), start=1):
            if isinstance(found, RecordError):
                unreadable[name] = found
            else:
                records[name] = found
            if progress:
                progress(done, len(names))
    return Survey(records, unreadable)


def ensure_baseline(services: Services, targets: Mapping[str, Target]) -> int | None:
    """Record at the first look how many keys are foreign; later only return that number. Raises VaultError.

    None when HostUp does not say how many keys there are: then the next look records it.
    """
    document = services.vault.read(services.store.account_path)
    known = _foreign_of(document)
    if known is not None:
        return known
    count = services.account.key_count()
    if count is None:
        return None
    foreign = max(0, count - survey(services, targets).living)
    try:
        note_foreign(services, foreign, count, document.version)
    except VaultCasMismatch:
        return _foreign_of(services.vault.read(services.store.account_path))
    return foreign


def note_foreign(services: Services, foreign: int, key_count: int | None, cas: int) -> None:
    """Write down how many keys are not this project's."""
    noted = {"foreign": foreign, "key_count": key_count, "noted_at": services.clock.now().isoformat()}
    services.vault.write(services.store.account_path, noted, cas)


def _foreign_of(document: Document) -> int | None:
    foreign = (document.data or {}).get("foreign")
    return foreign if isinstance(foreign, int) else None


def audit(
    services: Services, targets: Mapping[str, Target], slack: timedelta, progress: Progress | None = None
) -> AuditReport:
    """Look at everything. ``slack`` is how late something may be before it is reported. Raises VaultError."""
    foreign = ensure_baseline(services, targets)
    seen, count, drift = _measure(services, targets, foreign, progress)
    now = services.clock.now()
    findings = [*_of_account(services, seen, count, drift), *_of_targets(seen, targets, now, slack)]
    return AuditReport(now, len(targets), count, seen.living, foreign, drift, tuple(findings), seen)


def _measure(
    services: Services, targets: Mapping[str, Target], foreign: int | None, progress: Progress | None
) -> tuple[Survey, int | None, int | None]:
    """Count and read until nothing moved in between and two looks agree; what still moves is no drift."""
    last: int | None = None
    for _ in range(PASSES + 1):
        before = services.account.key_count()
        seen = survey(services, targets, progress)
        after = services.account.key_count()
        if after is None or foreign is None:
            return seen, after, None
        still = before == after and not seen.creating
        drift = after - seen.living - max(0, foreign - seen.adopted)
        if still and drift in (0, last):
            return seen, after, drift
        last = drift if still else None
        services.clock.wait(PASS_SECONDS)
    return seen, after, None


def _living(record: Record) -> int:
    deleted = sum(1 for key in record.retiring if key.deleted_at)
    return sum(1 for _ in record.keys_on_record()) - deleted


def _of_account(services: Services, seen: Survey, count: int | None, drift: int | None) -> Iterator[AuditFinding]:
    if count is None:
        yield AuditFinding("count", None, "HostUp does not say how many keys there are", "See `rotator check`.")
    if drift and drift > 0:
        labels = [
            create.label for record in seen.records.values() for create in record.unconfirmed_creates if create.open
        ]
        hint = (
            f"It may be one labelled {', '.join(map(repr, labels))}; see `rotator settle`."
            if labels
            else ("Look in HostUp's panel. If they are somebody else's, note them with `rotator settle --foreign N`.")
        )
        yield AuditFinding("drift", None, f"HostUp counts {drift} keys that nothing explains", hint)
    if drift and drift < 0:
        hint = "Somebody deleted keys elsewhere. Note how many foreign ones remain with `rotator settle --foreign N`."
        yield AuditFinding("drift", None, f"HostUp counts {-drift} keys fewer than are on record or foreign", hint)
    for target in services.store.targets_with_rescued():
        what = "a key that came while the record could not be read was rescued"
        yield AuditFinding("rescued", target, what, f"See `rotator repair {target}`.")


def _of_targets(seen: Survey, targets: Mapping[str, Target], now: datetime, slack: timedelta) -> Iterator[AuditFinding]:
    for name, error in seen.unreadable.items():
        yield AuditFinding("record", name, error.what, error.hint)
    for name, record in seen.records.items():
        target = targets.get(name)
        if target is None:
            if any(record.keys_on_record()):
                hint = "Put the target back into the configuration, or delete its keys and its record by hand."
                yield AuditFinding("removed", name, "keys are on record, but the target is not configured", hint)
            continue
        yield from _of_rotation(record, target, now, slack)
        yield from _of_retiring(record, now, slack)


def _of_rotation(record: Record, target: Target, now: datetime, slack: timedelta) -> Iterator[AuditFinding]:
    for create in record.unconfirmed_creates:
        if create.open:
            what = (
                f"rotation {create.rotation_id} may have made a key labelled {create.label!r} ({create.error}, "
                f"requestId {create.request_id or 'none'}, keyCount {create.key_count_before} before, "
                f"{create.key_count_after} after)"
            )
            yield AuditFinding("unconfirmed create", record.target, what, f"See `rotator settle {record.target}`.")
    if waits_for_person(record.unconfirmed_creates):
        what = "no key is made before the unconfirmed creates are settled"
        yield AuditFinding("blocked", record.target, what, "See above.")
    due = due_at(record, target, now)
    failure = record.failure
    if record.current and due + slack < now:
        why = f"{failure.what}. {failure.hint}" if failure else "no worker has looked at it; see `rotator check`"
        yield AuditFinding("overdue", record.target, f"the rotation due at {due.isoformat()} has not happened", why)
    elif record.current is None:
        why = f"{failure.what}. {failure.hint}" if failure else "see `rotator status`"
        yield AuditFinding("overdue", record.target, "no key has been published yet", why)


def _of_retiring(record: Record, now: datetime, slack: timedelta) -> Iterator[AuditFinding]:
    for key in record.retiring:
        if key.overdue:
            what = f"access key {key.access_key} was deleted, and still works"
            hint = f"It is deleted again. Ask HostUp, naming requestId {key.delete_request_id}."
            yield AuditFinding("alive", record.target, what, hint)
        elif not key.deleted_at and key.retire_after + slack < now:
            what = f"access key {key.access_key} should be deleted since {key.retire_after.isoformat()}"
            yield AuditFinding(
                "alive", record.target, what, key.error or "No worker has looked at it; see `rotator check`."
            )
