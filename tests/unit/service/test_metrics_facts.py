"""What is said of a target by its summary: each condition by what causes it, and text that Prometheus' parser takes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.records import DAY, MINUTE, NOW, SECOND, create, current, empty, retiring, staged
from tests.records import rotation as under_way
from tests.unit.settings.configuring import read
from worker.adapters.redis.reading import Summary, checked
from worker.errors import Conflict, HostUpCall, HostUpRefused, RecordUnreadable, RotatorError
from worker.rotation.changes.rotation import Grace, failed, published
from worker.rotation.record import Paused, Phase, Record, Trouble, TroubleKind, UnconfirmedCreate
from worker.rotation.status import summary_of, unusable
from worker.service.metrics.facts import Condition, KeyState, TargetFacts, facts_of
from worker.service.metrics.series import SHARED, TARGETS, AccountFacts, ScheduleFacts, shared_text
from worker.targets.schedule import NEVER, Schedule
from worker.targets.target import Target

REFUSED = HostUpRefused("no", HostUpCall("create_key", 400))
CLOSED = AccountFacts("media", circuit_open=False)
WELL = replace(empty(), current=current())
FAILED = failed(WELL, REFUSED, NOW, NOW, operation="create")
RECOVERED = published(
    replace(FAILED, rotation=under_way(Phase.VERIFIED, staged())), "rotation-1", 2, NOW + MINUTE, Grace(DAY)
)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return read(tmp_path).targets["media"]


def facts(target: Target, record: Record | RotatorError, *, turned_away: bool = False) -> TargetFacts:
    """By way of the text that lies in Redis."""
    written = unusable(record, "media") if isinstance(record, RotatorError) else summary_of(record, target, NOW)
    summary = checked(Summary, json.dumps(written))
    assert summary
    return facts_of(target, summary, None, NOW, turned_away=turned_away)


def trouble(kind: TroubleKind = TroubleKind.KEY_REFUSED, *, confirmed: bool = True) -> Trouble:
    return Trouble(kind=kind, access_key="AK0", since=NOW, what="refused", confirmed=confirmed)


def risky(number: int) -> UnconfirmedCreate:
    return create(rotation_id=f"rotation-{number}")


CAUSES: dict[str, tuple[Record | RotatorError, set[Condition]]] = {
    "all is well": (WELL, {Condition.READY}),
    "no key yet": (empty(), set()),
    "a rotation failed": (FAILED, {Condition.FAILING}),
    "it recovered": (
        RECOVERED,
        {Condition.READY},
    ),
    "the publish met a stranger's version": (
        failed(WELL, Conflict("theirs", target="media"), NOW, NOW, operation="publish"),
        {Condition.CONFLICT, Condition.FAILING},
    ),
    "somebody wrote over the secret": (replace(WELL, trouble=trouble(TroubleKind.OVERWRITTEN)), {Condition.CONFLICT}),
    "the path was changed": (Conflict("moved", target="media"), {Condition.CONFLICT}),
    "the record is broken": (RecordUnreadable("broken", target="media"), {Condition.UNREADABLE}),
    "the key died": (replace(WELL, trouble=trouble()), set()),
    "its keys died again and again": (
        replace(WELL, trouble=trouble(), healings=(NOW, NOW, NOW)),
        {Condition.WAITS_FOR_PERSON},
    ),
    "Vault was set back": (replace(WELL, deletes_held=True), {Condition.WAITS_FOR_PERSON}),
    "creates are unconfirmed too often": (
        replace(WELL, unconfirmed_creates=tuple(map(risky, range(3)))),
        {Condition.WAITS_FOR_PERSON},
    ),
    "one create is unconfirmed": (replace(WELL, unconfirmed_creates=(risky(0),)), {Condition.READY}),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_has_its_condition(target: Target, cause: str) -> None:
    record, conditions = CAUSES[cause]
    assert facts(target, record).conditions == conditions


def test_a_target_that_was_turned_away_is_paused_and_all_else_stays_as_it_is(target: Target) -> None:
    assert facts(target, WELL, turned_away=True).conditions == {Condition.READY, Condition.PAUSED}


def test_the_moments_are_those_of_the_record(target: Target) -> None:
    now = NOW.timestamp()
    found = facts(target, FAILED)
    assert (found.created, found.last_success) == (now - 86400, now - 86400)
    assert found.last_failure == now
    assert (found.grace, found.max_age) == (86400, 30 * 86400)
    found = facts(target, replace(RECOVERED, history=RECOVERED.history.written()))
    assert found.last_failure == now, "also after a success"
    assert found.last_success == now + 60
    assert found.retire_due == now + 86400 + 60


def test_keys_are_counted_by_their_state(target: Target) -> None:
    record = replace(
        WELL,
        rotation=under_way(Phase.STAGED, staged()),
        retiring=(
            replace(retiring("AK2"), retire_after=NOW + MINUTE),
            replace(retiring("AK3"), retire_after=NOW + SECOND),
            replace(retiring("AK4"), deleted_at=NOW),
            replace(retiring("AK5"), deleted_at=NOW, overdue=True),
        ),
    )
    found = facts(target, record)
    assert found.keys == {
        KeyState.CURRENT: 1,
        KeyState.STAGED: 1,
        KeyState.WAITING: 2,
        KeyState.DELETED: 1,
        KeyState.OVERDUE: 1,
    }
    assert found.retire_due == (NOW + SECOND).timestamp()
    assert facts(target, empty()).keys == {KeyState.CURRENT: 0}


def test_who_is_troubled_is_who_a_person_may_want_to_look_at(target: Target) -> None:
    now = NOW.timestamp()
    assert not facts(target, WELL).is_troubled(now)
    assert facts(target, WELL).is_troubled(now + 31 * 86400), "late, and too old"
    assert facts(target, empty()).is_troubled(now)
    assert facts(target, replace(WELL, unconfirmed_creates=(risky(0),))).is_troubled(now)
    assert facts(target, replace(WELL, retiring=(replace(retiring(), deleted_at=NOW, overdue=True),))).is_troubled(now)
    assert facts_of(target, None, None, NOW, turned_away=False).is_troubled(now), "nobody has looked at it"


def test_a_pause_by_a_person_counts_until_it_ends(target: Target) -> None:
    for until, expected in ((None, True), (NOW + MINUTE, True), (NOW, False)):
        paused = replace(WELL, paused=Paused(at=NOW - MINUTE, by="anna", reason="", until=until))
        assert (Condition.PAUSED in facts(target, paused).conditions) is expected, until


def test_a_target_that_is_rotated_only_when_asked_has_no_greatest_age(target: Target) -> None:
    found = facts(replace(target, schedule=Schedule(every=NEVER)), WELL)
    assert found.max_age is None
    assert not found.is_troubled((NOW + 4000 * DAY).timestamp())
    text = shared_text([CLOSED], ScheduleFacts(due=0), [found], [found])
    assert "rotator_target_max_age_seconds{" not in text


def test_the_text_is_what_prometheus_reads(target: Target) -> None:
    account = AccountFacts("default", circuit_open=True, last_audit=2.5, counted=10, explained=8, foreign=2)
    schedule = ScheduleFacts(due=3, last_tick=1.5)
    found = [facts(target, record) for record, _ in CAUSES.values()]
    text = shared_text([account, CLOSED], schedule, found, found)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert set(families) == {f"rotator_{name}" for name in (*SHARED, *TARGETS)}
    assert all(family.type == "gauge" and family.documentation for family in families.values())
    circuits = {sample.labels["account"]: sample.value for sample in families["rotator_account_circuit_open"].samples}
    assert circuits == {"default": 1, "media": 0}
    kinds = {sample.labels["kind"]: sample.value for sample in families["rotator_account_keys"].samples}
    assert kinds == {"counted": 10, "explained": 8, "foreign": 2}
    numbers = {sample.labels["condition"]: sample.value for sample in families["rotator_targets_by_condition"].samples}
    assert numbers["Ready"] == 3
    assert {sample.value for sample in families["rotator_target_condition"].samples} == {0, 1}
    assert not any(math.isnan(s.value) for family in families.values() for s in family.samples)


def test_what_is_not_known_has_no_line(target: Target) -> None:
    found = facts_of(target, None, None, NOW, turned_away=False)
    text = shared_text([CLOSED], ScheduleFacts(due=0), [], [found])
    told = {line.partition("{")[0].partition(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    assert "rotator_last_tick_timestamp_seconds" not in told
    assert "rotator_target_current_key_created_timestamp_seconds" not in told
    assert "rotator_target_grace_seconds" in told


def test_with_cron_a_key_is_as_old_as_the_longest_gap_lets_it_be(tmp_path: Path) -> None:
    text = '[[target]]\nname = "media"\npath = "apps/media"\ncron = "0 3 1 * *"\ngrace = "24h"\njitter = "1h"\n'
    assert read(tmp_path, text).targets["media"].schedule.greatest_age() == timedelta(days=31, hours=1)
    windowed = text + 'window = "02:00-05:00"\n'
    assert read(tmp_path, windowed).targets["media"].schedule.greatest_age() == timedelta(days=32, hours=1)
