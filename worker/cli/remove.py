"""``rotator remove``: end a target that was removed from the configuration.

It shows what it will do, and asks. What no app reads retires; the current key is left to the person, or deleted too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from worker.cli.leaving import removed
from worker.cli.options import Options
from worker.cli.output import print_lines, progress, result, say
from worker.errors import AccountGone, QueueUnavailable, TryAgainLater
from worker.events import Event
from worker.rotation.changes.removal import Ending, ended, read_by_apps, see_that_it_can_end
from worker.rotation.changes.rotation import Holder
from worker.rotation.copy_access import published_of
from worker.rotation.leftover import retire_leftover
from worker.rotation.observe import life_of
from worker.rotation.ports import Life
from worker.rotation.record import CurrentKey, Phase, Record, RetiringKey, Why
from worker.rotation.steps.create import take_over
from worker.rotation.steps.session import Session
from worker.rotation.survey import Survey, survey
from worker.service.assemble import Runtime
from worker.settings.environment import Need


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: the record as it is and as it will be, and the key that apps read."""

    before: Record
    after: Record
    read: CurrentKey | None
    lives: Life | None
    ending: Ending

    @property
    def named(self) -> str | None:
        """The access key that apps read; also where a command that was killed in the middle has revoked it already."""
        left = _revoked(self.before)
        return self.read.access_key if self.read else left.access_key if left else None

    @property
    def has_work(self) -> bool:
        """Whether there is something to do: also what a command that was killed in the middle left."""
        left = _revoked(self.before)
        return not self.before.has_ended or (self.ending.revoke and left is not None and not left.deleted_at)


def remove(options: Options, name: str, *, revoke: bool, yes: bool) -> int:
    """Show what ending the target means, and do it with ``yes`` or when the person at the terminal agrees.

    1 when a key that is to be deleted at once could not be. Raises UsageError, TryAgainLater, RecordError, VaultError.
    """
    runtime = options.runtime(Need.VAULT | Need.HOSTUP if revoke else Need.VAULT)
    session = removed(runtime, name)
    _see_that_no_worker_serves(runtime, name)
    _take_over(session)
    if not session.record.has_ended:
        see_that_it_can_end(session.record)
    plan = _plan(runtime, session, revoke=revoke)
    if not options.as_json:
        print_lines(_shown(plan))
    done = plan.has_work and (yes or _agreed(name))
    if done:
        session.change(lambda record: ended(record, plan.ending, session.now))
    record = _retired(runtime, session) if done and revoke else session.record
    result(options, _document(plan, record, done=done), lambda: print_lines(_told(plan, record, done=done)))
    revoked = _revoked(record)
    return 1 if done and revoke and revoked and not revoked.deleted_at else 0


def _see_that_no_worker_serves(runtime: Runtime, name: str) -> None:
    """A worker that started before the configuration was changed goes on with the target; each drops it at its start.

    Raises TryAgainLater.
    """
    try:
        served = runtime.shared.heartbeats.workers() and runtime.shared.due.is_scheduled(name)
    except QueueUnavailable as error:
        say(f"{error.what}. See yourself that every worker was restarted since the configuration was changed.")
        return
    if served:
        raise TryAgainLater(
            "a worker still has it in its configuration",
            target=name,
            hint="Nothing was changed. Restart the workers with the new configuration, then run this again.",
        )


def _take_over(session: Session) -> None:
    """A worker died while it asked for a key: put that on record as one of another target would be."""
    rotation = session.record.rotation
    if rotation and rotation.phase is Phase.CREATING and rotation.lease.until <= session.now:
        take_over(session, Holder(rotation.id, rotation.lease.holder, rotation.account))


def _plan(runtime: Runtime, session: Session, *, revoke: bool) -> Plan:
    record, published = session.record, published_of(session.services, session.record)
    read = read_by_apps(record, published)
    ending = Ending(revoke, published, read.access_key if read else None)
    lives = _life(runtime, read) if read else None
    return Plan(record, ended(record, ending, session.now), read, lives, ending)


def _life(runtime: Runtime, key: CurrentKey) -> Life:
    """Whether the key lives; not known for an account that is not configured any more.

    The records are looked through for a key that shows what a refusal means only where that is asked.
    """
    try:
        storage = runtime.services.at(key.account).storage
    except AccountGone:
        return Life.UNKNOWN
    if storage.lives(key.access_key).life is Life.ALIVE:
        return Life.ALIVE
    return life_of(storage, key.access_key, _survey(runtime).witnesses().get(key.account))


def _agreed(name: str) -> bool:
    if not (sys.stdin and sys.stdin.isatty()):
        return False
    import typer

    return typer.confirm(f"End {name}?", default=False, err=True)


def _retired(runtime: Runtime, session: Session) -> Record:
    """Delete now what may be deleted now, as an audit of a worker would later."""
    return retire_leftover(runtime.services, _survey(runtime), session.target.name)


def _survey(runtime: Runtime) -> Survey:
    return survey(runtime.services, runtime.settings.targets, progress("looking for the key in all records"))


def _revoked(record: Record) -> RetiringKey | None:
    return next((key for key in record.retiring if key.why is Why.REVOKED), None)


def _delete_request_id(record: Record, access_key: str) -> str | None:
    """HostUp's name for the delete of a key, also of one that is proven dead already."""
    deletes = (entry for entry in record.history.newest_first() if entry.event == Event.KEY_RETIRED)
    return next((entry.request_id for entry in deletes if entry.access_key == access_key), None)


def _shown(plan: Plan) -> Iterator[str]:
    name = plan.before.target
    if plan.before.has_ended:
        yield f"{name}: it has ended already"
        yield from _retires(plan.before)
        return
    yield f"{name}, which was published at {plan.before.path}:"
    if plan.read:
        state = f" (by the object storage: {plan.lives})" if plan.lives else ""
        what = "is DELETED at HostUp at once" if plan.ending.revoke else "is left to you, and nobody deletes it"
        yield f"  current key: {plan.read.access_key}{state} {what}"
        if plan.ending.revoke:
            yield "    WARNING: every app that still reads it fails from then on."
    else:
        yield "  current key: none"
    yield from _retires(plan.after)
    if plan.before.requests:
        yield f"  {len(plan.before.requests)} requests for a rotation that wait are dropped"
    copies = plan.read.copies if plan.read else ()
    places = ", ".join((plan.before.path, *(copy.location for copy in copies)))
    yield f"  The app's secret at {places}, the history and whose each key was stay in Vault."


def _retires(record: Record) -> Iterator[str]:
    for key in record.retiring:
        if key.why is not Why.REVOKED:
            when = key.retire_after.isoformat(timespec="seconds")
            yield f"  retiring: {key.access_key} is deleted by a worker's audit from {when} on, and proven dead"


def _told(plan: Plan, record: Record, *, done: bool) -> Iterator[str]:
    name = plan.before.target
    if not done:
        if plan.has_work:
            yield "Nothing was changed. With --yes it is done."
        return
    yield ""
    yield f"Done: {name} has ended. `rotator history {name}` shows what was."
    if plan.ending.revoke:
        yield from _of_revoked(plan, record)
    elif plan.read:
        yield f"  {plan.read.access_key} counts as a foreign key from now on: the audit expects one more by itself."
        yield "  When you have deleted it in HostUp's panel, note one foreign key fewer: `rotator settle --foreign N`."


def _of_revoked(plan: Plan, record: Record) -> Iterator[str]:
    key = _revoked(record)
    if key and not key.deleted_at:
        why = key.error or "it could not be tried, see `rotator circuit`"
        yield f"  {key.access_key} is NOT deleted yet: {why}. A worker's audit tries again."
    elif plan.named:
        request_id = _delete_request_id(record, plan.named)
        yield f"  {plan.named} is deleted at HostUp, requestId {request_id or 'none'}."
        yield f"  The app's secret still names it; to take that away: `vault kv metadata delete` of {plan.before.path}."


def _document(plan: Plan, record: Record, *, done: bool) -> dict[str, Any]:
    left = _revoked(record)
    return {
        "target": plan.before.target,
        "path": plan.before.path,
        "done": done,
        "access_key": plan.named,
        "vault_version": (plan.read.vault_version or None) if plan.read else None,
        "life": plan.lives.value if plan.lives else None,
        "becomes": ("revoked" if plan.ending.revoke else "released") if plan.named else None,
        "deleted": done and plan.ending.revoke and not (left and not left.deleted_at),
        "delete_request_id": _delete_request_id(record, plan.named) if plan.named else None,
        "error": left.error if left else "",
        "retiring": [key.access_key for key in plan.after.retiring],
    }
