"""The chain of a history: whatever somebody changes, drops, doubles or moves is found."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records import MINUTE, NOW, empty
from tests.worlds import STATE, TARGET, Small
from worker.cli.rename import move
from worker.events import Event
from worker.rotation.audit import audit
from worker.rotation.chain import hash_of, inspect, parted
from worker.rotation.changes.acceptance import breaks_accepted
from worker.rotation.changes.repair import RepairEvidence, rebuild
from worker.rotation.changes.rotation import note
from worker.rotation.history import History, decode_entry, encode_entry
from worker.rotation.ports import Seen
from worker.rotation.record import Record, encode
from worker.rotation.whole import whole_history

FACTS = st.dictionaries(st.sampled_from(["reason", "error", "label"]), st.text(max_size=20), max_size=3)


def written(record: Record) -> Record:
    return replace(record, history=record.history.written())


def history(facts: list[dict[str, str]]) -> tuple[str, ...]:
    record = empty()
    for each in facts:
        record = written(note(record, Event.AUDIT_FOUND, NOW, **each))
    return record.history.texts()


TEN = history([{"reason": f"number {number}"} for number in range(10)])


@given(st.lists(FACTS, min_size=1, max_size=12))
def test_what_was_written_is_whole(facts: list[dict[str, str]]) -> None:
    texts = history(facts)
    state = inspect(texts, len(texts))
    assert state.holds, state.words
    assert (state.begins_at, state.newest, state.head) == (1, len(texts), hash_of(texts[-1]))


@given(place=st.integers(0, 9), data=st.data())
def test_any_changed_character_is_found(place: int, data: st.DataObject) -> None:
    text = TEN[place]
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda letter: letter != text[at]))
    changed = (*TEN[:place], text[:at] + other + text[at + 1 :], *TEN[place + 1 :])
    assert not inspect(changed, 10).holds


@given(place=st.integers(0, 9))
def test_a_dropped_entry_is_found(place: int) -> None:
    assert not inspect(TEN[:place] + TEN[place + 1 :], 10).holds


@given(place=st.integers(0, 9), to=st.integers(0, 10))
def test_a_doubled_entry_is_found(place: int, to: int) -> None:
    assert not inspect((*TEN[:to], TEN[place], *TEN[to:]), 10).holds


@given(st.permutations(range(10)).filter(lambda order: list(order) != list(range(10))))
def test_another_order_is_found(order: list[int]) -> None:
    assert not inspect([TEN[place] for place in order], 10).holds


def test_an_entry_that_is_made_anew_alone_is_found() -> None:
    forged = replace(decode_entry(TEN[4]), facts={"reason": "nothing happened"})
    again = History(TEN[:4], (forged,)).texts()[4]
    assert parted(again)[1], "it has a hash that fits"
    assert not inspect((*TEN[:4], again, *TEN[5:]), 10).holds


def test_entries_of_the_release_before_stay_readable_and_the_chain_begins_after_them() -> None:
    before = tuple(encode_entry(replace(decode_entry(text), hash=None)) for text in TEN[:4])
    record = replace(empty(), history=History(before), next_entry=5)
    texts = written(note(record, Event.AUDIT_FOUND, NOW, reason="the first with a hash")).history.texts()
    state = inspect(texts, 5)
    assert state.holds
    assert state.begins_at == 5
    assert "from entry 5 to 5; those before carry no hash" in state.words
    changed = (*texts[:3], texts[3].replace("number 3", "number 4"), texts[4])
    assert not inspect(changed, 5).holds, "the last entry without a hash is tied to the first with one"


def test_a_hash_that_was_taken_away_is_found() -> None:
    bare = (*TEN[:-1], parted(TEN[-1])[0])
    assert "carries no hash" in inspect(bare, 10).words


def test_entries_that_an_older_worker_wrote_in_between_are_told_and_are_no_break() -> None:
    bare = tuple(encode_entry(replace(decode_entry(text), hash=None)) for text in TEN[4:7])
    mixed = (*TEN[:4], *bare)
    texts = History(mixed, tuple(map(decode_entry, TEN[7:]))).texts()
    state = inspect(texts, 10)
    assert state.holds, state.words
    assert state.words == "whole from entry 1 to 10; 3 in between carry none: an older worker wrote them"
    assert not inspect(mixed, 7).holds, "nothing vouches for the newest one"
    assert not inspect((*texts[:5], *texts[6:]), 10).holds
    assert not inspect((*texts[:6], texts[6].replace("number 6", "number 9"), *texts[7:]), 10).holds


@pytest.fixture
def small() -> Small:
    """Twenty rotations: most of the history is archived."""
    made = Small()
    for _ in range(20):
        made.look()
        made.passes(days=15)
        made.look()
        made.passes(days=15, seconds=1)
    return made


def test_it_goes_on_across_archives(small: Small) -> None:
    whole = whole_history(small.store, TARGET.name)
    assert whole.chain.holds, whole.chain.words
    assert whole.chain.begins_at == 1
    assert whole.chain.entries == whole.chain.newest > 100


def test_a_change_in_an_archive_is_found(small: Small) -> None:
    path = next(path for path in small.vault.versions if "/_archive/" in path)
    document = small.vault.versions[path][-1]
    assert document
    document["entries"][3] = document["entries"][3].replace("AK1", "AK7")
    assert not whole_history(small.store, TARGET.name).chain.holds


def test_an_archive_that_is_gone_is_found(small: Small) -> None:
    first = min(path for path in small.vault.versions if "/_archive/" in path)
    del small.vault.versions[first]
    assert "missing" in whole_history(small.store, TARGET.name).chain.words


def test_what_a_crash_while_archiving_left_in_both_places_is_no_break(small: Small) -> None:
    path = max(path for path in small.vault.versions if "/_archive/" in path)
    document = small.vault.versions[path][-1]
    assert document
    record = small.record()
    small.put(replace(record, history=History((*document["entries"][-5:], *record.history.texts()))))
    assert whole_history(small.store, TARGET.name).chain.holds


def test_the_audit_of_a_worker_finds_a_change_in_the_record(small: Small) -> None:
    assert [f.kind for f in audit(small.services, small.targets, MINUTE).findings if f.kind == "chain"] == []
    texts = small.record().history.texts()
    small.alter(history=History((*texts[:-1], texts[-1].replace("key.dead", "key.died"))))
    found = [f for f in audit(small.services, small.targets, MINUTE).findings if f.kind == "chain"]
    assert [finding.target for finding in found] == [TARGET.name]
    assert f"broken at entry {len(texts)}" not in found[0].what
    assert "was changed" in found[0].what


def test_a_renamed_target_has_one_chain_with_what_lies_under_its_old_name(small: Small) -> None:
    store, now = small.store, small.clock.now()
    move(store, store.load("media", "apps/media"), store.load("films", "apps/media"), now)
    for name in ("films", "media"):
        whole = whole_history(store, name)
        assert whole.chain.holds, whole.chain.words
        assert whole.chain.begins_at == 1
    assert whole_history(store, "films").entries()[-1].event == Event.TARGET_RENAMED


def test_a_repaired_record_goes_on_from_what_was_read_or_from_the_archives(small: Small) -> None:
    document = encode(small.record()) | {"current": "garbage"}
    archived = tuple(small.store.archived(TARGET.name))
    for broken in (document, {"garbage": True}):
        evidence = RepairEvidence(broken, archived, None, NOW)
        small.put(rebuild(TARGET.name, TARGET.path, "it was garbage", evidence, NOW).record)
        whole = whole_history(small.store, TARGET.name)
        assert whole.chain.holds, whole.chain.words


def test_entries_that_a_repair_could_not_read_are_a_break_that_is_told(small: Small) -> None:
    document = encode(small.record())
    document["history"][2:4] = ["garbage", "more of it"]
    evidence = RepairEvidence(document, tuple(small.store.archived(TARGET.name)), None, NOW)
    small.put(rebuild(TARGET.name, TARGET.path, "it was garbage", evidence, NOW).record)
    whole = whole_history(small.store, TARGET.name)
    assert not whole.chain.holds
    assert len(whole.chain.breaks) == 1


def test_a_vault_that_was_set_back_has_a_chain_that_holds_and_says_that_it_was_set_back(small: Small) -> None:
    version = len(small.vault.versions[f"{STATE}/media"])
    older = small.record()
    small.look()
    small.put(older)
    small.look(seen=Seen(version + 99))
    whole = whole_history(small.store, TARGET.name)
    assert whole.chain.holds, whole.chain.words
    assert Event.VAULT_SET_BACK in {entry.event for entry in whole.entries()}


def accepted(small: Small) -> None:
    """A person accepts what there is."""
    found = whole_history(small.store, TARGET.name).chain
    assert not found.holds
    loaded = small.store.load(TARGET.name, TARGET.path)
    small.store.change(loaded, lambda record: breaks_accepted(record, found, "alice", "a restore", NOW))


def archive(small: Small, old: str, new: str) -> None:
    """Somebody changes an entry in the oldest archive."""
    path = min(path for path in small.vault.versions if "/_archive/" in path)
    document = small.vault.versions[path][-1]
    assert document
    document["entries"][3] = document["entries"][3].replace(old, new)


def findings(small: Small) -> list[str]:
    return [each.what for each in audit(small.services, small.targets, MINUTE).findings if each.kind == "chain"]


def test_a_break_that_was_accepted_is_none_any_more_and_is_told(small: Small) -> None:
    archive(small, "AK1", "AK7")
    accepted(small)
    chain = whole_history(small.store, TARGET.name).chain
    assert chain.holds
    assert "but for the break at entry 4, accepted by alice at 2026-" in chain.words
    assert "a restore" in chain.words
    small.passes(days=15)
    small.look()
    assert whole_history(small.store, TARGET.name).chain.holds, "also when the history goes on"


def test_another_change_at_the_same_place_is_found(small: Small) -> None:
    archive(small, "AK1", "AK7")
    accepted(small)
    archive(small, "AK7", "AK8")
    assert not whole_history(small.store, TARGET.name).chain.holds


def test_another_break_elsewhere_is_found(small: Small) -> None:
    archive(small, "AK1", "AK7")
    accepted(small)
    texts = small.record().history.texts()
    small.alter(history=History((*texts[:2], texts[2].replace('"n"', '"m"'), *texts[3:])))
    assert not whole_history(small.store, TARGET.name).chain.holds
    assert findings(small)


def test_an_acceptance_that_is_put_in_between_accepts_nothing(small: Small) -> None:
    archive(small, "AK1", "AK7")
    accepted(small)
    texts = small.record().history.texts()
    small.alter(history=History((*texts[:-2], texts[-1], texts[-2])))
    chain = whole_history(small.store, TARGET.name).chain
    assert {4} < {each.number for each in chain.breaks}


def test_the_audit_of_a_worker_knows_what_was_accepted(small: Small) -> None:
    texts = small.record().history.texts()
    small.alter(history=History((*texts[:-1], texts[-1].replace("key.dead", "key.died"))))
    assert findings(small)
    accepted(small)
    assert findings(small) == []


@pytest.mark.parametrize("written", [0, 1])
def test_entries_that_were_taken_from_the_end_are_found_whether_or_not_another_was_written(
    small: Small, written: int
) -> None:
    texts = small.record().history.texts()
    small.alter(history=History(texts[:-2]))
    for _ in range(written):
        small.store.change(
            small.store.load(TARGET.name, TARGET.path), lambda record: note(record, Event.AUDIT_FOUND, NOW)
        )
    assert findings(small)
    accepted(small)
    assert findings(small) == []
    chain = whole_history(small.store, TARGET.name).chain
    assert chain.holds, chain.words
    small.alter(history=History(small.record().history.texts()[:-1]))
    assert findings(small), "the acceptance itself cannot be taken away"


def test_many_breaks_are_accepted_at_once() -> None:
    record = written(replace(empty(), history=History(TEN[:1]), next_entry=2))
    for number in range(2, 90):
        record = written(note(record, Event.AUDIT_FOUND, NOW, reason=str(number)))
    texts = tuple(text.replace("audit.found", "audit.fount") for text in record.history.texts())
    found = inspect(texts, 89)
    assert len(found.breaks) == 89
    changed = written(breaks_accepted(replace(record, history=History(texts)), found, "alice", "why", NOW))
    state = inspect(changed.history.texts(), changed.next_entry - 1)
    assert state.holds, state.words
    assert "and 88 breaks more" in state.words
