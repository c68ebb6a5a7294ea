"""The record of a target: what is known about its keys, and where its rotation stands.

One KV v2 document per target holds it. Everything here is plain data; how it changes is in
:mod:`worker.rotation.changes.rotation`, what follows from it in :mod:`worker.rotation.decide`, how it is kept in
:mod:`worker.rotation.records`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    Strict,
    TypeAdapter,
    ValidationError,
)

from worker.clock import is_possible
from worker.errors import RecordTooNew, RecordUnreadable
from worker.rotation.history import History
from worker.secret import Secret
from worker.targets.account import DEFAULT_ACCOUNT

SCHEMA = 1
"""The version of the record's form; a record with a higher one is never interpreted."""

ADDED = frozenset(
    {
        "leaked",
        "from_version",
        "paused",
        "next_at",
        "revoking",
        "revoked",
        "account",
        "moves",
        "adopted_elsewhere",
        "released_elsewhere",
        "copies",
        "from_copies",
        "location",
    }
)
"""Fields of records and of what is in them that the first release did not have; each may be missing."""

_LISTS = ("requests", "retiring", "unconfirmed_creates")

_LONGEST_NAME = 60

# strings of values come and go with each record, and a staged secret is one: only names of fields are kept
_STRICT = ConfigDict(extra="forbid", cache_strings="keys")


def _to_secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if isinstance(value, str) and value:
        return Secret(value)
    raise ValueError("a non-empty string is wanted")


def _as_written(value: object) -> object:
    """Only the form that we write: pydantic would also take numbers, as seconds since 1970."""
    if isinstance(value, str) and "T" in value:
        return value
    raise ValueError("a moment in ISO 8601 is wanted")


def _possible(value: datetime) -> datetime:
    if is_possible(value):
        return value
    raise ValueError("a moment of our time is wanted")


def _to_history(value: object) -> History:
    if isinstance(value, History):
        return value
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return History(tuple(value))
    raise ValueError("a list of texts is wanted")


# Strict about what JSON can tell apart; lists become tuples, and texts become moments and members of enums.
_Text = Annotated[str, Strict()]
_Number = Annotated[int, Strict()]
_Flag = Annotated[bool, Strict()]
_Moment = Annotated[AwareDatetime, BeforeValidator(_as_written), AfterValidator(_possible)]
_StoredHistory = Annotated[History, PlainValidator(_to_history), PlainSerializer(lambda history: list(history.texts()))]
_StoredSecret = Annotated[Secret, PlainValidator(_to_secret), PlainSerializer(Secret.reveal, return_type=str)]


class Phase(StrEnum):
    """Where a target stands. ``published`` is not among them: publishing ends the rotation in the same write."""

    IDLE = "idle"
    CREATING = "creating"
    STAGED = "staged"
    VERIFIED = "verified"
    FAILED = "failed"


class Why(StrEnum):
    """Why a key is to be retired."""

    REPLACED = "replaced"  # a new key was published
    REFUSED = "refused"  # the object storage never accepted it
    STRAY = "stray"  # it came after its rotation had been given up
    UNUSABLE = "unusable"  # the API named it but showed no secret
    SETTLED = "settled"  # a person found it and named it
    REMOVED = "removed"  # its target was removed before any app read it
    REVOKED = "revoked"  # its target was removed, and a person wants it deleted although apps read it
    DIED = "died"  # it stopped working while it was current; nothing has to be deleted
    LEFT = "left"  # its target left the account before the key was published


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request for a rotation, known by the id of the message or command that brought it.

    ``leaked``: strangers may have the keys that apps read. Who asked is in the history (``rotation.requested``).
    """

    __pydantic_config__ = _STRICT
    id: _Text
    reason: _Text
    at: _Moment
    leaked: _Flag = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """A person wants no new key for the target for a while; ``until`` None: until it is resumed."""

    __pydantic_config__ = _STRICT
    at: _Moment
    by: _Text
    reason: _Text
    until: _Moment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who alone may ask HostUp for this rotation's key, and until when; afterwards another may take over."""

    __pydantic_config__ = _STRICT
    holder: _Text
    until: _Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyVersion:
    """A version of a copy of the app's secret, and where it lies, named as in ``also``."""

    __pydantic_config__ = _STRICT
    location: _Text
    version: _Number


def version_at(copies: tuple[CopyVersion, ...], location: str) -> int | None:
    """The version of the copy at this location; None where there is none."""
    return next((copy.version for copy in copies if copy.location == location), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedKey:
    """A new key with its secret, until it is published. ``verify_by``: how long it may take to spread."""

    __pydantic_config__ = _STRICT
    access_key: _Text
    secret_key: _StoredSecret
    request_id: _Text | None
    created_at: _Moment
    verify_by: _Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """A rotation under way. ``expected_version`` is what publishing must find at the app's path.

    ``from_version``: the old version of the app's secret whose key is brought back (a rollback), and ``from_copies``
    those of its copies. ``copies`` are those that have the new key already. ``account`` is where its key is made.
    """

    __pydantic_config__ = _STRICT
    id: _Text
    phase: Phase
    trigger: _Text
    reason: _Text
    started_at: _Moment
    label: _Text
    expected_version: _Number
    key_count_before: _Number | None
    lease: Lease
    key: StagedKey | None = None
    from_version: _Number | None = None
    account: _Text = DEFAULT_ACCOUNT
    from_copies: tuple[CopyVersion, ...] = ()
    copies: tuple[CopyVersion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentKey:
    """The key that Vault publishes, as version ``vault_version`` of the app's secret, and in ``copies`` of it.

    It lies on ``account``.
    """

    __pydantic_config__ = _STRICT
    access_key: _Text
    vault_version: _Number
    rotation_id: _Text | None
    request_id: _Text | None
    label: _Text | None
    created_at: _Moment
    published_at: _Moment
    account: _Text = DEFAULT_ACCOUNT
    copies: tuple[CopyVersion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiringKey:
    """A key on its way out.

    It works at least until ``retire_after``; then it is deleted (``deleted_at``, ``delete_request_id``) and probed
    until the object storage refuses it. ``next_look_at``: when it wants the next step; ``attempts`` of that step were
    made so far, and ``error`` tells why the last one failed. ``undiminished``: how many keys HostUp counted before its
    delete, where it counted no fewer afterwards. ``leaked``: strangers may have it, so nobody's use keeps it.
    ``copies``: beside ``vault_version``, the versions of copies of the app's secret that hold it. ``account`` is where
    it lies, and where it is deleted.
    """

    __pydantic_config__ = _STRICT
    access_key: _Text
    why: Why
    rotation_id: _Text | None
    request_id: _Text | None
    vault_version: _Number | None
    retire_after: _Moment
    next_look_at: _Moment
    deleted_at: _Moment | None = None
    delete_request_id: _Text | None = None
    attempts: _Number = 0
    overdue: _Flag = False
    undiminished: _Number | None = None
    error: _Text = ""
    leaked: _Flag = False
    account: _Text = DEFAULT_ACCOUNT
    copies: tuple[CopyVersion, ...] = ()

    @property
    def state(self) -> str:
        """For people: waiting, deleted, or overdue (deleted long ago, and still not refused)."""
        if self.overdue:
            return "overdue"
        return "deleted" if self.deleted_at else "waiting"

    @property
    def wanted_at(self) -> datetime:
        """When the next step of its retirement may be made."""
        return max(self.retire_after, self.next_look_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnconfirmedCreate:
    """A create call whose outcome is unknown, with all that is known about it.

    ``settled`` says how it was cleared up; empty while it is open.
    """

    __pydantic_config__ = _STRICT
    rotation_id: _Text
    at: _Moment
    label: _Text
    error: _Text
    request_id: _Text | None
    key_count_before: _Number | None
    key_count_after: _Number | None
    settled: _Text = ""
    account: _Text = DEFAULT_ACCOUNT

    @property
    def open(self) -> bool:
        """Whether it still waits to be cleared up."""
        return not self.settled

    @property
    def harmless(self) -> bool:
        """Whether ``keyCount`` did not grow. That is no proof: other targets' keys may have been deleted."""
        before, after = self.key_count_before, self.key_count_after
        return before is not None and after is not None and after <= before


class TroubleKind(StrEnum):
    """What can be wrong with what apps read."""

    KEY_REFUSED = "key refused"  # the object storage does not know the current key
    KEY_DENIED = "key denied"  # AccessDenied for a key that worked: so says a busy key after its deletion
    SECRET_LOST = "secret lost"  # noqa: S105 - no secret; the app's secret was deleted or destroyed
    OVERWRITTEN = "overwritten"  # somebody else wrote over the app's secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What the watch found wrong with what apps read, since when, and of which current key.

    ``location``: which copy of the app's secret it is; empty: the secret itself, or the key.

    ``confirmed``: a second look found the same, so a rotation may replace the key. ``code`` is the storage's S3 code.
    """

    __pydantic_config__ = _STRICT
    kind: TroubleKind
    access_key: _Text
    since: _Moment
    what: _Text
    code: _Text | None = None
    confirmed: _Flag = False
    location: _Text = ""

    def is_the_same_as(self, other: Trouble) -> bool:
        """Whether it is of the same kind, at the same place, and of the same key."""
        return (self.kind, self.access_key, self.location) == (other.kind, other.access_key, other.location)

    def killed(self, access_key: str) -> bool:
        """Whether this key is known not to work any more."""
        deadly = self.kind in (TroubleKind.KEY_REFUSED, TroubleKind.KEY_DENIED)
        return self.confirmed and deadly and self.access_key == access_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The last thing that went wrong, and when it is tried again. ``count`` is how often in a row.

    ``account`` is the one that was asked, or would have been: another one is not waited for. ``location`` names the
    copy of the app's secret that it is about; empty: it is about none.
    """

    __pydantic_config__ = _STRICT
    at: _Moment
    what: _Text
    hint: _Text
    kind: _Text
    operation: _Text
    request_id: _Text | None
    count: _Number
    retry_at: _Moment
    account: _Text = DEFAULT_ACCOUNT
    location: _Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that is known of one target; see the module's docstring.

    ``nonce`` differs in every write, so that a writer can recognise its own. ``served`` pairs the newest request ids
    with the rotation that served them. ``history`` holds the newest entries; older ones lie in archive documents.
    ``adopted`` counts the keys that were taken over by name, ``released`` those that were left to a person.
    ``healings`` are when rotations began that replace a key because it died, of the last day. ``asked`` are when
    messages alone asked for a rotation, of the last hour. ``deletes_held``: Vault was set back, so nothing is deleted
    until that is settled. ``paused``: no new key is made. ``next_at`` is when a person wants the next rotation, instead
    of the schedule. ``revoking`` names the current key that a person wants deleted although there is no other,
    and ``revoked`` is that key from its delete on until it is dead: it stays the current one meanwhile.
    ``moves`` are when rotations began because the target belongs to another account, of the last day.
    ``adopted_elsewhere`` and ``released_elsewhere`` count for accounts other than the default one, by name.
    """

    __pydantic_config__ = _STRICT
    target: _Text
    path: _Text
    schema: _Number = SCHEMA
    nonce: _Text = ""
    current: CurrentKey | None = None
    rotation: Rotation | None = None
    requests: tuple[Request, ...] = ()
    served: tuple[tuple[_Text, _Text], ...] = ()
    retiring: tuple[RetiringKey, ...] = ()
    unconfirmed_creates: tuple[UnconfirmedCreate, ...] = ()
    failure: Failure | None = None
    trouble: Trouble | None = None
    healings: tuple[_Moment, ...] = ()
    asked: tuple[_Moment, ...] = ()
    deletes_held: _Flag = False
    paused: Paused | None = None
    next_at: _Moment | None = None
    revoking: _Text = ""
    revoked: RetiringKey | None = None
    history: _StoredHistory = field(default=History(), repr=False)
    next_entry: _Number = 1
    adopted: _Number = 0
    released: _Number = 0
    moves: tuple[_Moment, ...] = ()
    adopted_elsewhere: tuple[tuple[_Text, _Number], ...] = ()
    released_elsewhere: tuple[tuple[_Text, _Number], ...] = ()

    @property
    def phase(self) -> Phase:
        """Where the target stands."""
        if self.rotation:
            return self.rotation.phase
        return Phase.FAILED if self.failure else Phase.IDLE

    @property
    def leaked(self) -> bool:
        """Whether a request says that strangers may have the keys that apps read."""
        return any(request.leaked for request in self.requests)

    @property
    def has_ended(self) -> bool:
        """Whether no key is current or on its way to be: nothing is left but history, and perhaps what retires."""
        return not (self.current or self.rotation or any(create.open for create in self.unconfirmed_creates))

    @property
    def is_bare(self) -> bool:
        """Whether it answers for no key at all, so that the target may begin anew, also at another path."""
        return self.has_ended and not self.retiring

    @property
    def leaving(self) -> tuple[RetiringKey, ...]:
        """The keys to be deleted and proven dead: those that retire, and the current one where it was revoked."""
        return (*((self.revoked,) if self.revoked else ()), *self.retiring)

    def was_killed(self, access_key: str) -> bool:
        """Whether this key, which apps read, is known to be deleted or not to work any more."""
        revoked = self.revoked is not None and self.revoked.access_key == access_key
        return revoked or (self.trouble is not None and self.trouble.killed(access_key))

    def keys_on_record(self) -> Iterator[str]:
        """Every access key that this record answers for and that is not proven dead."""
        if self.current:
            yield self.current.access_key
        if self.rotation and self.rotation.key:
            yield self.rotation.key.access_key
        for key in self.retiring:
            yield key.access_key

    def accounts(self) -> frozenset[str]:
        """Every account on which a key of this record lies, or may lie."""
        found = [key.account for key in self.retiring]
        found += [create.account for create in self.unconfirmed_creates if create.open]
        found += [each.account for each in (self.current, self.rotation) if each]
        return frozenset(found)

    def adopted_at(self, account: str) -> int:
        """How many keys of an account were taken over by name."""
        return self.adopted if account == DEFAULT_ACCOUNT else dict(self.adopted_elsewhere).get(account, 0)

    def released_at(self, account: str) -> int:
        """How many keys of an account were left to a person."""
        return self.released if account == DEFAULT_ACCOUNT else dict(self.released_elsewhere).get(account, 0)


def one_more_adopted(record: Record, account: str) -> Record:
    """Count one more key of an account that was taken over by name."""
    if account == DEFAULT_ACCOUNT:
        return replace(record, adopted=record.adopted + 1)
    return replace(record, adopted_elsewhere=_one_more(record.adopted_elsewhere, account))


def one_more_released(record: Record, account: str) -> Record:
    """Count one more key of an account that was left to a person."""
    if account == DEFAULT_ACCOUNT:
        return replace(record, released=record.released + 1)
    return replace(record, released_elsewhere=_one_more(record.released_elsewhere, account))


def _one_more(counts: tuple[tuple[str, int], ...], account: str) -> tuple[tuple[str, int], ...]:
    known = dict(counts)
    known[account] = known.get(account, 0) + 1
    return tuple(known.items())


@cache
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def encode(record: Record) -> dict[str, Any]:
    """The record as the JSON document that Vault keeps; holds the staged key's secret, and no other.

    What :data:`ADDED` names is left out while it is not used, so that workers of the release before go on reading it.
    """
    document: dict[str, Any] = _adapter().dump_python(record, mode="json")
    single = (document, *(document[name] or {} for name in ("rotation", "current", "failure", "trouble", "revoked")))
    for inner in (*single, *(each for name in _LISTS for each in document[name])):
        for name in ADDED & inner.keys():
            if not inner[name] or (name == "account" and inner[name] == DEFAULT_ACCOUNT):
                del inner[name]
    return document


def decode(document: Mapping[str, object], target: str) -> Record:
    """Read a record back.

    Raises RecordTooNew for a later schema, RecordUnreadable for anything this release would not have written; the
    error names the places and quotes no values.
    """
    schema = document.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise RecordTooNew(
            f"the record has schema {schema}, this release knows {SCHEMA}",
            target=target,
            hint="Run the newer release on every worker; nothing of this target is touched until then.",
        )
    record = _validated(document)
    problem = record if isinstance(record, str) else _inconsistent(record, target)
    if problem or isinstance(record, str):
        raise _unreadable(target, problem)
    return record


def _validated(document: Mapping[str, object]) -> Record | str:
    """The record, or what is wrong with the document.

    As a value: pydantic's error quotes the document, staged secret and all, and would become our error's context.
    """
    try:
        return _adapter().validate_python(document)
    except ValidationError as error:
        return _places(error)


def _places(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(_name, e['loc'])) or 'document'}: {e['type']}" for e in found[:5])


def _name(part: int | str) -> str:
    """One name of a place, which anybody may have chosen, and as long as he liked."""
    text = str(part)
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"


def _inconsistent(record: Record, target: str) -> str:
    """What valid values contradict each other; empty when none do."""
    rotation = record.rotation
    if record.schema != SCHEMA or record.target != target:
        return f"it is of schema {record.schema} and of target {record.target!r}"
    if rotation and rotation.phase not in (Phase.CREATING, Phase.STAGED, Phase.VERIFIED):
        return f"a rotation cannot be {rotation.phase}"
    if rotation and (rotation.key is None) != (rotation.phase is Phase.CREATING):
        return f"a rotation that is {rotation.phase} {'has no' if rotation.key is None else 'has a'} staged key"
    if record.revoked and not (record.current and record.current.access_key == record.revoked.access_key):
        return "another key was revoked than the current one"
    keys = list(record.keys_on_record())
    if len(set(keys)) != len(keys):
        return "one access key stands in two places"
    return ""


def history_of(data: Mapping[str, object], target: str) -> History:
    """The history alone, as far as it is one, also of a record that cannot be used. Raises RecordUnreadable."""
    try:
        return _to_history(data.get("history", []))
    except ValueError:
        raise _unreadable(target, "its history is no list of texts") from None


def _unreadable(target: str, why: str) -> RecordUnreadable:
    return RecordUnreadable(
        f"the record cannot be read: {why}",
        target=target,
        hint="Nothing of this target is touched. Where a newer release wrote it, run that on every worker; else see "
        f"what `rotator repair {target}` would do.",
    )
