"""Were the promises kept? Judged from evidence alone (:mod:`worker.selftest.evidence`), never from the worker's code.

:func:`check` is the whole of it. Each rule is a function from the evidence to its findings; ARCHITECTURE.md has the
promises by their numbers. What must be true at any moment is checked over the whole ledger, so one check at the end
covers all the time before.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from urllib.parse import quote

from worker.selftest.case import Case, dead_keys, on_record, rescued, unknown_rotations
from worker.selftest.evidence import Evidence, Json, Watched

__all__ = ["RULES", "BrokenPromise", "Case", "check", "orphans", "unrest"]

_OK, _NO_SUCH_KEY = 200, 401


@dataclass(frozen=True, slots=True)
class BrokenPromise:
    """One promise that was broken: its number (0: of the records themselves), by what, and how one knows."""

    promise: int
    subject: str
    what: str

    def __str__(self) -> str:
        """One line."""
        return f"promise {self.promise}: {self.subject}: {self.what}"


def check(evidence: Evidence) -> tuple[BrokenPromise, ...]:
    """Every broken promise; empty when all were kept."""
    case = Case(evidence)
    return tuple(finding for rule in RULES for finding in rule(case))


def unrest(record: Json | None) -> str:
    """What a target still has to do, in words; empty when it is at rest with a current key."""
    if record is None:
        return "there is no record yet"
    busy = [
        name
        for name in ("rotation", "requests", "revoking", "revoked", "retiring", "failure", "trouble")
        if record.get(name)
    ]
    if record.get("current") is None:
        busy.append("no current key")
    return ", ".join(busy)


def orphans(evidence: Evidence) -> tuple[str, ...]:
    """Living keys that calls made and no record names: what an unconfirmed create left behind."""
    case = Case(evidence)
    return tuple(sorted(case.created.keys() - case.deleted - set(on_record(case))))


def _published_key_lives(case: Case) -> Iterator[BrokenPromise]:
    """Promise 1, at the moment of every delete, and for every version that was written after it.

    But a person may have had the key deleted all the same, if that was on record before.
    """
    revoked = _revoked(case)
    for delete in case.deletes:
        key, at = delete.access_key or "", delete.effect_at or delete.at
        if key in revoked and revoked[key] <= case.evidence.clock(at):
            continue
        for each, until in case.published.get(key, ()):
            if each.at > at:
                yield BrokenPromise(1, key, f"was deleted at {at} and published after it, as version {each.version}")
            elif until is None or until > at:
                yield BrokenPromise(1, key, f"was deleted at {at} while version {each.version} published it")


def _versions_are_known(case: Case) -> Iterator[BrokenPromise]:
    """Promise 8: from each Vault version one finds its key and the requestId that made it."""
    for each in case.publications:
        if each.access_key is None:
            yield BrokenPromise(8, each.target.path, f"nobody knows which key version {each.version} held")
    for kept in case.evidence.kept:
        for target, versions in kept.everywhere():
            for version in versions:
                yield from _version_is_traceable(case, target, version.data)


def _version_is_traceable(case: Case, target: Watched, data: Json | None) -> Iterator[BrokenPromise]:
    key = data.get(target.key_field) if data else None
    call = case.created.get(str(key))
    if data is None or call is None or call.request_id is None or "request_id" not in data:
        return
    if data["request_id"] != call.request_id:
        yield BrokenPromise(
            8, str(key), f"its app reads requestId {data['request_id']}, the call had {call.request_id}"
        )


def _revoked(case: Case) -> Mapping[str, datetime]:
    """The keys that a person had deleted although apps read them, each with the moment at which that was on record."""
    entries = case.entries("key.revoked")
    return {str(entry["access_key"]): datetime.fromisoformat(str(entry["at"])) for entry in entries}


def _only_own_keys_are_deleted(case: Case) -> Iterator[BrokenPromise]:
    """Promise 2: a delete is of a key that a call made, or that a person named."""
    named = {str(entry.get("access_key")) for entry in case.entries("key.adopted", "create.settled")}
    for delete in case.deletes:
        if delete.access_key not in case.created and delete.access_key not in named:
            yield BrokenPromise(2, str(delete.access_key), "was deleted, and nobody here had made or adopted it")


def _every_key_is_on_record(case: Case) -> Iterator[BrokenPromise]:
    """Promise 3: in one place on record, or dead with proof, or its rotation is named by an unconfirmed create."""
    places, dead = Counter(on_record(case)), dead_keys(case)
    unknown = unknown_rotations(case)
    for key, call in case.created.items():
        if not places[key] and key not in dead and not any(name in (call.label or "") for name in unknown):
            yield BrokenPromise(3, key, f"was made (requestId {call.request_id}), and is nowhere on record")
    for key, times in places.items():
        if times > 1:
            yield BrokenPromise(3, key, f"is on record in {times} places")
    for key in dead - case.deleted:
        yield BrokenPromise(3, key, "is said to be dead, and was never deleted")
    for key in dead & set(places):
        yield BrokenPromise(3, key, "is said to be dead, and is on record all the same")


def _current_is_published(case: Case) -> Iterator[BrokenPromise]:
    """What the record calls current is what the app reads, and it lives."""
    for kept in case.evidence.kept:
        current = (kept.record or {}).get("current")
        if current is None:
            continue
        under_way = (kept.record or {}).get("rotation")
        for target, versions in kept.everywhere():
            newest = max(versions, key=lambda each: each.number, default=None)
            read = newest.data.get(target.key_field) if newest and newest.data else None
            if read != current["access_key"] and not under_way:
                what = f"is current on record, and the app reads {read} at {target.path}"
                yield BrokenPromise(1, current["access_key"], what)
        if current["access_key"] in case.deleted:
            yield BrokenPromise(1, current["access_key"], "is current on record, and was deleted")


def _one_create_for_one_intent(case: Case) -> Iterator[BrokenPromise]:
    """Promise 4: no label was sent twice, and no request led to two rotations.

    What was refused for the API key (401) made nothing, and is sent once more with the next key.
    """
    labels = Counter(call.label for call in case.calls if call.operation == "create" and call.status != _NO_SUCH_KEY)
    for label, times in labels.items():
        if times > 1:
            yield BrokenPromise(4, str(label), f"was asked for {times} times")
    served = Counter(request for entry in case.entries("rotation.succeeded") for request in entry.get("requests", []))
    for request, times in served.items():
        if times > 1:
            yield BrokenPromise(4, f"request {request}", f"was served by {times} rotations")
    started = {str(entry["rotation_id"]) for entry in case.entries("rotation.started")}
    for label in labels:
        if not any(rotation in str(label) for rotation in started):
            yield BrokenPromise(3, str(label), "was sent to HostUp, and no intent is on record")


def _no_secret_is_elsewhere(case: Case) -> Iterator[BrokenPromise]:
    """Promise 5, in every form in which a secret could have been written down.

    An API key that could not be put in its place is kept beside the record, in a document of its own.
    """
    places = dict(case.evidence.texts)
    for path, document in case.evidence.documents.items():
        if path.startswith("_api_key_rescued"):
            continue
        places[f"Vault's {path}"] = json.dumps(_without_staged(document))
    forms = {form: name for name, secret in case.evidence.secrets.items() for form in _forms(secret)}
    for place, text in places.items():
        for name in sorted({forms[form] for form in _found(text, forms)}):
            yield BrokenPromise(5, f"the secret of {name}", f"was found in {place}")


def _found(text: str, forms: Iterable[str]) -> Iterator[str]:
    """The forms that a text holds, in one pass: a long run has thousands of secrets and megabytes of logs."""
    start = min(map(len, forms), default=0)
    by_start: dict[str, list[str]] = {}
    for form in forms:
        by_start.setdefault(form[:start], []).append(form)
    for place in range(len(text) - start + 1):
        for form in by_start.get(text[place : place + start], ()):
            if text.startswith(form, place):
                yield form


def _without_staged(document: Json) -> Json:
    """A record without the one secret that it may hold."""
    rotation = document.get("rotation")
    if not isinstance(rotation, dict) or not rotation.get("key"):
        return document
    return {**document, "rotation": {**rotation, "key": {**rotation["key"], "secret_key": ""}}}


def _forms(secret: str) -> tuple[str, ...]:
    return secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode(), json.dumps(secret)[1:-1]


def _grace_was_kept(case: Case) -> Iterator[BrokenPromise]:
    """Promise 6, by Vault's time of the next version and the ledger's time of the delete; not of keys that leaked."""
    clock = case.evidence.clock
    deleted_at = {call.access_key: call.effect_at or call.at for call in case.deletes}
    leaked = {entry.get("access_key") for entry in case.entries("grace.ended", "key.revoked")}
    for before, after in pairwise(case.publications):
        gone = deleted_at.get(before.access_key)
        if before.target != after.target or gone is None or before.access_key == after.access_key:
            continue
        if before.access_key in leaked:
            continue
        lived = clock(gone) - clock(after.at)
        if lived < before.target.grace:
            yield BrokenPromise(
                6, str(before.access_key), f"was deleted {lived} after version {after.version} was published"
            )


def _request_ids_are_found(case: Case) -> Iterator[BrokenPromise]:
    """Promise 8: what changed something, and was answered, stands in the history by its requestId."""
    known = {str(each.get("request_id")) for each in (*case.history, *rescued(case))}
    unknown = unknown_rotations(case)
    for call in (*case.created.values(), *case.deletes):
        answered = call.delivered and call.request_id is not None and call.status == _OK
        if any(rotation in (call.label or "") for rotation in unknown):
            continue  # the answer died with its reader, which the unconfirmed create says
        if answered and call.request_id not in known | case.evidence.excused:
            yield BrokenPromise(
                8, str(call.request_id), f"did {call.operation} {call.access_key}, and is not in the history"
            )


def _dead_versions_are_destroyed(case: Case) -> Iterator[BrokenPromise]:
    """A version whose key is proven dead is gone for good."""
    dead = dead_keys(case)
    for kept in case.evidence.kept:
        for target, versions in kept.everywhere():
            for version in versions[:-1]:
                key = version.data.get(target.key_field) if version.data else None
                if key in dead:
                    yield BrokenPromise(
                        0, str(key), f"is dead, and version {version.number} of {target.path} still holds it"
                    )


def _records_are_set_up(case: Case) -> Iterator[BrokenPromise]:
    """Records keep one version, and take no write without check-and-set."""
    for kept in case.evidence.kept:
        settings = kept.settings
        if kept.record is not None and (settings.get("max_versions") != 1 or not settings.get("cas_required")):
            yield BrokenPromise(
                5, kept.target.name, "its record keeps old versions, or takes writes without check-and-set"
            )


def _history_is_whole(case: Case) -> Iterator[BrokenPromise]:
    """No entry is missing, and none stands there twice."""
    for kept in case.evidence.kept:
        numbers = [entry["n"] for entry in kept.history]
        if numbers != list(range(1, len(numbers) + 1)):
            yield BrokenPromise(8, kept.target.name, f"the history's entries are numbered {numbers}")


def _what_died_was_found(case: Case) -> Iterator[BrokenPromise]:
    """Promise 9: a key that died while apps read it was found in time, and replaced, or a person was told why not."""
    clock, taken_at = case.evidence.clock, case.evidence.taken_at
    if taken_at is None:
        return
    for key, died in case.died.items():
        for each, until in case.published.get(key, ()):
            within = each.target.found_within
            since, ended = clock(died), clock(until or taken_at)
            if within is None or clock(each.at) > since or ended <= since + within:
                continue  # nobody read it then, or not for long
            if not _found_between(case, key, since, since + within):
                yield BrokenPromise(9, key, f"died at {since}, and was not found within {within}")
            elif ended > since + 2 * within and not _says_why(case, each.target):
                yield BrokenPromise(9, key, f"died at {since}, and was neither replaced nor said why not")


def _found_between(case: Case, key: str, since: datetime, until: datetime) -> bool:
    found = (entry for entry in case.entries("key.died", "key.revoked") if entry.get("access_key") == key)
    return any(since <= datetime.fromisoformat(str(entry["at"])) <= until for entry in found)


def _says_why(case: Case, target: Watched) -> bool:
    """Whether the record or the log says what holds a new key back."""
    records = [kept.record or {} for kept in case.evidence.kept if kept.target.name == target.name]
    held = (record.get("failure") or record.get("paused") for record in records)
    creates = (not create.get("settled") for record in records for create in record.get("unconfirmed_creates", []))
    return any(held) or any(creates) or '"target.blocked"' in case.evidence.texts.get("log", "")


def _nothing_broke(case: Case) -> Iterator[BrokenPromise]:
    """No worker met an unforeseen error, and every line of its log is one."""
    for line in case.evidence.texts.get("log", "").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            yield BrokenPromise(0, "the log", f"holds a line that is no JSON: {line[:200]}")
            continue
        if "exception" in entry or entry.get("level") == "critical":
            yield BrokenPromise(0, "the log", f"holds an unforeseen error: {line[:2000]}")
    if "Traceback" in case.evidence.texts.get("stderr", ""):
        yield BrokenPromise(0, "stderr", "holds a traceback")


RULES: tuple[Callable[[Case], Iterator[BrokenPromise]], ...] = (
    _published_key_lives,
    _current_is_published,
    _only_own_keys_are_deleted,
    _every_key_is_on_record,
    _one_create_for_one_intent,
    _no_secret_is_elsewhere,
    _grace_was_kept,
    _versions_are_known,
    _request_ids_are_found,
    _dead_versions_are_destroyed,
    _records_are_set_up,
    _history_is_whole,
    _what_died_was_found,
    _nothing_broke,
)
