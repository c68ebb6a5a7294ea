"""Records that an older release wrote are read, and whatever it was in the middle of is brought to its end.

The file holds what commit da73931 wrote (fields were added since), one line for each: the record, all versions of the
app's secret, the keys that lived, and the time. It was made by that commit's own code on its doubles, in which nothing
is a real secret.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.records import request
from tests.worlds import STATE, TARGET, Small
from worker.errors import RecordUnreadable
from worker.rotation.reconcile import accept
from worker.rotation.record import Phase, decode, encode

FILE = Path(__file__).with_name("records_of_an_older_release.jsonl")
LINES = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
PHASES = [(line["record"]["rotation"] or {}).get("phase", "idle") for line in LINES]


def world(line: dict[str, Any]) -> Small:
    small = Small()
    small.clock.time = datetime.fromisoformat(line["now"])
    small.vault.versions[f"{STATE}/{TARGET.name}"] = [line["record"]]
    for path, versions in line["secrets"].items():
        small.vault.versions[path] = versions
    small.hostup.living.update(line["living"])
    small.hostup.made.extend(line["living"])
    return small


def test_the_file_has_every_phase_and_lacks_fields_of_today() -> None:
    assert set(PHASES) == {"creating", "staged", "verified", "idle"}
    for line in LINES:
        assert line["record"].keys() < encode(decode(line["record"], TARGET.name)).keys()
    assert any(line["record"]["retiring"] for line in LINES)


@pytest.mark.parametrize("number", range(len(LINES)), ids=lambda number: f"{number}-{PHASES[number]}")
def test_a_rotation_that_an_older_release_began_is_brought_to_its_end(number: int) -> None:
    line = LINES[number]
    small = world(line)
    before = line["record"]["current"]
    for _ in range(60):
        current = small.record().current
        assert current is None or current.access_key in small.hostup.living
        small.look()
        small.passes(hours=1)
    record = small.record()
    assert record.phase is Phase.IDLE
    assert record.current
    secret = small.vault.latest(TARGET.path)
    assert secret
    assert secret["access_key"] == record.current.access_key
    assert record.retiring == ()
    assert set(small.hostup.living) == {record.current.access_key}
    if PHASES[number] in {"staged", "verified"}:
        assert record.current.access_key == line["record"]["rotation"]["key"]["access_key"], "no second key is made"
    if PHASES[number] == "idle" and not line["record"]["requests"]:
        assert record.current.access_key == before["access_key"]


def test_and_rotates_again() -> None:
    small = world(LINES[-1])
    before = small.record().current
    accept(small.services, TARGET, request("again", small.clock.now()))
    small.look()
    after = small.record().current
    assert before
    assert after
    assert after.access_key != before.access_key
    assert len(small.record().history) > len(LINES[-1]["record"]["history"])


def test_an_older_release_leaves_a_record_with_a_field_it_does_not_know_and_says_what_to_run() -> None:
    """As the release of before does with a record of today: it read records as strictly."""
    with pytest.raises(RecordUnreadable, match="newer release") as caught:
        decode({**LINES[0]["record"], "field_of_tomorrow": 1}, TARGET.name)
    assert "field_of_tomorrow" in caught.value.what
