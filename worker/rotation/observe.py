"""What apps really read: one judgement, for the watch, for ``rotator check`` and for the audit. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from worker.errors import AccountGone, CopyFailed, RecordError, RotatorError, VaultError, VaultUnavailable
from worker.rotation.changes.leak import REVOKED
from worker.rotation.copies import on_record
from worker.rotation.copy_access import vault_of
from worker.rotation.ports import SUSPENDED, WRONG_SECRET, Absence, Document, Life, Probe
from worker.rotation.record import CurrentKey, Record, Trouble, TroubleKind
from worker.rotation.services import Services, Storage
from worker.rotation.survey import Progress, read_all
from worker.rotation.texts import short
from worker.secret import Secret
from worker.targets.account import at_account
from worker.targets.target import Target

DENIED = "AccessDenied"

PLACES = ("endpoint", "region")
"""What tells apps where the object storage is."""


SUSPENDED_HINT = "Ask HostUp, or pay what is due: no key of this account works meanwhile, and another one would not."


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen at one moment.

    ``living``: whether the current key works, None where that could not be found out; then ``what`` says why.
    ``trouble`` is what is wrong, if anything; ``document`` is the app's secret as Vault has it, or the copy of it that
    the trouble is about. ``asked`` is False where the object storage could not be asked; ``code`` is what it answered.
    ``unseen`` says which copies could not be looked at, and why.
    """

    at: datetime
    living: bool | None
    what: str = ""
    trouble: Trouble | None = None
    document: Document | None = None
    asked: bool = True
    code: str | None = None
    unseen: Mapping[str, str] = field(default_factory=dict)


def suspended_text(account: str) -> str:
    """What is wrong with an account whose right secrets are answered so."""
    return f"the object storage says that its user is suspended ({SUSPENDED}){at_account(account)}"


def observe(services: Services, target: Target, record: Record, *, right: bool = False) -> Observation | None:
    """Look at the app's secret and its copies, and ask the object storage about the current key.

    With ``right`` it is asked with the right secret, whosever turn that is. None where there is none yet.

    Raises VaultError.
    """
    current = record.current
    if current is None:
        return None
    document = services.vault.read(target.path, current.vault_version)
    now = services.clock.now()
    kind, what = _of_secret(target, record, current, document, target.path)
    if kind:
        living = None if kind is TroubleKind.OVERWRITTEN else False
        return Observation(now, living, what, _trouble(current, kind, now, what), document)
    probe = _probe(services, target, current, document, right=right)
    if probe.life is not Life.DEAD or probe.code == WRONG_SECRET:
        changed = _changed(services, target, current, document, probe)
        if changed:
            what = _changed_text(changed, document, target.path)
            return Observation(now, None, what, _trouble(current, TroubleKind.OVERWRITTEN, now, what), document)
        living = True if probe.life is Life.ALIVE else None
        seen = Observation(now, living, "" if living else probe.detail, None, document, probe.asked, probe.code)
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
        if kind is None:
            changed = _unlike(target, seen.document, document)
            kind = TroubleKind.OVERWRITTEN if changed else None
            what = _changed_text(changed, document, copy.name)
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
                "--access-key KEY`; else put the version before back. With our own key and rotation in it, "
                f"`rotator rotate {name}` publishes a new one over it."
            )


def _of_secret(
    target: Target, record: Record, current: CurrentKey, document: Document, where: str
) -> tuple[TroubleKind | None, str]:
    """What is wrong with the app's secret, or its copy ``where`` it says, and in words; None when it is ours."""
    if document.data is None:
        return TroubleKind.SECRET_LOST, f"the app's secret at {where} is {document.absence or Absence.NEVER}"
    if target.fields.read(document.data, "access_key") == current.access_key:
        by_us = target.fields.read(document.data, "rotation_id") == current.rotation_id
        if where != target.path or by_us or document.version == current.vault_version:
            return None, ""
        what = f"somebody wrote version {document.version} at {where}: it names another rotation than ours"
        return TroubleKind.OVERWRITTEN, what
    rotation = record.rotation
    if rotation and target.fields.read(document.data, "rotation_id") == rotation.id:
        return None, ""  # published already, and about to be recorded
    what = (
        f"Vault holds version {document.version} at {where} with another access key than {current.access_key}, "
        "which this project did not write"
    )
    return TroubleKind.OVERWRITTEN, what


def _probe(services: Services, target: Target, current: CurrentKey, document: Document, *, right: bool) -> Probe:
    """Asked with a wrong secret first, and where that is refused, with the right one.

    Some gateways refuse a wrong secret of a living key as if the key were dead (docs/facts.md, "Ceph's object
    gateway"); the right secret shows the difference. It is asked with at once where somebody wrote a version since, who
    may have changed it, and now and then: only to the right one says the storage that its user is suspended.
    """
    try:
        storage = services.at(current.account).storage
    except AccountGone as error:
        return Probe(Life.UNKNOWN, None, None, None, f"{error.what}. {error.hint}", asked=False)
    secret = target.fields.read(document.data or {}, "secret_key")
    if not secret:
        return storage.lives(current.access_key)
    if not right and document.version == current.vault_version and not _is_its_turn(services, current.account):
        probe = storage.lives(current.access_key)
        if probe.life is not Life.DEAD:
            return probe
    services.keep_secret(Secret(secret))
    probe = storage.works(current.access_key, Secret(secret))
    services.right_secrets.answered(current.account, suspended=probe.code == SUSPENDED)
    return probe


def _is_its_turn(services: Services, account: str) -> bool:
    return services.right_secrets.turn_of(account, services.clock.monotonic(), services.policy.watch_every)


def _changed(
    services: Services, target: Target, current: CurrentKey, document: Document, probe: Probe
) -> tuple[str, ...]:
    """Which of the fields that apps work with somebody changed since the key was published, by our own names.

    Looked for in a version that is not the recorded one, and where it does not fit the storage: somebody may as well
    have added a field. What was published tells, as long as Vault has it.
    """
    if document.version == current.vault_version:
        return ()
    doubtful = ["secret_key"] if probe.life is Life.DEAD and probe.code == WRONG_SECRET else []
    doubtful += _misleading(services, target, current, document)
    if not target.fields.read(document.data or {}, "secret_key"):
        doubtful.append("secret_key")
    if not doubtful:
        return ()
    before = _as_published(services, target, current)
    return tuple(doubtful) if before is None else _unlike(target, before, document)


def _changed_text(changed: tuple[str, ...], document: Document, where: str) -> str:
    return f"somebody changed {' and '.join(changed)} in version {document.version} at {where}, under our own key"


def _misleading(services: Services, target: Target, current: CurrentKey, document: Document) -> list[str]:
    """Where the app's secret says that the object storage is, and it is elsewhere, as far as that is known."""
    try:
        storage = services.at(current.account).storage
        real = {"endpoint": storage.endpoint, "region": storage.region}
    except VaultError:
        raise
    except RotatorError:
        return []
    return [source for source in PLACES if target.fields.read(document.data or {}, source) != real[source]]


def _as_published(services: Services, target: Target, current: CurrentKey) -> Document | None:
    """The version that the record names, while Vault has it and it is of this key."""
    if not current.vault_version:
        return None
    document = services.vault.read_version(target.path, current.vault_version)
    is_it = target.fields.read(document.data or {}, "access_key") == current.access_key
    return document if is_it else None


def _unlike(target: Target, one: Document | None, other: Document) -> tuple[str, ...]:
    """In which of the fields that apps work with two documents of the same key differ."""
    fields, first, second = target.fields, (one.data if one else None) or {}, other.data or {}
    if fields.read(first, "access_key") != fields.read(second, "access_key"):
        return ()
    sources = ("secret_key", *PLACES)
    return tuple(source for source in sources if fields.read(first, source) != fields.read(second, source))


def _trouble(current: CurrentKey, kind: TroubleKind, now: datetime, what: str, code: str | None = None) -> Trouble:
    return Trouble(kind=kind, access_key=current.access_key, since=now, what=short(what), code=code)
