"""What apps really read: one judgement, for the watch, for ``rotator check`` and for the audit. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from worker.errors import AccountGone, CopyFailed, RecordError, VaultError, VaultUnavailable
from worker.rotation.changes.leak import REVOKED
from worker.rotation.copies import on_record
from worker.rotation.copy_access import vault_of
from worker.rotation.ports import Absence, Document, Life, Probe
from worker.rotation.record import CurrentKey, Record, Trouble, TroubleKind
from worker.rotation.services import Services, Storage
from worker.rotation.survey import Progress, read_all
from worker.rotation.texts import short
from worker.secret import Secret
from worker.targets.target import Target

DENIED = "AccessDenied"


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen at one moment.

    ``living``: whether the current key works, None where that could not be found out; then ``what`` says why.
    ``trouble`` is what is wrong, if anything; ``document`` is the app's secret as Vault has it, or the copy of it that
    the trouble is about. ``asked`` is False where the object storage could not be asked. ``unseen`` says which copies
    could not be looked at, and why.
    """

    at: datetime
    living: bool | None
    what: str = ""
    trouble: Trouble | None = None
    document: Document | None = None
    asked: bool = True
    unseen: Mapping[str, str] = field(default_factory=dict)


def observe(services: Services, target: Target, record: Record) -> Observation | None:
    """Look at the app's secret and its copies, and ask the object storage about the current key.

    None where there is none yet. Raises VaultError.
    """
    current = record.current
    if current is None:
        return None
    document = services.vault.read(target.path)
    now = services.clock.now()
    kind, what = _of_secret(target, record, current, document, target.path)
    if kind:
        living = None if kind is TroubleKind.OVERWRITTEN else False
        return Observation(now, living, what, _trouble(current, kind, now, what), document)
    probe = _probe(services, target, current, document)
    if probe.life is not Life.DEAD:
        living = True if probe.life is Life.ALIVE else None
        seen = Observation(now, living, "" if living else probe.detail, document=document, asked=probe.asked)
        return _with_copies(services, target, record, current, seen) if target.also else seen
    kind = TroubleKind.KEY_DENIED if probe.code == DENIED else TroubleKind.KEY_REFUSED
    what = f"the object storage refuses access key {current.access_key}: {probe.code or probe.detail}"
    return Observation(
        now, living=False, what=what, trouble=_trouble(current, kind, now, what, probe.code), document=document
    )


def _with_copies(
    services: Services, target: Target, record: Record, current: CurrentKey, seen: Observation
) -> Observation:
    """What is wrong with a copy, one that can be mended first; else as it was seen, and which cannot be looked at."""
    unseen: dict[str, str] = {}
    found: list[Observation] = []
    for copy in on_record(record, target):
        try:
            with vault_of(services, copy) as vault:
                document = vault.read(copy.path)
        except CopyFailed as error:
            unseen[copy.name] = error.what
            continue
        kind, what = _of_secret(target, record, current, document, copy.name)
        if kind:
            trouble = replace(_trouble(current, kind, seen.at, what), location=copy.name)
            found.append(replace(seen, what=what, trouble=trouble, document=document))
    found.sort(key=lambda each: each.trouble is not None and each.trouble.kind is TroubleKind.OVERWRITTEN)
    found.append(replace(seen, what=seen.what or "; ".join(unseen.values())))
    return replace(found[0], unseen=unseen)


def observe_all(
    services: Services, records: Mapping[str, Record], targets: Mapping[str, Target], progress: Progress | None = None
) -> dict[str, Observation]:
    """The same for every configured target that has a current key; a document that cannot be read is said there.

    Raises VaultUnavailable.
    """
    names = [name for name, record in records.items() if name in targets and record.current]
    seen = read_all(names, lambda name: _observe_now(services, targets[name], records[name]), progress)
    return {name: observation for name, observation in seen if observation}


def _observe_now(services: Services, target: Target, record: Record) -> Observation | None:
    """By the record as it was read a while ago; where something is wrong, by what it is by now."""
    try:
        found = observe(services, target, record)
        if found and found.trouble:
            found = observe(services, target, services.store.load(target.name, target.path).record)
    except VaultUnavailable:
        raise
    except (VaultError, RecordError) as error:
        what = f"what apps read could not be looked at: {error.what}"
        return Observation(services.clock.now(), None, what, asked=False)
    return found


def life_of(storage: Storage, access_key: str, witness: str | None) -> Life:
    """Whether a key lives whose secret nobody has.

    A refusal counts as death only where the same gateway knows ``witness``, another key that should live: some refuse
    a wrong secret of any key (docs/facts.md, "Ceph's object gateway").
    """
    life = storage.lives(access_key).life
    if life is not Life.DEAD:
        return life
    knows = witness not in (None, access_key) and storage.lives(str(witness)).life is Life.ALIVE
    return Life.DEAD if knows else Life.UNKNOWN


def advice(name: str, trouble: Trouble) -> str:
    """What to do about a trouble."""
    if trouble.location and trouble.kind is TroubleKind.OVERWRITTEN:
        return (
            "It is never overwritten. If it may be replaced, delete it there (`vault kv delete`): the worker has a "
            "new key published there. Else put the version before back, or take the copy out of `also`."
        )
    match trouble.kind:
        case TroubleKind.KEY_REFUSED | TroubleKind.KEY_DENIED:
            if trouble.what == REVOKED:
                return f"A new key is made as soon as HostUp makes one: `rotator rotate {name} --wait --now-anyway`."
            at_once = f"The worker replaces it by itself; at once: `rotator rotate {name} --wait`."
            return f"Somebody deleted it elsewhere, or HostUp did. {at_once}"
        case TroubleKind.SECRET_LOST:
            return (
                "The worker brings it back where it may (capability update on undelete/), else it publishes a new key."
            )
        case TroubleKind.OVERWRITTEN:
            return (
                f"It is never overwritten. If the key there may be replaced and retired: `rotator adopt {name} "
                "--access-key KEY`; else put the version before back."
            )


def _of_secret(
    target: Target, record: Record, current: CurrentKey, document: Document, where: str
) -> tuple[TroubleKind | None, str]:
    """What is wrong with the app's secret, or its copy ``where`` it says, and in words; None when it is ours."""
    if document.data is None:
        return TroubleKind.SECRET_LOST, f"the app's secret at {where} is {document.absence or Absence.NEVER}"
    if target.fields.read(document.data, "access_key") == current.access_key:
        return None, ""
    rotation = record.rotation
    if rotation and target.fields.read(document.data, "rotation_id") == rotation.id:
        return None, ""  # published already, and about to be recorded
    what = (
        f"Vault holds version {document.version} at {where} with another access key than {current.access_key}, "
        "which this project did not write"
    )
    return TroubleKind.OVERWRITTEN, what


def _probe(services: Services, target: Target, current: CurrentKey, document: Document) -> Probe:
    """Asked with a wrong secret first, and where that is refused, with the right one.

    Some gateways refuse a wrong secret of a living key as if the key were dead (docs/facts.md, "Ceph's object
    gateway"); the right secret shows the difference.
    """
    try:
        storage = services.at(current.account).storage
    except AccountGone as error:
        return Probe(Life.UNKNOWN, None, None, None, f"{error.what}. {error.hint}", asked=False)
    probe = storage.lives(current.access_key)
    secret = target.fields.read(document.data or {}, "secret_key")
    if probe.life is not Life.DEAD or not secret:
        return probe
    services.keep_secret(Secret(secret))
    return storage.works(current.access_key, Secret(secret))


def _trouble(current: CurrentKey, kind: TroubleKind, now: datetime, what: str, code: str | None = None) -> Trouble:
    return Trouble(kind=kind, access_key=current.access_key, since=now, what=short(what), code=code)
