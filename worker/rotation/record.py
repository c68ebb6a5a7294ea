"""The record of a target: what is known about its keys, and where its rotation stands.

One KV v2 document per target holds it. Everything here is plain data; how it changes is in
:mod:`worker.rotation.changes.rotation`, what follows from it in :mod:`worker.rotation.decide`, how it is kept in
:mod:`worker.rotation.records`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

from pydantic import AwareDatetime, ConfigDict, PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from worker.errors import RecordTooNew, RecordUnreadable
from worker.secret import Secret

SCHEMA = 1
"""The version of the record's form; a record with a higher one is never interpreted."""

# strings of values come and go with each record, and a staged secret is one: only names of fields are kept
_STRICT = ConfigDict(extra="forbid", cache_strings="keys")


def _to_secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if isinstance(value, str) and value:
        return Secret(value)
    raise ValueError("a non-empty string is wanted")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request for a rotation, known by the id of the message or command that brought it."""

    __pydantic_config__ = _STRICT
    id: str
    reason: str
    at: AwareDatetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who alone may ask HostUp for this rotation's key, and until when; afterwards another may take over."""

    __pydantic_config__ = _STRICT
    holder: str
    until: AwareDatetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedKey:
    """A new key with its secret, until it is published. ``verify_by``: how long it may take to spread."""

    __pydantic_config__ = _STRICT
    access_key: str
    secret_key: _StoredSecret
    request_id: str | None
    created_at: AwareDatetime
    verify_by: AwareDatetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """A rotation under way. ``expected_version`` is what publishing must find at the app's path."""

    __pydantic_config__ = _STRICT
    id: str
    phase: Phase
    trigger: str
    reason: str
    started_at: AwareDatetime
    label: str
    expected_version: int
    key_count_before: int | None
    lease: Lease
    key: StagedKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentKey:
    """The key that Vault publishes, as version ``vault_version`` of the app's secret."""

    __pydantic_config__ = _STRICT
    access_key: str
    vault_version: int
    rotation_id: str | None
    request_id: str | None
    label: str | None
    created_at: AwareDatetime
    published_at: AwareDatetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiringKey:
    """A key on its way out.

    It works at least until ``retire_after``; then it is deleted (``deleted_at``, ``delete_request_id``) and probed
    until the object storage refuses it. ``next_look_at``: when it wants the next step; ``attempts`` of that step were
    made so far, and ``error`` tells why the last one failed.
    """

    __pydantic_config__ = _STRICT
    access_key: str
    why: Why
    rotation_id: str | None
    request_id: str | None
    vault_version: int | None
    retire_after: AwareDatetime
    next_look_at: AwareDatetime
    deleted_at: AwareDatetime | None = None
    delete_request_id: str | None = None
    attempts: int = 0
    overdue: bool = False
    error: str = ""

    @property
    def state(self) -> str:
        """In a word, for people: waiting, deleted, or overdue (deleted long ago, and still not refused)."""
        if self.overdue:
            return "overdue"
        return "deleted" if self.deleted_at else "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnconfirmedCreate:
    """A create call whose outcome nobody knows, with all that is known about it.

    ``settled`` says how it was cleared up; empty while it is open.
    """

    __pydantic_config__ = _STRICT
    rotation_id: str
    at: AwareDatetime
    label: str
    error: str
    request_id: str | None
    key_count_before: int | None
    key_count_after: int | None
    settled: str = ""

    @property
    def open(self) -> bool:
        """Whether it still waits to be cleared up."""
        return not self.settled

    @property
    def harmless(self) -> bool:
        """Whether ``keyCount`` speaks against a new key. It proves nothing: other targets' keys may have gone."""
        before, after = self.key_count_before, self.key_count_after
        return before is not None and after is not None and after <= before


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The last thing that went wrong, and when it is tried again. ``count`` is how often in a row."""

    __pydantic_config__ = _STRICT
    at: AwareDatetime
    what: str
    hint: str
    kind: str
    operation: str
    request_id: str | None
    count: int
    retry_at: AwareDatetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that is known of one target; see the module's docstring.

    ``nonce`` differs in every write, so that a writer can recognise its own. ``served`` pairs the newest request ids
    with the rotation that served them. ``history`` holds the newest entries (one JSON text each); older ones lie in
    archive documents. ``adopted`` counts the keys that were taken over by name.
    """

    __pydantic_config__ = _STRICT
    target: str
    path: str
    schema: int = SCHEMA
    nonce: str = ""
    current: CurrentKey | None = None
    rotation: Rotation | None = None
    requests: tuple[Request, ...] = ()
    served: tuple[tuple[str, str], ...] = ()
    retiring: tuple[RetiringKey, ...] = ()
    unconfirmed_creates: tuple[UnconfirmedCreate, ...] = ()
    failure: Failure | None = None
    history: tuple[str, ...] = field(default=(), repr=False)
    next_entry: int = 1
    adopted: int = 0

    @property
    def phase(self) -> Phase:
        """Where the target stands."""
        if self.rotation:
            return self.rotation.phase
        return Phase.FAILED if self.failure else Phase.IDLE

    def keys_on_record(self) -> Iterator[str]:
        """Every access key that this record answers for and that is not proven dead."""
        if self.current:
            yield self.current.access_key
        if self.rotation and self.rotation.key:
            yield self.rotation.key.access_key
        for key in self.retiring:
            yield key.access_key


@cache
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def encode(record: Record) -> dict[str, Any]:
    """The record as the JSON document that Vault keeps; holds the staged key's secret, and no other."""
    document: dict[str, Any] = _adapter().dump_python(record, mode="json")
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
    try:
        # by way of JSON text: strict about types, yet times and tuples are read from their JSON forms
        record = _adapter().validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        raise _unreadable(target, _places(error)) from None
    except (TypeError, ValueError):
        raise _unreadable(target, "it is not JSON") from None
    problem = _inconsistent(record, target)
    if problem:
        raise _unreadable(target, problem)
    return record


def _places(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(str(p) for p in e['loc']) or 'document'}: {e['type']}" for e in found[:5])


def _inconsistent(record: Record, target: str) -> str:
    """What valid values contradict each other; empty when none do."""
    rotation = record.rotation
    if record.schema != SCHEMA or record.target != target:
        return f"it is of schema {record.schema} and of target {record.target!r}"
    if rotation and rotation.phase not in (Phase.CREATING, Phase.STAGED, Phase.VERIFIED):
        return f"a rotation cannot be {rotation.phase}"
    if rotation and (rotation.key is None) != (rotation.phase is Phase.CREATING):
        return f"a rotation that is {rotation.phase} {'has no' if rotation.key is None else 'has a'} staged key"
    keys = list(record.keys_on_record())
    if len(set(keys)) != len(keys):
        return "one access key stands in two places"
    return ""


def history_of(data: Mapping[str, object], target: str) -> tuple[str, ...]:
    """The history alone, as far as it is one, also of a record that cannot be used. Raises RecordUnreadable."""
    texts = data.get("history", [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _unreadable(target, "its history is no list of texts")
    return tuple(texts)


def _unreadable(target: str, why: str) -> RecordUnreadable:
    return RecordUnreadable(
        f"the record cannot be read: {why}",
        target=target,
        hint=f"Nothing of this target is touched. See what `rotator repair {target}` would do.",
    )
