"""The step that looks at what apps really read: the app's secret, and whether the current key still works.

Between two rotations a key may be deleted by a stranger, the app's secret may be deleted or overwritten, and Vault may
be set back. The watch finds that, confirms it by a second look, and has a rotation replace what apps cannot work with.
"""

from __future__ import annotations

from datetime import timedelta

import structlog

from worker.errors import CopyAway, CopyFailed, VaultDenied, VaultRefused
from worker.events import Event
from worker.rotation.changes.watch import confirmed, healings_of, may_heal, recovered, restored, troubled
from worker.rotation.copy_access import vault_of
from worker.rotation.decide import WATCH
from worker.rotation.hold import hold_on
from worker.rotation.observe import SUSPENDED_HINT, Observation, observe, suspended_text
from worker.rotation.ports import Absence, Document
from worker.rotation.record import Trouble, TroubleKind, version_at
from worker.rotation.status import held_back_by
from worker.rotation.steps.session import Pause, Session
from worker.targets.account import logged
from worker.targets.backoff import next_death_probe
from worker.targets.location import location


def watch(session: Session) -> Pause | None:
    """Look once at what apps read, and record only what is new."""
    seen = observe(session.services, session.target, session.record)
    session.observation = seen
    if seen is None:
        return None
    _tell_of_account(session)
    if seen.trouble is None:
        _nothing_wrong(session, seen)
        return None
    if (
        seen.trouble.kind is TroubleKind.SECRET_LOST
        and seen.document
        and _brought_back(session, seen.trouble, seen.document)
    ):
        return None
    return _found(session, seen.trouble)


def _nothing_wrong(session: Session, seen: Observation) -> None:
    """The key lives, or the storage cannot say: then nothing is known to be wrong, and nothing to be well again.

    Nor is a copy that could not be looked at.
    """
    trouble = session.record.trouble
    for what in seen.unseen.values():
        session.log(Event.WATCH_FOUND, error=what)
    if seen.living and not (trouble and trouble.location in seen.unseen):
        session.change(lambda record: recovered(record, seen.at))
    elif not seen.living:
        session.log(Event.WATCH_FOUND if seen.asked else Event.STORAGE_UNASKED, error=seen.what)


def _tell_of_account(session: Session) -> None:
    """That no app of an account can work is told once, and once that it is over; by each worker."""
    current = session.record.current
    news = session.services.right_secrets.news_of(current.account) if current else None
    if current is None or news is None:
        return
    log, account = structlog.get_logger("worker.rotation"), logged(current.account)
    if news:
        log.error(Event.ACCOUNT_SUSPENDED, error=suspended_text(current.account), hint=SUSPENDED_HINT, **account)
    else:
        log.info(Event.ACCOUNT_UNSUSPENDED, **account)


def _found(session: Session, trouble: Trouble) -> Pause | None:
    """Record a trouble at the first look, and confirm it at a later one."""
    known = session.record.trouble
    now = session.now
    if known is None or not known.is_the_same_as(trouble):
        session.change(lambda record: troubled(record, trouble))
        return Pause(WATCH, now + _second_look(session, timedelta(0), trouble), trouble.what)
    if known.confirmed:
        return None
    if now < known.since + _doubtful_for(session, trouble.kind):
        return Pause(WATCH, now + _second_look(session, now - known.since, trouble), trouble.what)
    session.change(lambda record: confirmed(record, trouble, now))
    if not may_heal(session.record, now) and trouble.kind is not TroubleKind.OVERWRITTEN:
        session.log(
            Event.TARGET_BLOCKED,
            error=f"{len(healings_of(session.record, now))} keys of this target died within a day",
            hint="Find out what deletes them; `rotator rotate` makes another one at once.",
        )
    _say_what_holds_a_new_key_back(session)
    return None


def _say_what_holds_a_new_key_back(session: Session) -> None:
    """Apps cannot work, and something keeps the worker from mending it: a person has to know (promise 9)."""
    now, record = session.now, session.record
    if not may_heal(record, now):
        return
    hold, full = hold_on(record, now, None), held_back_by(record)
    if hold:
        hint = f"`rotator resume {record.target}` ends the pause."
        session.log(Event.TARGET_BLOCKED, error=f"a new key waits for {hold.why}", hint=hint)
    elif full and not record.leaked:
        hint = "See why they are not deleted (`rotator status` names each), or shorten grace: then a new key is made."
        session.log(Event.TARGET_BLOCKED, error=f"apps cannot work, and no new key is made: {full}", hint=hint)


def _doubtful_for(session: Session, kind: TroubleKind) -> timedelta:
    """How long the same has to be found: a busy key may be denied for that long after its deletion."""
    policy = session.services.policy
    return policy.dead_within if kind is TroubleKind.KEY_DENIED else policy.tick


def _second_look(session: Session, since: timedelta, trouble: Trouble) -> timedelta:
    tick = session.services.policy.tick
    return max(tick, next_death_probe(since)) if trouble.kind is TroubleKind.KEY_DENIED else tick


def _brought_back(session: Session, trouble: Trouble, document: Document) -> bool:
    """Undelete a version that somebody deleted: that brings the same key back at once. False where it may not.

    A copy whose Vault is away just then is no trouble yet: it is looked at again.
    """
    current = session.record.current
    if document.absence is not Absence.DELETED or current is None:
        return False
    published = version_at(current.copies, trouble.location) if trouble.location else current.vault_version
    if document.version != published:
        return False
    try:
        again = _undeleted(session, trouble.location, document.version)
    except CopyAway as error:
        session.log(Event.WATCH_FOUND, error=error.what)
        return True
    except (CopyFailed, VaultDenied, VaultRefused):
        return False  # the policy does not allow it, or the version is gone for good
    if again.data is None or session.target.fields.read(again.data, "access_key") != current.access_key:
        return False
    now, version = session.now, document.version
    session.change(lambda record: restored(record, version, now, trouble.location))
    return True


def _undeleted(session: Session, name: str, version: int) -> Document:
    """The app's secret, or the copy of this name, after its version was brought back."""
    if not name:
        session.services.vault.undelete(session.target.path, version)
        return session.services.vault.read(session.target.path)
    copy = location(name)
    with vault_of(session.services, copy) as vault:
        vault.undelete(copy.path, version)
        return vault.read(copy.path)
