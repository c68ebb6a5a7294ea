"""The checker finds every kind of broken promise: each is planted here, in evidence that is in order otherwise."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from worker.selftest.checker import check, orphans, unrest
from worker.selftest.evidence import Evidence, Kept, Version, Watched

BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TARGET = Watched("media", "apps/media", timedelta(seconds=30))
SECRETS = {"OLD": "old+secret/of-40-characters", "NEW": "new-secret", "API": "api-key"}


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def call(number: int, operation: str, key: str, seconds: float, label: str = "") -> list[dict[str, Any]]:
    """A call that was carried out and answered, as the ledger has it."""
    about = {"call": number, "operation": operation, "at": at(seconds).isoformat()}
    return [
        {"kind": "call", **about, **({"label": label} if operation == "create" else {"access_key": key})},
        {"kind": "effect", **about, "access_key": key, "label": label},
        {"kind": "answer", **about, "status": 200, "request_id": f"request-{number}", "delivered": True, "fault": None},
    ]


def entry(n: float, event: str, **fields: object) -> dict[str, Any]:
    return {"n": n, "at": at(n).isoformat(), "event": event, **fields}


HISTORY = (
    entry(1, "rotation.started", rotation_id="r1"),
    entry(2, "key.created", rotation_id="r1", access_key="OLD", request_id="request-1"),
    entry(3, "secret.published", rotation_id="r1", access_key="OLD", vault_version=1, request_id="request-1"),
    entry(4, "rotation.succeeded", rotation_id="r1", requests=[]),
    entry(5, "rotation.started", rotation_id="r2"),
    entry(6, "key.created", rotation_id="r2", access_key="NEW", request_id="request-2"),
    entry(7, "secret.published", rotation_id="r2", access_key="NEW", vault_version=2, request_id="request-2"),
    entry(8, "rotation.succeeded", rotation_id="r2", requests=["request"]),
    entry(9, "key.retired", rotation_id="r1", access_key="OLD", request_id="request-3"),
    entry(10, "key.dead", rotation_id="r1", access_key="OLD"),
)
RECORD: Mapping[str, Any] = {
    "current": {"access_key": "NEW", "vault_version": 2},
    "rotation": None,
    "requests": [],
    "retiring": [],
    "unconfirmed_creates": [],
    "failure": None,
}
FIRST = Version(1, at(10), destroyed=True, data=None)
SECOND = Version(2, at(20), destroyed=False, data={"access_key": "NEW", "request_id": "request-2"})
KEPT = Kept(
    TARGET,
    RECORD,
    {"max_versions": 1, "cas_required": True},
    HISTORY,
    (FIRST, SECOND),
)
CREATES = (call(1, "create", "OLD", 9, "media r1"), call(2, "create", "NEW", 19, "media r2"))
LEDGER = (*CREATES[0], *CREATES[1], *call(3, "delete", "OLD", 51))
SOUND = Evidence(
    entries=LEDGER,
    kept=(KEPT,),
    secrets=SECRETS,
    texts={"log": '{"event": "key.created"}\n', "Redis": "rotator:due"},
    documents={"media": RECORD},
)


@dataclass(frozen=True, slots=True)
class Plant:
    """Evidence with something planted in it, and what is to be found: the promise, and a word of the finding."""

    evidence: Evidence
    promise: int
    word: str


def with_kept(**values: Any) -> Evidence:
    return replace(SOUND, kept=(replace(KEPT, **values),))


def with_record(**values: Any) -> Evidence:
    return with_kept(record={**RECORD, **values})


def with_history(*more: dict[str, Any], without: int = 0) -> Evidence:
    return with_kept(history=(*(e for e in HISTORY if e["n"] != without), *more))


def with_calls(*more: dict[str, Any]) -> Evidence:
    return replace(SOUND, entries=(*LEDGER, *more))


def ledger(*parts: list[dict[str, Any]]) -> Evidence:
    return replace(SOUND, entries=tuple(entry for part in parts for entry in part))


STRANGERS = {"kind": "effect", "operation": "delete", "at": at(60).isoformat(), "access_key": "NEW"}
WATCHED = replace(TARGET, found_within=timedelta(minutes=1))


def with_end(evidence: Evidence, seconds: float = 200, **values: Any) -> Evidence:
    """A stranger deletes the current key at 60 s, and the evidence is taken so long after the beginning."""
    kept = tuple(replace(each, target=WATCHED, **values) for each in evidence.kept)
    return replace(evidence, entries=(*LEDGER, STRANGERS), kept=kept, taken_at=at(seconds))


def died_history(*more: dict[str, Any]) -> Evidence:
    return with_kept(history=(*HISTORY, *more))


DIED = with_end(SOUND)
UNFINISHED = {"key": {"access_key": "THIRD", "secret_key": SECRETS["OLD"]}}
PLANTED = {
    "a published key is deleted": Plant(with_calls(*call(4, "delete", "NEW", 60)), 1, "while version 2 published it"),
    "a key is deleted before its replacement": Plant(
        ledger(*CREATES, call(3, "delete", "OLD", 15)), 1, "while version 1 published it"
    ),
    "a deleted key is published": Plant(
        with_kept(
            versions=(*KEPT.versions, Version(3, at(70), destroyed=False, data={"access_key": "OLD"})),
            record={**RECORD, "current": {"access_key": "OLD"}},
        ),
        1,
        "published after it, as version 3",
    ),
    "current is not what the app reads": Plant(with_record(current={"access_key": "OTHER"}), 1, "the app reads NEW"),
    "a foreign key is deleted": Plant(with_calls(*call(4, "delete", "FOREIGN", 60)), 2, "nobody here had made"),
    "a key is nowhere": Plant(with_calls(*call(4, "create", "LOST", 60, "media r2 again")), 3, "is nowhere on record"),
    "a key is in two places": Plant(with_record(retiring=[{"access_key": "NEW"}]), 3, "is on record in 2 places"),
    "a dead key was never deleted": Plant(ledger(*CREATES), 3, "was never deleted"),
    "a dead key is still on record": Plant(with_record(retiring=[{"access_key": "OLD"}]), 3, "on record all the same"),
    "a create without an intent": Plant(with_calls(*call(4, "create", "NEW2", 60, "media r9")), 3, "no intent"),
    "a create is repeated": Plant(with_calls(*call(4, "create", "TWIN", 60, "media r2")), 4, "2 times"),
    "a request is served twice": Plant(
        with_history(entry(11, "rotation.succeeded", rotation_id="r3", requests=["request"])), 4, "by 2 rotations"
    ),
    "a secret in the log": Plant(replace(SOUND, texts={"log": '{"a": "new-secret"}'}), 5, "found in log"),
    "a secret in Redis, as base64": Plant(
        replace(SOUND, texts={"Redis": base64.b64encode(SECRETS["OLD"].encode()).decode()}), 5, "found in Redis"
    ),
    "a secret in Redis, quoted": Plant(
        replace(SOUND, texts={"Redis": quote(SECRETS["OLD"], safe="")}), 5, "found in Redis"
    ),
    "a secret in an archive": Plant(
        replace(SOUND, documents={"_archive/media/1": {"entries": ["api-key"]}}), 5, "Vault's _archive/media/1"
    ),
    "a record with old versions": Plant(with_kept(settings={"max_versions": 0}), 5, "keeps old versions"),
    "grace was cut short": Plant(ledger(*CREATES, call(3, "delete", "OLD", 49)), 6, "0:00:29 after version 2"),
    "a version that nobody can explain": Plant(with_history(without=3), 8, "which key version 1 held"),
    "an app with a wrong requestId": Plant(
        with_kept(
            versions=(KEPT.versions[0], replace(KEPT.versions[1], data={"access_key": "NEW", "request_id": "x"}))
        ),
        8,
        "its app reads requestId x",
    ),
    "a delete that nobody can find": Plant(with_history(without=9), 8, "did delete OLD"),
    "a gap in the history": Plant(with_history(without=4), 8, "are numbered"),
    "an entry that stands twice": Plant(with_history(entry(10, "key.dead", access_key="OLD")), 8, "are numbered"),
    "a dead key's version is left": Plant(
        with_kept(versions=(replace(KEPT.versions[0], data={"access_key": "OLD"}), KEPT.versions[1])),
        0,
        "still holds it",
    ),
    "what died was not found": Plant(DIED, 9, "was not found within 0:01:00"),
    "what died was found too late": Plant(
        with_end(died_history(entry(150, "key.died", access_key="NEW"))), 9, "was not found within"
    ),
    "what died was found, and nothing came of it": Plant(
        with_end(died_history(entry(65, "key.died", access_key="NEW"))), 9, "neither replaced nor said why not"
    ),
    "an error that nobody foresaw": Plant(
        replace(SOUND, texts={"log": json.dumps({"event": "task.failed", "exception": "KeyError"})}), 0, "unforeseen"
    ),
    "a line that is no JSON": Plant(replace(SOUND, texts={"log": "Traceback"}), 0, "no JSON"),
    "a traceback on stderr": Plant(replace(SOUND, texts={"stderr": "Traceback (most recent"}), 0, "traceback"),
}


def test_where_all_is_in_order_nothing_is_found() -> None:
    assert check(SOUND) == ()
    assert orphans(SOUND) == ()
    assert unrest(RECORD) == ""


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED.keys())
def test_what_is_planted_is_found(plant: Plant) -> None:
    found = check(plant.evidence)
    assert [f for f in found if f.promise == plant.promise and plant.word in str(f)], [str(f) for f in found]


@pytest.mark.parametrize(("said_at", "broken"), [(14.0, set()), (16.0, {1})], ids=["before", "after"])
def test_a_published_key_may_be_deleted_once_a_persons_word_is_on_record(said_at: float, broken: set[int]) -> None:
    said = {**entry(11, "key.revoked", rotation_id="r1", access_key="OLD"), "at": at(said_at).isoformat()}
    kept = replace(KEPT, history=(*HISTORY, said))
    entries = (*CREATES[0], *CREATES[1], *call(3, "delete", "OLD", 15))
    assert {each.promise for each in check(replace(SOUND, entries=entries))} == {1, 6}
    assert {each.promise for each in check(replace(SOUND, entries=entries, kept=(kept,)))} == broken


def test_an_unconfirmed_create_explains_a_lost_key_and_no_other() -> None:
    made = with_calls(*call(4, "create", "LOST", 60, "media r3"))
    started = entry(11, "rotation.started", rotation_id="r3")
    told = entry(12, "create.unconfirmed", rotation_id="r3")
    kept = replace(KEPT, history=(*HISTORY, started, told))
    assert check(replace(made, kept=(kept,))) == ()
    assert orphans(replace(made, kept=(kept,))) == ("LOST",)
    assert check(replace(made, kept=(replace(kept, history=(*HISTORY, started)),)))


FOUND = entry(65, "key.died", access_key="NEW")


def _ninth(evidence: Evidence) -> list[str]:
    return [str(finding) for finding in check(evidence) if finding.promise == 9]


@pytest.mark.parametrize("seconds", [61, 119])
def test_what_died_just_now_may_still_be_found(seconds: float) -> None:
    assert _ninth(with_end(SOUND, seconds)) == []


def test_what_was_found_may_still_be_replaced() -> None:
    assert _ninth(with_end(died_history(FOUND), 179)) == []


def test_what_was_found_and_is_replaced_or_said_to_wait_is_in_order() -> None:
    third = Version(3, at(75), destroyed=False, data={"access_key": "THIRD"})
    assert _ninth(with_end(died_history(FOUND), versions=(*KEPT.versions, third))) == []
    for reason in (
        {"failure": {"what": "x"}},
        {"paused": {"by": "anna"}},
        {"unconfirmed_creates": [{"rotation_id": "r9"}]},
    ):
        assert _ninth(with_end(died_history(FOUND), record={**RECORD, **reason})) == []
    told = {"log": '{"event": "target.blocked"}'}
    assert _ninth(replace(with_end(died_history(FOUND)), texts=told)) == []


def test_what_dies_when_nobody_reads_it_any_more_is_no_matter() -> None:
    gone = {**STRANGERS, "access_key": "OLD", "at": at(30).isoformat()}
    assert _ninth(replace(DIED, entries=(*CREATES[0], *CREATES[1], gone))) == []


def test_where_nobody_watches_or_the_moment_is_not_known_nothing_is_judged() -> None:
    assert _ninth(replace(DIED, taken_at=None)) == []
    assert _ninth(replace(DIED, kept=SOUND.kept)) == []


def test_a_staged_secret_may_stand_in_its_record_and_in_no_other_place() -> None:
    document = {**RECORD, "rotation": UNFINISHED}
    assert check(replace(SOUND, documents={"media": document})) == ()
    beside = {**document, "error": SECRETS["OLD"]}
    assert [f.promise for f in check(replace(SOUND, documents={"media": beside}))] == [5]


def test_a_key_rescued_is_on_record() -> None:
    evidence = with_calls(*call(4, "create", "RESCUED", 60, "media r2 b"))
    rescued = {"access_key": "RESCUED", "request_id": "request-4"}
    assert check(replace(evidence, documents={"_rescued/media/r2": rescued})) == ()


def test_an_answer_that_died_with_its_worker_is_excused_by_name() -> None:
    assert check(replace(with_history(entry(9, "key.retired", access_key="OLD"), without=9), excused=frozenset({"x"})))
    kept = tuple(e if e["n"] != 9 else entry(9, "key.retired", access_key="OLD") for e in HISTORY)
    assert check(replace(with_kept(history=kept), excused=frozenset({"request-3"}))) == ()


def test_grace_is_counted_in_the_workers_time() -> None:
    """A worker whose clock jumped ahead by 20 s between the publication and the delete waited long enough."""
    early = ledger(*CREATES, call(3, "delete", "OLD", 31))
    assert check(early)
    jumped = replace(early, clock=lambda moment: moment + timedelta(seconds=20 if moment > at(25) else 0))
    assert check(jumped) == ()


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"rotation": {"id": "r3"}}, "rotation"),
        ({"requests": ["request"]}, "requests"),
        ({"retiring": [{"access_key": "OLD"}]}, "retiring"),
        ({"failure": {"what": "x"}}, "failure"),
        ({"current": None}, "no current key"),
    ],
)
def test_what_a_target_still_has_to_do(values: dict[str, Any], word: str) -> None:
    assert word in unrest({**RECORD, **values})


def test_a_target_without_a_record_is_not_at_rest() -> None:
    assert unrest(None)
