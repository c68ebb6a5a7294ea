"""What a person decides about a record: adopt a key by name, settle an unconfirmed create. Pure, as the transitions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from worker.errors import UsageError
from worker.events import Event
from worker.rotation.changes.rotation import note, other, replaced, to_retire
from worker.rotation.ports import Document
from worker.rotation.record import CurrentKey, Record, UnconfirmedCreate, Why, one_more_adopted
from worker.rotation.texts import LONGEST_ID, LONGEST_REASON, short, short_id
from worker.targets.account import DEFAULT_ACCOUNT
from worker.targets.fields import FieldMap


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at the app's path: the key that a person names, its version, and the account that it lies on."""

    access_key: str
    version: int
    label: str | None
    request_id: str | None
    rotation_id: str | None
    account: str = DEFAULT_ACCOUNT

    def as_current(self, created_at: datetime, published_at: datetime) -> CurrentKey:
        """The same as the current key of a record."""
        return CurrentKey(
            access_key=self.access_key,
            vault_version=self.version,
            rotation_id=self.rotation_id,
            request_id=self.request_id,
            label=self.label,
            created_at=created_at,
            published_at=published_at,
            account=self.account,
        )


def found_in(fields: FieldMap, document: Document) -> Found | None:
    """What an app's secret names, of ids only what can be one; None where it names no access key."""
    secret = document.data or {}
    access_key = short_id(fields.read(secret, "access_key"))
    if not access_key:
        return None
    label = fields.read(secret, "label")
    return Found(
        access_key=access_key,
        version=document.version,
        label=label if label is None else short(label, LONGEST_REASON),
        request_id=short_id(fields.read(secret, "request_id")),
        rotation_id=short_id(fields.read(secret, "rotation_id")),
    )


def tried_at_once(record: Record, now: datetime) -> Record:
    """A person wants no more waiting after a failure: its next try is now, also where HostUp asked for a pause."""
    if record.failure is None or record.failure.retry_at <= now:
        return record
    return replace(record, failure=replace(record.failure, retry_at=now))


def adopted_key(record: Record, found: Found, now: datetime, grace: timedelta) -> Record:
    """Take over the key that stands at the app's path: from now on it is the current one.

    The one that was current retires after ``grace``; a rotation under way will publish over the adopted version.
    Raises UsageError when the key is one that has been, or may at any moment be, deleted.
    """
    retiring = {key.access_key: key for key in record.retiring}
    if found.access_key in retiring:
        key = retiring[found.access_key]
        raise UsageError(
            f"access key {found.access_key} is retiring ({key.state}) and cannot become current again",
            target=record.target,
            hint="Put the current secret back at the app's path (`rotator status` names its version), then adopt that.",
        )
    staged = record.rotation.key if record.rotation else None
    if staged and staged.access_key == found.access_key:
        raise UsageError(
            f"access key {found.access_key} is the staged key of the rotation under way",
            target=record.target,
            hint="Put the version before back at the app's path; the worker publishes the staged key by itself.",
        )
    old = record.current
    known = old is not None and old.access_key == found.access_key
    began = (old.created_at, old.published_at) if old and known else (now, now)
    current = replace(found.as_current(*began), copies=old.copies if old and known else ())
    noted = note(
        record,
        Event.KEY_ADOPTED,
        now,
        access_key=found.access_key,
        vault_version=found.version,
        rotation_id=found.rotation_id,
        request_id=found.request_id,
        account=other(found.account),
    )
    if old and not known:
        noted = replace(noted, retiring=(*noted.retiring, *replaced(record, now, now + grace)), revoked=None)
    rotation = record.rotation and replace(record.rotation, expected_version=found.version)
    counted = noted if known else one_more_adopted(noted, found.account)
    return replace(counted, current=current, rotation=rotation, failure=None)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a person found out about an unconfirmed create; ``revoke`` names a key that the worker is to retire."""

    text: str
    revoke: str | None = None


def settled_create(record: Record, rotation_id: str, verdict: Settlement, now: datetime) -> Record:
    """Settle the unconfirmed create of one rotation, and let the target go on.

    Raises UsageError when there is no such open unconfirmed create, or when the key to revoke is one on record.
    """
    if verdict.revoke and not (len(verdict.revoke) <= LONGEST_ID and verdict.revoke.isprintable()):
        raise UsageError(
            f"no access key has such a name: it has {len(verdict.revoke)} characters, or some that cannot be printed",
            target=record.target,
            hint="Name the key as HostUp's panel shows it.",
        )
    create = _open_create(record, rotation_id)
    if verdict.revoke and verdict.revoke in record.keys_on_record():
        raise UsageError(
            f"access key {verdict.revoke} is on record and in use",
            target=record.target,
            hint=f"The orphan is the key with the label {create.label!r} that `rotator status` does not name.",
        )
    noted = note(
        record, Event.CREATE_SETTLED, now, rotation_id=rotation_id, access_key=verdict.revoke, verdict=verdict.text
    )
    creates = tuple(replace(m, settled=verdict.text) if m is create else m for m in record.unconfirmed_creates)
    if verdict.revoke:
        key = to_retire(verdict.revoke, Why.SETTLED, rotation_id, create.request_id, now)
        noted = replace(noted, retiring=(*noted.retiring, replace(key, account=create.account)))
    return replace(noted, unconfirmed_creates=creates, failure=None)


def _open_create(record: Record, rotation_id: str) -> UnconfirmedCreate:
    for create in record.unconfirmed_creates:
        if create.open and create.rotation_id == rotation_id:
            return create
    waiting = ", ".join(m.rotation_id for m in record.unconfirmed_creates if m.open) or "none"
    raise UsageError(
        f"there is no open unconfirmed create of rotation {rotation_id}",
        target=record.target,
        hint=f"Open are: {waiting}.",
    )
