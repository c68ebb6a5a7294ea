"""The step that looks at what apps really read: the app's secret, and whether the current key still works.

Between two rotations a key may be deleted by a stranger, the app's secret may be deleted or overwritten, and Vault may
be set back. The watch finds that, confirms it by a second look, and has a rotation replace what apps cannot work with.
"""

from __future__ import annotations

from datetime import timedelta

from worker.errors import VaultDenied, VaultRefused
from worker.events import Event
from worker.rotation.changes.watch import confirmed, healings_of, may_heal, recovered, restored, troubled
from worker.rotation.decide import WATCH
from worker.rotation.ports import Absence, Document, Life, Probe
from worker.rotation.record import CurrentKey, Trouble, TroubleKind
from worker.rotation.steps.session import Pause, Session, Sighting
from worker.secret import Secret
from worker.targets.backoff import next_death_probe

DENIED = "AccessDenied"


def watch(session: Session) -> Pause | None:
    """Look once at what apps read, and record only what is new."""
    current = session.record.current
    if current is None:
        return None
    document = session.services.vault.read(session.target.path)
    trouble = _of_secret(session, current, document)
    if trouble is None:
        trouble = _of_key(session, current, document)
    if trouble is None:
        _nothing_wrong(session)
        return None
    if trouble.kind is TroubleKind.SECRET_LOST and _brought_back(session, document):
        return None
    return _found(session, trouble)


def _of_secret(session: Session, current: CurrentKey, document: Document) -> Trouble | None:
    """What is wrong with the app's secret. None where it is ours."""
    path, version = session.target.path, document.version
    if document.data is None:
        what = f"the app's secret at {path} is {document.absence or Absence.NEVER}"
        return _trouble(session, current, TroubleKind.SECRET_LOST, what)
    fields = session.target.fields
    found = fields.read(document.data, "access_key")
    if found == current.access_key:
        return None
    rotation = session.record.rotation
    if rotation and fields.read(document.data, "rotation_id") == rotation.id:
        return None  # published already, and about to be recorded
    what = f"Vault holds version {version} at {path} with another access key than {current.access_key}"
    return _trouble(session, current, TroubleKind.OVERWRITTEN, what)


def _of_key(session: Session, current: CurrentKey, document: Document) -> Trouble | None:
    """What is wrong with the key; asked with a wrong secret first, and where that is refused, with the right one.

    Some gateways refuse a wrong secret of a living key as if the key were dead (docs/facts.md, "Ceph's object
    gateway"); the right secret tells.
    """
    probe = session.services.storage.lives(current.access_key)
    if probe.life is Life.DEAD:
        probe = _with_its_secret(session, current, document, probe)
    if probe.life is Life.DEAD:
        kind = TroubleKind.KEY_DENIED if probe.code == DENIED else TroubleKind.KEY_REFUSED
        what = f"the object storage refuses access key {current.access_key}: {probe.code or probe.detail}"
        return _trouble(session, current, kind, what, probe.code)
    living = True if probe.life is Life.ALIVE else None
    session.sighting = Sighting(session.now, living, "" if living else probe.detail)
    return None


def _with_its_secret(session: Session, current: CurrentKey, document: Document, refused: Probe) -> Probe:
    secret = session.target.fields.read(document.data or {}, "secret_key")
    if not secret:
        return refused
    session.services.keep_secret(Secret(secret))
    return session.services.storage.works(current.access_key, Secret(secret))


def _trouble(session: Session, current: CurrentKey, kind: TroubleKind, what: str, code: str | None = None) -> Trouble:
    session.sighting = Sighting(session.now, living=None if kind is TroubleKind.OVERWRITTEN else False, what=what)
    return Trouble(kind=kind, access_key=current.access_key, since=session.now, what=what, code=code)


def _nothing_wrong(session: Session) -> None:
    """The key lives, or the storage cannot say: then nothing is known to be wrong, and nothing to be well again."""
    seen = session.sighting
    if seen and seen.living:
        now = session.now
        session.change(lambda record: recovered(record, now))
    elif seen:
        session.log(Event.WATCH_FOUND, error=seen.what, access_key=_current_name(session))


def _found(session: Session, trouble: Trouble) -> Pause | None:
    """Record a trouble at the first look, and confirm it at a later one."""
    known = session.record.trouble
    now = session.now
    if known is None or (known.kind, known.access_key) != (trouble.kind, trouble.access_key):
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
    return None


def _doubtful_for(session: Session, kind: TroubleKind) -> timedelta:
    """How long the same has to be found: a busy key may be denied for that long after its deletion."""
    policy = session.services.policy
    return policy.dead_within if kind is TroubleKind.KEY_DENIED else policy.tick


def _second_look(session: Session, since: timedelta, trouble: Trouble) -> timedelta:
    tick = session.services.policy.tick
    return max(tick, next_death_probe(since)) if trouble.kind is TroubleKind.KEY_DENIED else tick


def _brought_back(session: Session, document: Document) -> bool:
    """Undelete a version that somebody deleted: that brings the same key back at once. False where it may not."""
    current = session.record.current
    if document.absence is not Absence.DELETED or current is None or document.version != current.vault_version:
        return False
    try:
        session.services.vault.undelete(session.target.path, document.version)
    except (VaultDenied, VaultRefused):
        return False  # the policy does not allow it, or the version is gone for good
    again = session.services.vault.read(session.target.path)
    if again.data is None or session.target.fields.read(again.data, "access_key") != current.access_key:
        return False
    now, version = session.now, document.version
    session.change(lambda record: restored(record, version, now))
    return True


def _current_name(session: Session) -> str | None:
    return session.record.current.access_key if session.record.current else None
