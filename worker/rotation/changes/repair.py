"""A record that cannot be read, made anew from what can still be believed. Pure: evidence in, a new record out.

Nothing is deleted because of such a document: a key that it names is neither retired nor published, but listed, and
only a person brings it back on record, by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from worker.clock import moment
from worker.events import Event
from worker.rotation.changes.rotation import note, put_aside, to_retire
from worker.rotation.changes.settlement import Found
from worker.rotation.history import Entry, History, decode_entry
from worker.rotation.hold import pause_text
from worker.rotation.record import CurrentKey, Paused, Record, Request, UnconfirmedCreate, Why
from worker.targets.account import DEFAULT_ACCOUNT

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RepairEvidence:
    """What there is: the document, archived history, and what the app's secret holds, and since when."""

    document: Mapping[str, object]
    archived: tuple[Entry, ...]
    found: Found | None
    found_at: datetime


@dataclass(frozen=True, slots=True)
class LooseKey:
    """A key that was named ``where``, and that the new record does not answer for.

    ``account`` is where it lies, ``made_at`` when it was made; None: not known.
    """

    access_key: str
    where: str
    rotation_id: str | None = None
    request_id: str | None = None
    account: str | None = None
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Repair:
    """The new record; what of the old one is in it, in words; and the keys that are not."""

    record: Record
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    loose: tuple[LooseKey, ...]


def rebuild(target: str, path: str, problem: str, evidence: RepairEvidence, now: datetime) -> Repair:
    """Make a record anew. Its current key is the one that Vault publishes, if that is known to be ours."""
    document = evidence.document
    history = _history(document, evidence.archived)
    entries = [*evidence.archived, *history.entries()]
    current = _current(evidence, proven_dead(entries))
    requests = _valid_items(Request, document.get("requests"))
    served = _valid_items(tuple[str, str], document.get("served"))
    creates = _valid_items(UnconfirmedCreate, document.get("unconfirmed_creates"))
    record = Record(
        target=target,
        path=path,
        current=current,
        paused=next(iter(_valid_items(Paused, [document.get("paused")])), None),
        next_at=moment(document.get("next_at")),
        deletes_held=bool(document.get("deletes_held")),  # whatever else it is: it is not "no"
        requests=requests,
        served=served,
        unconfirmed_creates=(*creates, *_interrupted(document.get("rotation"), now)),
        history=history,
        next_entry=max((entry.number for entry in entries), default=0) + 1,
        adopted=_counted(document.get("adopted")),
        released=_counted(document.get("released")),
        adopted_elsewhere=_valid_items(tuple[str, int], document.get("adopted_elsewhere")),
        released_elsewhere=_valid_items(tuple[str, int], document.get("released_elsewhere")),
    )
    record = note(record, Event.RECORD_REPAIRED, now, error=problem, access_key=current.access_key if current else None)
    taken = {
        "requests": len(requests),
        "served": len(served),
        "unconfirmed_creates": len(creates),
        "history": len(history),
    }
    dropped = (*_unread_wishes(document, record), *_dropped(document, {**taken, "retiring": 0}))
    published = [evidence.found.access_key] if evidence.found else []
    return Repair(record, _kept(record), dropped, loose_keys(document, entries, record, published))


def loose_keys(
    document: Mapping[str, object], entries: Iterable[Entry], record: Record, apart_from: Iterable[str] = ()
) -> tuple[LooseKey, ...]:
    """Every key that the document or the history names, apart from those on record and those proven dead."""
    entries = list(entries)
    known = {*record.keys_on_record(), *proven_dead(entries), *apart_from}
    found: dict[str, LooseKey] = {}
    for key in (*_named({k: v for k, v in document.items() if k != "history"}, ""), *_in_history(entries)):
        if key.access_key not in known:
            found.setdefault(key.access_key, key)
    return tuple(found.values())


def proven_dead(entries: Iterable[Entry]) -> frozenset[str]:
    """The keys that the object storage was seen to refuse after their deletion."""
    return frozenset(entry.access_key for entry in entries if entry.event == Event.KEY_DEAD and entry.access_key)


def retired(record: Record, key: LooseKey, now: datetime, when: datetime) -> Record:
    """Bring a loose key that a person named back on record, to be deleted from ``when`` on."""
    if key.access_key in record.keys_on_record():
        return record
    key_to_retire = to_retire(key.access_key, Why.SETTLED, key.rotation_id, key.request_id, when)
    return put_aside(record, replace(key_to_retire, account=key.account or DEFAULT_ACCOUNT), now)


def _current(evidence: RepairEvidence, dead: frozenset[str]) -> CurrentKey | None:
    known = next(iter(_valid_items(CurrentKey, [evidence.document.get("current")])), None)
    found = evidence.found
    if found is None:
        return known
    if known and known.access_key == found.access_key:
        return replace(known, vault_version=found.version)
    if not found.rotation_id or found.access_key in dead:
        return None  # not ours, or an old version put back: the worker says so, and a person decides
    return found.as_current(evidence.found_at, evidence.found_at)


def _counted(number: object) -> int:
    return number if isinstance(number, int) and number > 0 else 0


def _interrupted(rotation: object, now: datetime) -> Iterator[UnconfirmedCreate]:
    """A rotation without a key: a worker may have asked HostUp for one, and may still be waiting."""
    if not isinstance(rotation, dict) or next(_named(rotation, ""), None):
        return
    count = rotation.get("key_count_before")
    yield UnconfirmedCreate(
        rotation_id=_text(rotation.get("id")) or "unknown",
        at=moment(rotation.get("started_at")) or now,
        label=_text(rotation.get("label")) or "",
        error="the record became unreadable while a key may have been made",
        request_id=None,
        key_count_before=count if isinstance(count, int) else None,
        key_count_after=None,
        account=_text(rotation.get("account")) or DEFAULT_ACCOUNT,
    )


def _history(document: Mapping[str, object], archived: tuple[Entry, ...]) -> History:
    """What can be read of the old document's history; where nothing can, the chain goes on from the archives."""
    texts = document.get("history")
    listed = texts if isinstance(texts, list) else []
    before = (archived[-1].hash or "") if archived else ""
    readable = (text for text in listed if isinstance(text, str) and decode_entry(text).number > 0)
    return History(tuple(readable), before=before)


def _named(value: object, where: str) -> Iterator[LooseKey]:
    """Every access key at any depth, under the name that records and HostUp's answers give it."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if str(name).replace("_", "").lower() == "accesskey" and isinstance(inner, str) and inner:
                rotation_id, request_id, account = (
                    _text(value.get(each)) for each in ("rotation_id", "request_id", "account")
                )
                yield LooseKey(inner, where, rotation_id, request_id, account, moment(value.get("created_at")))
            else:
                yield from _named(inner, f"{where}.{name}" if where else str(name))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for place, inner in enumerate(value):
            yield from _named(inner, f"{where}[{place}]")


def _in_history(entries: Iterable[Entry]) -> Iterator[LooseKey]:
    for entry in entries:
        if entry.access_key:
            made = entry.event == Event.KEY_CREATED
            account = _text(entry.facts.get("account")) or (DEFAULT_ACCOUNT if made else None)
            request_id, made_at = (entry.request_id, entry.at) if made else (None, None)
            yield LooseKey(entry.access_key, "history", entry.rotation_id, request_id, account, made_at)
        previous = _text(entry.facts.get("previous_access_key"))
        if previous:
            yield LooseKey(previous, "history")


def _unread_wishes(document: Mapping[str, object], record: Record) -> Iterator[str]:
    """What a person wanted, and has to say again. A delete that was wanted is never taken from such a document."""
    wishes = {"paused": record.paused, "next_at": record.next_at, "revoking": record.revoking, "revoked": None}
    for name, kept in wishes.items():
        if document.get(name) and not kept:
            yield name


def _kept(record: Record) -> tuple[str, ...]:
    counted = {
        "history entries": len(record.history) - 1,
        "requests": len(record.requests),
        "unconfirmed creates": len(record.unconfirmed_creates),
    }
    wishes = {
        pause_text(record.paused) if record.paused else "": record.paused,
        f"the next rotation at {record.next_at}": record.next_at,
        "that nothing is deleted, as Vault was set back": record.deletes_held,
    }
    return (
        *(f"{number} {what}" for what, number in counted.items() if number),
        *(what for what, wished in wishes.items() if wished),
    )


def _dropped(document: Mapping[str, object], taken: Mapping[str, int]) -> tuple[str, ...]:
    """What a reader of the old document would miss, by its place; ``taken`` counts what is in the new record."""
    lost = [name for name in ("rotation", "failure") if document.get(name)]
    for name, number in taken.items():
        raw = document.get(name)
        missing = (len(raw) if isinstance(raw, list) else bool(raw)) - number
        lost += [f"{missing} of {name}"] if missing else []
    return (*lost, *(name for name in map(str, document) if name not in Record.__dataclass_fields__))


def _valid_items(kind: type[T], raw: object) -> tuple[T, ...]:
    """The items of a list that are what they should be; read as strictly as a whole record is."""
    adapter: TypeAdapter[T] = TypeAdapter(kind)
    found = []
    for item in raw if isinstance(raw, list) else []:
        try:
            found.append(adapter.validate_python(item))
        except ValidationError:
            continue  # it stays in the document that is rescued
    return tuple(found)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
