"""The proof of a key's life: it holds, until anything in it is changed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records import NOW, empty
from tests.worlds import TARGET, Small
from worker.cli.proof import SEAL, accepted_breaks, check_proof, make_proof, rendered, unlinked
from worker.rotation.chain import digest, inspect
from worker.rotation.changes.acceptance import breaks_accepted
from worker.rotation.history import History, decode_entry, encode_entry
from worker.rotation.whole import whole_history


def world() -> Small:
    small = Small()
    small.hostup.living["BY-HAND"] = "before"
    for _ in range(20):
        small.look()
        small.passes(days=15)
        small.look()
        small.passes(days=15, seconds=1)
    return small


TEXTS = whole_history(world().store, TARGET.name).texts


def proof(key: str = "AK18", texts: tuple[str, ...] = TEXTS) -> str:
    return rendered(make_proof(TARGET.name, key, texts, NOW)) + "\n"


@pytest.mark.parametrize("key", ["AK1", "AK18", "AK20"])
def test_a_proof_holds_and_says_what_the_world_knows(key: str) -> None:
    checked = check_proof(proof(key))
    assert checked.problems == ()
    facts = checked.document["facts"]
    assert facts["create_request_id"] == f"request-of-{key}"
    assert facts["state"] == ("current" if key == "AK20" else "dead")
    assert facts["delete_request_id"] == (None if key == "AK20" else f"delete-of-{key}")
    assert checked.document["chain"]["head"]["n"] == len(TEXTS)


TEXT = proof()


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(TEXT) - 1), letter=st.characters())
def test_any_changed_byte_fails(at: int, letter: str) -> None:
    changed = TEXT[:at] + letter + TEXT[at + 1 :]
    assert check_proof(changed).holds == (changed == TEXT)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, len(TEXT) - 1), length=st.integers(1, 80))
def test_anything_taken_away_or_doubled_fails(at: int, length: int) -> None:
    assert not check_proof(TEXT[:at] + TEXT[at + length :]).holds
    assert not check_proof(TEXT[: at + length] + TEXT[at:]).holds


def resealed(document: dict[str, Any]) -> str:
    bare = {name: value for name, value in document.items() if name != SEAL}
    return rendered(bare | {SEAL: digest(json.dumps(bare, sort_keys=True, separators=(",", ":")))}) + "\n"


def test_a_new_seal_does_not_help_who_changes_facts_or_entries() -> None:
    facts = json.loads(TEXT)
    facts["facts"]["dead_at"] = "2020-01-01T00:00:00.000+00:00"
    assert check_proof(resealed(facts)).problems == ("its facts are not what its entries say",)
    entry = json.loads(TEXT)
    told = next(item for item in entry["chain"]["entries"] if "text" in item)
    told["text"] = told["text"].replace("schedule", "manual  ")
    assert any("does not fit" in problem for problem in check_proof(resealed(entry)).problems)
    fewer = json.loads(TEXT)
    del fewer["chain"]["entries"][-3]
    assert check_proof(resealed(fewer)).problems


def test_entries_of_the_release_before_are_told() -> None:
    bare = [encode_entry(replace(decode_entry(text), hash=None)) for text in TEXTS[:12]]
    texts = (*bare, *History(tuple(bare), tuple(map(decode_entry, TEXTS[12:]))).texts()[12:])
    checked = check_proof(proof("AK1", texts))
    assert checked.problems == ()
    assert unlinked(checked.document)[0] == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"kind": 1}', "[" * 10_000])
def test_what_is_no_proof_is_none(text: str) -> None:
    assert not check_proof(text).holds


@pytest.mark.parametrize("name", ["facts", "chain", "target", "access_key"])
def test_a_part_that_is_missing_or_of_another_kind_is_told(name: str) -> None:
    values: list[Any] = [None, [], 7, {"head": 1, "entries": [1]}]
    for value in values:
        document = json.loads(TEXT)
        document[name] = value
        assert not check_proof(resealed(document)).holds


def broken_and_accepted(place: int) -> tuple[str, ...]:
    """The history with a changed entry, and with what somebody says of that at its end."""
    texts = (*TEXTS[:place], TEXTS[place].replace('"event":"', '"event":"x'), *TEXTS[place + 1 :])
    record = replace(empty(), history=History(texts), next_entry=len(texts) + 1)
    return breaks_accepted(record, inspect(texts), "alice", "a restore", NOW).history.texts()


@pytest.mark.parametrize("place", [len(TEXTS) - 3, len(TEXTS) - 9, len(TEXTS) - 40])
def test_a_break_that_was_accepted_is_shown_as_that(place: int) -> None:
    texts = broken_and_accepted(place)
    assert not check_proof(proof("AK15", texts[:-1])).holds, "before it was accepted it does not hold"
    text = proof("AK15", texts)
    checked = check_proof(text)
    assert checked.problems == ()
    (said,) = accepted_breaks(checked.document)
    assert said.startswith(f"Entry {place + 1} does not fit the one before it, accepted by alice at ")
    assert said.endswith(": a restore")


def test_nobody_can_say_that_a_break_was_accepted() -> None:
    document = json.loads(proof("AK15", broken_and_accepted(len(TEXTS) - 9)))
    for item in document["chain"]["entries"]:
        if "chain.accepted" in item.get("text", ""):
            item["text"] = item["text"].replace("a restore", "another")
    assert any("does not fit" in each for each in check_proof(resealed(document)).problems)
    other = json.loads(proof("AK15", TEXTS))
    item = next(each for each in other["chain"]["entries"] if "sha256" in each)
    item |= {"sha256": "0" * 64, "accepted": other["chain"]["entries"][-1]["n"], "hash": "0" * 64}
    assert any("no entry says so" in each for each in check_proof(resealed(other)).problems)
