"""What lies in Vault: records, what is kept beside them, and apps' secrets, as anybody who may write can leave it.

An input is a JSON object from paths to documents. The honest ones were written by the code itself, in the lives of a
target in memory.
"""

from __future__ import annotations

import io
import json
import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog

from tests.doubles import MemoryVault
from tests.fuzz.limits import seen
from tests.fuzz.mutations import is_shallow, mutated_json
from tests.fuzz.part import Part
from tests.records import one_of_each
from tests.worlds import SLACK, STATE, TARGET, Small
from worker.cli.receipts import said_by_apps
from worker.cli.status import _print_detail, create_lines
from worker.cli.texts import entry_text
from worker.cli.trace import _lines
from worker.rotation.audit import audit
from worker.rotation.changes.repair import RepairEvidence, loose_keys, rebuild
from worker.rotation.changes.settlement import found_in
from worker.rotation.history import rotations
from worker.rotation.leftover import retire_leftovers
from worker.rotation.record import decode, encode
from worker.rotation.status import summary_of
from worker.rotation.survey import survey
from worker.rotation.trace import entries, trace
from worker.targets.receipts import RECEIPTS_PATH, Receipt, with_receipt

SECRET = "secret-of-AK"
"""What the secrets begin with that the doubles make."""

LARGEST = 100_000
"""Bytes. Vault takes ten times as much, but the doubles would take a second to copy it."""

DEEPEST = 150
"""Vault takes no deeper nesting than 300 (its ``max_json_depth``), and the doubles copy what they hold by recursion."""

KEPT = replace(TARGET, retire_cap=timedelta(days=5))
RECEIPTS = f"{RECEIPTS_PATH}/{TARGET.path}"

_events: list[str] = []


def _capture(_logger: object, _method: str, event_dict: Mapping[str, Any]) -> Mapping[str, Any]:
    _events.append(str(event_dict))
    raise structlog.DropEvent


def _seeds() -> Sequence[bytes]:
    worlds = [*_of_a_life(), *({f"{STATE}/media": encode(record)} for record in one_of_each())]
    return [json.dumps(world).encode() for world in worlds]


def _of_a_life() -> Iterator[dict[str, Any]]:
    """What Vault holds after each look at a target: keys come, are replaced and die, and history is archived."""
    world = Small()
    structlog.configure(processors=[_capture], cache_logger_on_first_use=False)
    for _ in range(16):
        world.look(KEPT, watching=True)
        world.vault.versions[RECEIPTS] = [_receipts(world)]
        yield _documents(world.vault)
        world.passes(days=29)
    world.store.put_rescued("media", "late-1", {"why": "late", "access_key": "AK77", "secret_key": f"{SECRET}77"})
    audit(world.services, world.targets, SLACK)
    yield _documents(world.vault)


def _receipts(world: Small) -> Mapping[str, object]:
    """What an app says that still has the first key, and one that has the current key."""
    now = world.clock.now()
    old = Receipt("web-1 endpoint", "AK1", 1, "rotation-1", now, now)
    current_key = world.record().current
    new = replace(old, reader="web-2", access_key=current_key.access_key if current_key else "AK2", before="AK1")
    return with_receipt(with_receipt({}, old), new)


def _documents(vault: MemoryVault) -> dict[str, Any]:
    return {path: vault.latest(path) for path in vault.versions}


def _mutate(data: bytes, draw: random.Random) -> bytes:
    odd = (f"{SECRET}1", "AK1", "AK0", "media", {"access_key": "AK1"}, [["a", "b"]], 60, 61)
    return mutated_json(data.decode("utf-8", "replace"), draw, odd).encode("utf-8", "replace")


def _world(documents: Mapping[str, Any]) -> Small:
    world = Small()
    world.hostup.living = {f"AK{number}": "label" for number in range(20)}
    world.hostup.made = [""] * 20
    for path, document in documents.items():
        if document is None or isinstance(document, dict):
            world.vault.versions[path] = [{}, document]
    return world


def _look(world: Small) -> Iterator[str]:
    yield from seen(lambda: world.look(KEPT, watching=True).wait)
    world.passes(days=2)
    yield from seen(lambda: world.look(KEPT).wait)
    world.passes(days=38)
    yield from seen(lambda: world.look(KEPT).wait)


def _audit(world: Small) -> Iterator[str]:
    yield from seen(lambda: audit(world.services, world.targets, SLACK).findings)
    yield from seen(lambda: retire_leftovers(world.services, survey(world.services, {}), {}))


def _show(world: Small) -> Iterator[str]:
    yield from seen(lambda: _status(world))
    yield from seen(lambda: [entry_text(entry) for entry in entries(world.store, "media")])
    yield from seen(lambda: [*_history(world)])
    yield from seen(lambda: trace(world.store, "AK1", "media"))


def _status(world: Small) -> str:
    summary = summary_of(world.store.open(TARGET).record, TARGET, world.clock.now())
    with redirect_stdout(io.StringIO()) as printed:
        readers = said_by_apps(world.vault, RECEIPTS_PATH, KEPT, world.record(), world.clock.now())
        _print_detail(summary | {"last_seen_living_at": None, "watch_found": "", "readers": readers})
    return json.dumps(summary) + printed.getvalue()


def _history(world: Small) -> Iterator[str]:
    grouped = rotations(entries(world.store, "media"))
    yield json.dumps(grouped)
    for each in grouped:
        yield from _lines(each, world.clock.now())


def _repair(world: Small) -> Iterator[str]:
    yield from seen(lambda: _repaired(world))


def _repaired(world: Small) -> object:
    raw = world.vault.read(f"{STATE}/media")
    app = world.vault.read(TARGET.path)
    evidence = RepairEvidence(
        raw.data or {}, tuple(world.store.archived("media")), found_in(TARGET.fields, app), world.clock.now()
    )
    made = rebuild("media", TARGET.path, "it cannot be read", evidence, world.clock.now())
    rescued = world.store.rescued("media")
    loose = [loose_keys(document, evidence.archived, made.record) for document in rescued.values()]
    for create_ in made.record.unconfirmed_creates:
        [*create_lines("media", {**encode(made.record)["unconfirmed_creates"][0], "error": create_.error})]
    return made.kept, made.dropped, loose, decode(encode(made.record), "media").phase


_CALLS: Sequence[Callable[[Small], Iterator[str]]] = (_look, _audit, _show, _repair)


def _run(data: bytes) -> Iterator[str]:
    documents = _parsed(data)
    if documents is None:
        return
    structlog.configure(processors=[_capture], cache_logger_on_first_use=False)
    misplaced = data.count(SECRET.encode()) != data.count(f'"secret_key": "{SECRET}'.encode())
    call = _CALLS[zlib.crc32(data) % len(_CALLS)]  # one for each input: all of them would take four times as long
    _events.clear()
    for text in (*call(_world(documents)), *_events):
        # a secret that somebody put where a reason or a label belongs cannot be told from one
        yield text.replace(SECRET, "") if misplaced else text


def _parsed(data: bytes) -> dict[str, Any] | None:
    """What Vault's adapter hands on; None for what it refuses, or Vault itself does."""
    if len(data) > LARGEST:
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and is_shallow(found, DEEPEST) else None


PART = Part("records", _seeds, _mutate, _run, share=1500, secrets=(SECRET,))
