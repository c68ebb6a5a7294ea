"""The decision, as a table: a record and a clock in, the next step out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.records import DAY, HOLDER, MINUTE, NOW, SECOND, create, current, empty, request, retiring, rotation
from tests.worlds import TARGET
from worker.rotation.decide import (
    HISTORY_LIMIT,
    NEW,
    OPEN_CREATES,
    RETIRING_LIMIT,
    ROTATION,
    Archive,
    Begin,
    Delete,
    ProveDead,
    Publish,
    Recount,
    Step,
    TakeOver,
    Verify,
    Wait,
    decide,
    waits_for_person,
)
from worker.rotation.history import History
from worker.rotation.record import Failure, Phase, Record
from worker.rotation.status import outlook

FAILURE = Failure(
    at=NOW - SECOND,
    what="x",
    hint="y",
    kind="HostUpRefused",
    operation="create",
    request_id=None,
    count=1,
    retry_at=NOW + MINUTE,
)
IDLE = replace(empty(), current=current())
RISKY = tuple(create(4, ago, f"r{n}") for n, ago in enumerate((MINUTE, 2 * MINUTE, 3 * MINUTE)))
LATER, EARLIER = NOW + DAY, NOW - SECOND


@pytest.mark.parametrize(
    ("name", "record", "due", "step"),
    [
        ("never rotated", empty(), NOW, Begin("schedule", "")),
        ("due", IDLE, EARLIER, Begin("schedule", "")),
        ("due this very moment", IDLE, NOW, Begin("schedule", "")),
        ("not due", IDLE, LATER, Wait(LATER, "the next rotation")),
        ("asked for", replace(IDLE, requests=(request(),)), LATER, Begin("manual", "because")),
        ("creating by another", replace(IDLE, rotation=rotation()), EARLIER, None),
        ("lease over", replace(IDLE, rotation=rotation(lease=-SECOND)), LATER, TakeOver(HOLDER)),
        ("asked for, but creating", replace(IDLE, rotation=rotation(), requests=(request(),)), LATER, None),
        ("staged", replace(IDLE, rotation=rotation(Phase.STAGED)), LATER, Verify("rotation-1")),
        ("staged, lease over", replace(IDLE, rotation=rotation(Phase.STAGED, lease=-DAY)), LATER, Verify("rotation-1")),
        ("verified", replace(IDLE, rotation=rotation(Phase.VERIFIED)), LATER, Publish("rotation-1")),
        ("verified, backing off", replace(IDLE, rotation=rotation(Phase.VERIFIED), failure=FAILURE), LATER, None),
        ("failed, backing off", replace(IDLE, failure=FAILURE), EARLIER, None),
        (
            "failed, time to retry",
            replace(IDLE, failure=replace(FAILURE, retry_at=NOW)),
            EARLIER,
            Begin("schedule", ""),
        ),
        ("grace over", replace(IDLE, retiring=(retiring(),)), LATER, Delete("AK9")),
        ("in its grace", replace(IDLE, retiring=(retiring(after=MINUTE),)), LATER, None),
        ("deleted", replace(IDLE, retiring=(retiring(deleted=True),)), LATER, ProveDead("AK9")),
        ("long history", replace(IDLE, history=History(("{}",) * (HISTORY_LIMIT + 1))), LATER, Archive()),
        ("too many retiring", replace(IDLE, retiring=(retiring(after=MINUTE),) * RETIRING_LIMIT), EARLIER, None),
        ("three risky creates", replace(IDLE, unconfirmed_creates=RISKY), EARLIER, Recount()),
        ("two risky creates", replace(IDLE, unconfirmed_creates=RISKY[:2]), EARLIER, Begin("schedule", "")),
        ("three risky creates, nothing wanted", replace(IDLE, unconfirmed_creates=RISKY), LATER, None),
    ],
)
def test_next_step(name: str, record: Record, due: object, step: Step | None) -> None:
    decided = decide(record, due, NOW, {})  # type: ignore[arg-type]  # the table holds datetimes only
    if step is None:
        assert isinstance(decided, Wait), name
        assert decided.until > NOW, name
    else:
        assert decided == step, name


def test_a_request_after_the_failure_does_not_wait_for_the_backoff() -> None:
    record = replace(IDLE, failure=FAILURE, requests=(request(at=NOW),))
    assert decide(record, LATER, NOW, {}) == Begin("manual", "because")


def test_a_request_from_before_the_failure_waits_for_the_backoff() -> None:
    record = replace(IDLE, failure=FAILURE, requests=(request(at=NOW - MINUTE),))
    assert decide(record, LATER, NOW, {}) == Wait(FAILURE.retry_at, "the next try of a rotation")


def test_what_the_api_asks_for_is_waited_for_whoever_asks() -> None:
    record = replace(IDLE, failure=replace(FAILURE, kind="HostUpRateLimited"), requests=(request(),))
    assert decide(record, LATER, NOW, {}) == Wait(FAILURE.retry_at, "the next try of a rotation")


@pytest.mark.parametrize(
    ("record", "pause"),
    [
        (replace(IDLE, rotation=rotation(Phase.STAGED), retiring=(retiring(),)), ROTATION),
        (replace(IDLE, retiring=(retiring(),)), NEW),
    ],
)
def test_a_step_that_waits_does_not_block_another_kind(record: Record, pause: str) -> None:
    assert decide(record, EARLIER, NOW, {pause: NOW + MINUTE}) == Delete("AK9")


def test_a_key_that_waits_does_not_block_a_rotation() -> None:
    record = replace(IDLE, retiring=(retiring(deleted=True),))
    assert decide(record, EARLIER, NOW, {"AK9": NOW + MINUTE}) == Begin("schedule", "")


def test_it_waits_for_whatever_comes_first() -> None:
    record = replace(IDLE, retiring=(retiring("A", 2 * MINUTE), retiring("B", MINUTE)))
    assert decide(record, LATER, NOW, {}) == Wait(NOW + MINUTE, "the grace period of access key B to end")


@pytest.mark.parametrize(
    ("afters", "ages", "waits"),
    [
        ((4, 4, 4), (0, 1, 2), True),
        ((4, 4, 4), (0, 13, 25), False),
        ((None, None, None), (0, 1, 2), True),
        ((3, 4, 4), (0, 1, 2), False),
        ((3, 3, 3), (0, 1, 2), False),
        ((4, 4), (0, 1), False),
        ((4, None, 4, 4), (0, 30, 60, 62), False),
        ((4, None, 4, 4), (0, 30, 31, 32), True),
    ],
)
def test_mints_that_wait_for_a_person(afters: tuple[int | None, ...], ages: tuple[int, ...], *, waits: bool) -> None:
    creates = tuple(create(after, timedelta(hours=age), f"r{age}") for after, age in zip(afters, ages, strict=True))
    assert waits_for_person(creates) is waits


def test_no_target_asks_for_ever_while_nobody_settles_anything() -> None:
    creates = tuple(create(3, timedelta(days=n), f"r{n}") for n in range(OPEN_CREATES))
    assert waits_for_person(creates)
    assert not waits_for_person(creates[1:])


def test_settled_mints_hold_nobody_up() -> None:
    assert not waits_for_person(tuple(replace(m, settled="by a person") for m in RISKY))


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (IDLE, "the next rotation"),
        (replace(IDLE, rotation=rotation()), "the worker that asks HostUp for a key, or the end of its lease"),
        (replace(IDLE, retiring=(retiring(after=MINUTE),)), "the grace period of access key AK9 to end"),
        (replace(IDLE, failure=FAILURE, requests=(request(at=NOW - MINUTE),)), "the next try of a rotation"),
    ],
)
def test_what_is_waited_for_is_said_in_words(record: Record, words: str) -> None:
    wait = outlook(record, TARGET, NOW)
    assert wait.why == words
    assert wait.until > NOW


def test_a_step_that_is_due_is_not_waited_for() -> None:
    record = replace(IDLE, requests=(request(),))
    assert outlook(record, TARGET, NOW).until == NOW
