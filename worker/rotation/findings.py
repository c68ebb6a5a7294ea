"""What an audit finds wrong, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.errors import RecordDeleted
from worker.rotation.decide import waits_for_person
from worker.rotation.observe import advice
from worker.rotation.record import Record, Trouble
from worker.rotation.services import Services
from worker.rotation.status import due_at
from worker.rotation.survey import Survey
from worker.targets.target import Target


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One thing that is not as it should be, and what to do about it."""

    kind: str
    target: str | None
    what: str
    hint: str


def of_account(services: Services, seen: Survey, count: int | None, drift: int | None) -> Iterator[AuditFinding]:
    """What is wrong with the account as a whole. Raises VaultError."""
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
        hint = (
            "Somebody deleted keys elsewhere. See first that every current key lives (`rotator check`); if only keys "
            "of other people are gone, note how many remain with `rotator settle --foreign N`."
        )
        yield AuditFinding("drift", None, f"HostUp counts {-drift} keys fewer than are on record or foreign", hint)
    for target in services.store.targets_with_rescued():
        yield from _of_rescued(services, target)


def _of_rescued(services: Services, target: str) -> Iterator[AuditFinding]:
    try:
        rescued = services.store.rescued(target)
    except RecordDeleted as error:
        yield AuditFinding("rescued", target, error.what, error.hint)
        return
    if rescued:
        what = "a key that came while the record could not be read was rescued"
        yield AuditFinding("rescued", target, what, f"See `rotator repair {target}`.")


def of_targets(seen: Survey, targets: Mapping[str, Target], now: datetime, slack: timedelta) -> Iterator[AuditFinding]:
    """What is wrong with single targets, by their records."""
    for name, error in seen.unreadable.items():
        yield AuditFinding("record", name, error.what, error.hint)
    for name, record in seen.records.items():
        target = targets.get(name)
        if target is None:
            if any(record.keys_on_record()):
                hint = "Put the target back into the configuration, or delete its keys and its record by hand."
                yield AuditFinding("removed", name, "keys are on record, but the target is not configured", hint)
            continue
        if record.trouble:
            yield of_trouble(name, record.trouble)
        yield from _of_rotation(record, target, now, slack)
        yield from _of_retiring(record, now, slack)


def of_trouble(name: str, trouble: Trouble) -> AuditFinding:
    """What the watch found wrong with what apps read."""
    return AuditFinding(trouble.kind.value, name, trouble.what, advice(name, trouble))


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
