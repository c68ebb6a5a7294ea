"""Finding things again: by any id, from archives too, the same whatever Redis remembers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

import pytest

from tests.doubles import Gate
from tests.worlds import STATE, TARGET, Small
from worker.cli.texts import entry_text
from worker.errors import RecordError, VaultUnavailable
from worker.rotation.decide import HISTORY_LIMIT
from worker.rotation.history import GARBLED, decode_entry, encode_entry, rotations
from worker.rotation.record import SCHEMA
from worker.rotation.trace import entries, trace

T = TypeVar("T")
EVENTS = ("rotation.started", "key.created", "rotation.succeeded")


@pytest.fixture
def small() -> Small:
    """Twenty rotations, each with its key retired and proven dead."""
    made = Small()
    made.hostup.living["BY-HAND"] = "before"
    for _ in range(20):
        made.look()
        made.passes(days=15)
        made.look()
        made.passes(days=15, seconds=1)
    return made


def test_history_is_whole_although_the_record_is_bounded(small: Small) -> None:
    known = entries(small.store, TARGET.name)
    assert [entry.number for entry in known] == list(range(1, len(known) + 1))
    assert len(small.record().history) <= HISTORY_LIMIT + 10
    assert sum(entry.event == "rotation.succeeded" for entry in known) == 20


@pytest.mark.parametrize("first", [None, TARGET.name, "another target"])
@pytest.mark.parametrize("identifier", ["request-of-AK1", "delete-of-AK1", "AK1", "request-of-AK20"])
def test_any_id_leads_to_the_rotation(small: Small, identifier: str, first: str | None) -> None:
    found = trace(small.store, identifier, first)
    assert found is not None
    assert found.target == TARGET.name
    assert found == trace(small.store, found.rotation_ids[0], None)
    names = [event.event for event in found.events]
    assert names[:4] == ["rotation.started", "key.created", "key.verified", "secret.published"]


def test_a_trace_tells_the_whole_life_of_a_key(small: Small) -> None:
    found = trace(small.store, "AK1", None)
    assert found is not None
    assert [event.event for event in found.events][-2:] == ["key.retired", "key.dead"]
    assert {event.request_id for event in found.events if event.request_id} == {
        "request-of-AK1",
        "delete-of-AK1",
    }


class _CountsArchives(Gate):
    """Notes how often an archive is read."""

    def __init__(self) -> None:
        self.read = 0

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        del lost
        self.read += name.startswith("vault read") and "_archive" in name
        return effect()


def test_archives_are_read_only_for_what_the_record_does_not_hold(small: Small) -> None:
    gate = _CountsArchives()
    small.vault.gate = gate
    assert trace(small.store, "request-of-AK20", None) is not None
    assert gate.read == 0
    assert trace(small.store, "request-of-AK1", None) is not None
    assert gate.read > 0


def test_an_unknown_id_is_not_found(small: Small) -> None:
    assert trace(small.store, "nothing", None) is None


class Noting(Gate):
    """Remembers every call."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        self.calls.append(name)
        return super().pass_through(name, effect, lost)


FORGED_HINTS = ["../x", "..", "a/b", "/", "_keys", "_archive/media", "x" * 1000, "nobody", "\x1b[2J", " "]


@pytest.mark.parametrize("first", FORGED_HINTS)
def test_a_hint_that_names_no_target_leads_nowhere(small: Small, first: str) -> None:
    small.vault.gate = without = Noting()
    assert trace(small.store, "AK1", None) is not None
    small.vault.gate = noting = Noting()
    assert trace(small.store, "AK1", first) is not None
    assert noting.calls == without.calls


def test_a_hint_that_names_another_target_only_costs_a_look(small: Small) -> None:
    small.vault.versions[f"{STATE}/aaa"] = [{"schema": SCHEMA}]
    found = trace(small.store, "AK1", "aaa")
    assert found is not None
    assert found.target == TARGET.name


def test_another_targets_poisoned_record_is_no_obstacle(small: Small) -> None:
    small.vault.versions[f"{STATE}/aaa"] = [{"schema": SCHEMA, "garbage": "yes"}]
    assert trace(small.store, "AK1", "aaa") is not None


def test_a_record_that_cannot_be_used_still_tells_its_history(small: Small) -> None:
    known = entries(small.store, TARGET.name)
    newest = small.vault.versions[f"{STATE}/{TARGET.name}"][-1]
    assert newest is not None
    small.vault.versions[f"{STATE}/{TARGET.name}"].append({**newest, "edited": "by hand"})
    with pytest.raises(RecordError):
        small.store.load(TARGET.name, TARGET.path)
    assert entries(small.store, TARGET.name) == known


def test_archives_tell_what_a_garbled_history_does_not(small: Small) -> None:
    newest = small.vault.versions[f"{STATE}/{TARGET.name}"][-1]
    assert newest is not None
    small.vault.versions[f"{STATE}/{TARGET.name}"].append({**newest, "history": 5})
    with pytest.raises(RecordError, match=TARGET.name):
        entries(small.store, TARGET.name)
    assert trace(small.store, "delete-of-AK1", None) is not None
    assert trace(small.store, "request-of-AK20", None) is None


@pytest.mark.parametrize("text", ["[" * 100_000, '{"n":' + "9" * 5000 + "}", "{", "[]", "", "\ud800", '{"n": null}'])
def test_an_entry_that_cannot_be_read_is_told_as_such(text: str) -> None:
    entry = decode_entry(text)
    assert (entry.number, entry.event, entry.at) == (0, GARBLED, None)


def test_rotations_are_told_one_by_one(small: Small) -> None:
    told = rotations(entries(small.store, TARGET.name))
    assert [rotation["outcome"] for rotation in told] == ["succeeded"] * 20
    assert told[0]["access_key"] == "AK1"
    assert told[0]["request_id"] == "request-of-AK1"
    assert told[0]["delete_request_id"] == "delete-of-AK1"
    assert told[1]["previous_access_key"] == "AK1"
    assert [rotation["vault_version"] for rotation in told] == list(range(1, 21))


@pytest.mark.parametrize("at", ["2026-11-26T14:43:01", "2026-11-26", "yesterday", "", 5, None, ["2026"]])
def test_a_time_that_was_edited_by_hand_is_told_as_it_stands_and_hides_nothing(at: object) -> None:
    """A moment without an offset cannot be compared with one that has it."""
    texts = [
        {
            "n": 1,
            "at": "2026-11-26T14:43:00+00:00",
            "event": "rotation.started",
            "rotation_id": "R",
            "trigger": "manual",
        },
        {"n": 2, "at": at, "event": "rotation.succeeded", "rotation_id": "R", "access_key": "K"},
    ]
    known = [decode_entry(json.dumps(text)) for text in texts]
    told = rotations(known)[0]
    assert (told["outcome"], told["ended_at"], told["duration_ms"]) == ("succeeded", None, None)
    assert known[1].access_key == "K"
    assert known[1].facts == ({"unreadable_time": at} if at else {})
    assert decode_entry(encode_entry(known[1])) == known[1], "as rename writes it anew"
    assert entry_text(known[1])


class _LosesArchives(Gate):
    """The answer to every write of an archive is lost, once it is done."""

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        result = effect()
        if name.startswith("vault write") and "_archive" in name:
            raise lost()
        return result


def test_an_archive_that_was_written_before_a_crash_is_not_written_twice() -> None:
    small = Small()
    small.hostup.living["BY-HAND"] = "before"
    small.vault.gate = _LosesArchives()
    lost = 0
    for _ in range(20):
        for days in (15, 15):
            try:
                small.look()
            except VaultUnavailable:
                lost += 1
            small.passes(days=days, seconds=1)
    small.vault.gate = Gate()
    small.look()
    known = entries(small.store, TARGET.name)
    assert lost
    assert [entry.number for entry in known] == list(range(1, len(known) + 1))


@pytest.mark.parametrize(
    "at", ["2026-11-24T12:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "x", 5]
)
def test_a_time_that_cannot_be_one_stops_no_history(at: object) -> None:
    texts = [{"n": n, "at": at, "event": event, "rotation_id": "r", "trigger": {}} for n, event in enumerate(EVENTS, 1)]
    told = rotations([decode_entry(json.dumps(text)) for text in texts])
    assert [(each["outcome"], each["started_at"], each["duration_ms"]) for each in told] == [("succeeded", None, None)]
