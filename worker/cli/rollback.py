"""``rotator rollback``: make the key before the current one current again, while it lives.

It shows what it will do, and asks. The intent is on record first: if the command ends in the middle, a worker goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from worker.cli.asking import agreed, reason_of
from worker.cli.messenger import wake_or_say
from worker.cli.options import Options, target_named
from worker.cli.output import print_lines, result, say
from worker.cli.texts import when
from worker.cli.who import asker
from worker.errors import Superseded, TryAgainLater
from worker.rotation.record import CurrentKey, Phase, Record, Rotation
from worker.rotation.status import due_at, moved
from worker.rotation.steps.publish import publish, verify
from worker.rotation.steps.rollback import Wanted, begin_rollback, next_after, rollback_of
from worker.rotation.steps.session import Session
from worker.service.assemble import Runtime
from worker.settings.environment import Need
from worker.targets.durations import format_duration


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done: the key that comes back, and the one that it takes the place of."""

    intent: Rotation
    current: CurrentKey

    @property
    def access_key(self) -> str:
        return self.intent.key.access_key if self.intent.key else ""


def rollback(options: Options, name: str, wanted: Wanted, *, yes: bool) -> int:
    """Show what a rollback means, and do it with ``yes`` or when the person agrees; 1 when he does not, or it failed.

    Raises as :func:`worker.rotation.steps.rollback.rollback_of`, and RecordError.
    """
    runtime = options.runtime(Need.VAULT)
    wanted = Wanted(wanted.access_key, reason_of(wanted.reason), asker(wanted.by))
    session = _opened(runtime, name)
    plan = _planned(session, wanted)
    for line in _shown(session, plan):
        say(line)
    if not yes and not agreed(f"Roll {name} back?"):
        return 1
    begin_rollback(session, plan.intent, wanted.by)
    try:
        verify(session, plan.intent.id)
        if session.record.rotation and session.record.rotation.phase is Phase.VERIFIED:
            publish(session, plan.intent.id)
    except Superseded:
        session.reload()  # a worker was quicker
    finally:
        wake_or_say(runtime, name)
    return _tell(options, session, plan)


def _opened(runtime: Runtime, name: str) -> Session:
    target = target_named(runtime.settings, name)
    session = Session(runtime.services, target, runtime.services.store.open(target))
    conflict = moved(session.record, target)
    if conflict:
        raise conflict
    return session


def _planned(session: Session, wanted: Wanted) -> _Plan:
    intent, current = rollback_of(session, wanted), session.record.current
    if current is None:
        raise TryAgainLater("the target has changed meanwhile", target=session.target.name, hint="Nothing was changed.")
    return _Plan(intent, current)


def _shown(session: Session, plan: _Plan) -> Iterator[str]:
    grace = format_duration(session.target.grace)
    yield f"{session.target.name}, which is published at {session.target.path}:"
    if session.target.also:
        yield f"  and at {', '.join(copy.name for copy in session.target.also)}, which go back with it"
    yield f"  {plan.access_key} becomes current again, as it stood in version {plan.intent.from_version}; it works"
    yield f"  {plan.current.access_key} retires: it is deleted after the grace period ({grace})"
    due = next_after(session, plan.intent)
    if due and session.target.schedule.every is not None:
        yield f"  Its age counts from its birth, so it is rotated next {when(due, session.now)}"


def _tell(options: Options, session: Session, plan: _Plan) -> int:
    record = session.record
    done = bool(record.current and record.current.rotation_id == plan.intent.id)
    document = _document(record, plan, done=done)
    result(options, document, lambda: print_lines(_told(session, plan, done=done)))
    return 0 if done else 1


def _document(record: Record, plan: _Plan, *, done: bool) -> dict[str, Any]:
    return {
        "target": record.target,
        "done": done,
        "rotation_id": plan.intent.id,
        "access_key": plan.access_key,
        "previous_access_key": plan.current.access_key,
        "from_version": plan.intent.from_version,
        "vault_version": record.current.vault_version if done and record.current else None,
        "error": "" if done else _why_not(record, plan),
    }


def _told(session: Session, plan: _Plan, *, done: bool) -> Iterator[str]:
    record = session.record
    if done and record.current:
        yield f"{record.target}: {plan.access_key} is current again, as version {record.current.vault_version}"
        key = next((each for each in record.retiring if each.access_key == plan.current.access_key), None)
        if key:
            yield f"  {key.access_key} works until {when(key.retire_after, session.now)}"
        due = due_at(record, session.target, session.now)
        if due:
            yield f"  The next rotation is {when(due, session.now)}. For a sooner one: `rotator reschedule`."
        return
    yield f"{record.target}: not done: {_why_not(record, plan)}"


def _why_not(record: Record, plan: _Plan) -> str:
    if record.rotation and record.rotation.id == plan.intent.id:
        why = f": {record.failure.what}. {record.failure.hint}" if record.failure else ""
        return f"it is on record and not published yet{why}. A worker goes on with it."
    entries = (e for e in record.history.newest_first() if e.rotation_id == plan.intent.id and e.facts.get("error"))
    return next((str(entry.facts["error"]) for entry in entries), "see `rotator history`")
