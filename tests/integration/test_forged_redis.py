"""Whoever can write to Redis may write anything there: nothing crashes, and nothing waits longer than it ever does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.doubles import MemoryClock, MemoryHostUp
from tests.integration.scene import LIMITED, LIMITS, Scene, full_summary, scene_on, scheduled
from tests.records import MINUTE, NOW, SECOND, current
from worker.adapters.redis import keys
from worker.adapters.redis.account import Account
from worker.adapters.redis.circuit import EVERY_CALL, LONGEST_HELD
from worker.adapters.redis.index import IndexEntry
from worker.adapters.redis.reading import StoredRequest
from worker.adapters.redis.repair import TYPES
from worker.adapters.redis.state import SharedState
from worker.adapters.vault.kv import Health
from worker.cli.check_redis import of_workers
from worker.cli.held import held_lines
from worker.cli.status import NEVER_WATCHED, _row
from worker.errors import CircuitOpen, QueueUnavailable, TryAgainLater
from worker.rotation.record import Record
from worker.sandbox.servers import ValkeyServer
from worker.service.assemble import Runtime
from worker.service.look import look_while_due, watch_while_nothing_is_due
from worker.service.strangers import MOST_STRANGERS
from worker.service.tick import tick

HOUR = timedelta(hours=1)
FAR = (NOW + timedelta(days=36_500)).timestamp()
NO_MOMENTS = ("inf", "-inf", "nan", "1e308", "-5", "", "soon", "0x7fffffff", str(FAR), "9" * 400)


class WellVault:
    """A Vault that is ready."""

    def health(self) -> Health:
        return Health(initialized=True, sealed=False, standby=False, version=None)


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    made = scene_on(tmp_path, client, server, Record(target="media", path="apps/media", current=current()))
    made.runtime = replace(made.runtime, vault=WellVault())  # type: ignore[arg-type]  # a double
    return made


def ticked(runtime: Runtime) -> list[tuple[str, list[str]]]:
    """What a tick sends."""
    sent: list[tuple[str, list[str]]] = []
    tick(runtime, lambda task, args, **_: sent.append((task, args)))
    return sent


def told(logs: list[Any]) -> list[str]:
    return [str(each["key"]) for each in logs if each["event"] == "redis.repaired"]


def test_a_lock_that_nobody_holds_is_taken(client: redis.Redis, shared: SharedState) -> None:
    client.set(keys.lock("media"), "forged")
    with capture_logs() as logs:
        assert shared.locks.hold("media", MINUTE).mine
    assert told(logs) == [keys.lock("media")]
    client.set(keys.lock("media"), "forged", ex=365 * 86_400)
    assert shared.locks.hold("media", MINUTE).mine
    client.delete(keys.lock("media"))
    client.lpush(keys.lock("media"), "forged")
    assert shared.locks.hold("media", MINUTE).mine
    assert not shared.locks.hold("media", MINUTE).mine, "a lock that a worker holds is held"


def test_a_wake_up_of_another_type_is_no_obstacle(client: redis.Redis, shared: SharedState) -> None:
    client.lpush(keys.woken("media"), "forged")
    hold = shared.locks.hold("media", MINUTE)
    assert hold.mine
    client.lpush(keys.woken("media"), "forged again")
    shared.index.finish_look(IndexEntry("media", full_summary("media"), ()), NOW + HOUR, hold)
    assert shared.index.summary("media") is not None


def test_work_that_nobody_does_is_taken(client: redis.Redis, shared: SharedState) -> None:
    client.set(keys.once("audit"), "1")
    assert shared.locks.only_one("audit", HOUR)
    assert not shared.locks.only_one("audit", HOUR)
    client.pexpire(keys.once("audit"), 10 * 3_600_000)
    assert shared.locks.only_one("audit", HOUR)


@pytest.mark.parametrize("value", NO_MOMENTS)
@pytest.mark.parametrize("field", ["open_until", "trial_until"])
def test_a_circuit_is_open_for_no_longer_than_it_ever_is(client: redis.Redis, field: str, value: str) -> None:
    clock = MemoryClock()
    account = Account(client, MemoryHostUp(), clock, LIMITS)
    circuit: Any = {"open_until": str((NOW - SECOND).timestamp()), field: value, "opened_at": str(NOW.timestamp())}
    client.hset(keys.CIRCUIT, mapping=circuit)
    with suppress(CircuitOpen):
        account.enter("media")
    clock.time += LONGEST_HELD + SECOND
    account.enter("media")


HELD_UNTIL = (*NO_MOMENTS, str((NOW + MINUTE).timestamp()), hex(int((NOW + MINUTE).timestamp())), str(NOW.timestamp()))
OPENED = (None, "", "x", "inf", str(FAR), str(NOW.timestamp()))


@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize("trial", [None, str((NOW + MINUTE).timestamp()), "x"])
@pytest.mark.parametrize("ends", HELD_UNTIL)
def test_what_holds_calls_back_is_shown(
    client: redis.Redis, shared: SharedState, ends: str, trial: str | None, opened: str | None
) -> None:
    circuit: Any = {"open_until": ends, "trial_until": trial, "opened_at": opened}
    client.hset(keys.CIRCUIT, mapping={name: value for name, value in circuit.items() if value is not None})
    seen = shared.held(NOW)
    try:
        Account(client, MemoryHostUp(), MemoryClock(), LIMITS).enter("media")
    except CircuitOpen:
        assert [held.operation for held in seen] == [EVERY_CALL]


@pytest.mark.parametrize("ends", HELD_UNTIL)
def test_what_pauses_calls_is_shown(client: redis.Redis, shared: SharedState, ends: str) -> None:
    client.hset(keys.PAUSES, "delete_key", ends)
    seen = shared.held(NOW)
    try:
        Account(client, MemoryHostUp(), MemoryClock(), LIMITS).enter("media")
    except CircuitOpen:
        assert [held.operation for held in seen] == ["delete_key"]


@pytest.mark.parametrize("value", NO_MOMENTS)
def test_a_pause_is_no_longer_than_it_ever_is(client: redis.Redis, shared: SharedState, value: str) -> None:
    clock = MemoryClock()
    account = Account(client, MemoryHostUp(), clock, LIMITS)
    client.hset(keys.PAUSES, mapping=dict.fromkeys(("create_key", "delete_key", "status"), value))
    with suppress(CircuitOpen):
        account.enter("media")
    for held in shared.held(clock.now()):
        assert held.until <= clock.now() + LONGEST_HELD
    clock.time += LONGEST_HELD + SECOND
    account.enter("media")


def test_places_that_nobody_has_end(client: redis.Redis) -> None:
    client.zadd(keys.CREATES, {"forged": float("inf"), "forged too": FAR})
    with capture_logs() as logs, Account(client, MemoryHostUp(), MemoryClock(), LIMITS).place("media") as place:
        assert place.key_count is None
    assert told(logs) == [keys.CREATES]


@pytest.mark.parametrize(
    "count",
    [
        {"value": "many", "at": str(NOW.timestamp()), "made": "0"},
        {"value": "3", "at": "nan", "made": "0"},
        {"value": "3", "at": str(FAR), "made": "0"},
        {"value": "3", "at": str(NOW.timestamp()), "made": "1e9"},
        {"value": "9" * 400, "at": str(NOW.timestamp()), "made": "0"},
    ],
)
def test_a_count_that_cannot_be_one_is_not_known(client: redis.Redis, count: dict[Any, Any]) -> None:
    client.hset(keys.COUNT, mapping=count)
    with Account(client, MemoryHostUp(), MemoryClock(), LIMITS).place("media") as place:
        assert place.key_count is None


def test_failures_that_are_no_number_are_counted_anew(client: redis.Redis) -> None:
    account = Account(client, MemoryHostUp(), MemoryClock(), LIMITS)
    for value in ("many", "-5", "9" * 18):
        client.hset(keys.CIRCUIT, "failures", value)
        account.failed(LIMITED)
        assert client.hget(keys.CIRCUIT, "failures") == "1"


def test_requests_of_another_form_are_dropped_one_by_one(client: redis.Redis, shared: SharedState) -> None:
    shared.requests.keep("request-1", StoredRequest(target="media", reason="leaked"))
    forged = ("{", "[]", "5", "null", '{"target": 5, "reason": ""}', '{"target": "media"}', "x" * 100_000)
    client.hset(keys.REQUESTS, mapping={f"forged-{number}": text for number, text in enumerate(forged)})
    client.hset(keys.REQUESTS, mapping={"i" * 500: '{"target": "media", "reason": ""}', b"\xff\xfe": b"\xff"})
    client.hset(keys.REQUESTS, "long", json.dumps({"target": "media", "reason": "x" * 201}))
    with capture_logs() as logs:
        assert shared.requests.all() == {"request-1": StoredRequest(target="media", reason="leaked")}
    assert told(logs) == [keys.REQUESTS]
    assert client.hkeys(keys.REQUESTS) == ["request-1"]
    with capture_logs() as logs:
        shared.requests.all()
    assert told(logs) == [], "it is told once"


def test_looks_that_are_put_off_for_ever_happen(scene: Scene, client: redis.Redis) -> None:
    ticked(scene.runtime)
    scene.clock.time += MINUTE
    client.zadd(keys.DUE, {"media": float("inf")})
    with capture_logs() as logs:
        assert ("rotator.reconcile", ["media"]) in ticked(scene.runtime)
    assert told(logs) == [keys.DUE]


def test_watches_that_are_put_off_for_ever_happen(scene: Scene, client: redis.Redis) -> None:
    ticked(scene.runtime)
    client.zadd(keys.DUE, {"media": (NOW + HOUR).timestamp()})
    client.zadd(keys.WATCHES, {"media": (NOW + timedelta(days=8000)).timestamp()})
    assert ("rotator.watch", ["media"]) in ticked(scene.runtime)


@pytest.mark.parametrize("gone", [keys.DUE, keys.WATCHES, keys.BUILT])
def test_what_was_evicted_is_there_again_after_a_tick(scene: Scene, client: redis.Redis, gone: str) -> None:
    ticked(scene.runtime)
    client.delete(gone)
    ticked(scene.runtime)
    assert scheduled(scene.shared) == scheduled(scene.shared, keys.WATCHES) == {"media"}
    assert scene.shared.due.is_built()


def test_targets_that_are_not_configured_are_dropped_with_a_word(scene: Scene, client: redis.Redis) -> None:
    ticked(scene.runtime)
    client.zadd(keys.DUE, {"nobody": 0, "\x1b[2J": 0, "media": 1})
    with capture_logs() as logs:
        assert ticked(scene.runtime) == [("rotator.reconcile", ["media"])]
    assert keys.DUE in told(logs)
    assert scheduled(scene.shared) == {"media"}


STRANGERS = pytest.mark.parametrize("strangers", [0, 1, MOST_STRANGERS, MOST_STRANGERS + 5_000])
"""Names of nobody, which come before all that is due, as many as are dropped one by one, and more."""


def forge_strangers(client: redis.Redis, key: str, number: int) -> None:
    names = {f"nobody-{each}": float("-inf") for each in range(number)}
    if names:
        client.zadd(key, names)


@STRANGERS
def test_names_of_nobody_keep_no_target_from_being_looked_at(scene: Scene, client: redis.Redis, strangers: int) -> None:
    ticked(scene.runtime)
    scene.clock.time += HOUR
    forge_strangers(client, keys.DUE, strangers)
    with capture_logs() as logs:
        assert ("rotator.reconcile", ["media"]) in ticked(scene.runtime)
    assert scheduled(scene.shared) == {"media"}
    assert told(logs) == ([keys.DUE] if strangers else []), "it is told once"


@STRANGERS
def test_names_of_nobody_keep_no_target_from_being_watched(scene: Scene, client: redis.Redis, strangers: int) -> None:
    ticked(scene.runtime)
    client.zadd(keys.DUE, {"media": (NOW + HOUR).timestamp()})
    client.zadd(keys.WATCHES, {"media": NOW.timestamp()})
    forge_strangers(client, keys.WATCHES, strangers)
    assert ("rotator.watch", ["media"]) in ticked(scene.runtime)
    assert scheduled(scene.shared, keys.WATCHES) == {"media"}


def test_names_of_nobody_do_not_pass_for_those_of_targets(scene: Scene, client: redis.Redis) -> None:
    ticked(scene.runtime)
    for key in (keys.DUE, keys.WATCHES):
        client.delete(key)
        forge_strangers(client, key, MOST_STRANGERS + 2)
    ticked(scene.runtime)
    assert scheduled(scene.shared) == scheduled(scene.shared, keys.WATCHES) == {"media"}


@pytest.mark.parametrize("key", [keys.DUE, keys.WATCHES])
def test_a_thread_that_goes_on_passes_names_of_nobody(scene: Scene, client: redis.Redis, key: str) -> None:
    ticked(scene.runtime)
    client.zadd(keys.DUE, {"media": (NOW + HOUR).timestamp()})
    client.zadd(keys.WATCHES, {"media": (NOW + HOUR).timestamp()})
    forge_strangers(client, key, 20)
    with capture_logs() as logs:
        if key == keys.DUE:
            look_while_due(scene.runtime, "media")
        else:
            watch_while_nothing_is_due(scene.runtime, "media")
    assert scheduled(scene.shared, key) == {"media"}
    assert told(logs) == [keys.DUE]


@pytest.mark.parametrize("key", TYPES)
def test_a_key_of_another_type_is_made_anew_and_told_once(scene: Scene, client: redis.Redis, key: str) -> None:
    ticked(scene.runtime)
    client.delete(key)
    client.lpush(key, "forged")
    with capture_logs() as logs:
        ticked(scene.runtime)
        ticked(scene.runtime)
    assert told(logs) == [key]
    assert client.type(key) in ("none", TYPES[key])
    assert scheduled(scene.shared) == {"media"}


def test_a_worker_that_will_only_be_there_some_day_is_none(client: redis.Redis, shared: SharedState) -> None:
    client.zadd(keys.WORKERS, {"forged": float("inf"), "forged too": 4e9, "x" * 1000: 1.0, "\x1b[2J": 1.0})
    assert shared.heartbeats.workers() == ()
    shared.heartbeats.beat("one")
    assert shared.heartbeats.workers() == ("one",)
    assert set(shared.heartbeats.ages()) == {"one"}
    assert client.zcard(keys.WORKERS) == 1


def test_summaries_of_another_form_are_not_there(client: redis.Redis, shared: SharedState) -> None:
    well = full_summary("media", access_key="AKIAEXAMPLE")
    broken: tuple[object, ...] = (
        {**well, "target": "other"},
        {**well, "more": 1},
        {**well, "retiring": 5},
        {**well, "next_rotation_at": "2026-01-01T00:00:00"},
        {**well, "access_key": "a\x1b[2J"},
        {**well, "last_error": {"what": 5, "hint": ""}},
        {**well, "vault_version": float("nan")},
        {name: value for name, value in well.items() if name != "phase"},
        [],
        "x",
    )
    for each in broken:
        client.hset(keys.SUMMARY, "media", json.dumps(each))
        assert shared.index.summary("media") is None
        assert shared.index.summaries() == {}
    client.hset(keys.SUMMARY, "media", json.dumps(well))
    assert shared.index.summaries() == {"media": well}


MOMENTS = st.sampled_from([*NO_MOMENTS, str(NOW.timestamp()), str((NOW + HOUR).timestamp())])
FIELDS = ("media", "nobody", "open_until", "trial_until", "failures", "value", "at", "made", "create_key", "x" * 300)
NAMES = st.sampled_from(FIELDS) | st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | MOMENTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
SUMMARIES = st.builds(
    lambda name, value: json.dumps({**full_summary("media"), name: value}),
    st.sampled_from(sorted(full_summary("media"))),
    JSON,
)
TEXTS = (
    MOMENTS
    | SUMMARIES
    | JSON.map(json.dumps)
    | st.binary(max_size=12)
    | st.sampled_from(["[" * 3000, '{"target": "media", "reason": ""}', "9" * 100_000])
)
SCORES = st.floats(allow_nan=False) | st.sampled_from([0.0, NOW.timestamp(), FAR])
CONTENTS = (
    st.tuples(st.just("hash"), st.dictionaries(NAMES | st.binary(max_size=4), TEXTS, min_size=1, max_size=4))
    | st.tuples(st.just("zset"), st.dictionaries(NAMES | st.binary(max_size=4), SCORES, min_size=1, max_size=4))
    | st.tuples(st.just("string"), TEXTS)
    | st.tuples(st.just("list"), TEXTS)
    | st.tuples(st.just("set"), TEXTS)
)
FORGED = st.dictionaries(
    st.sampled_from([*TYPES, keys.lock("media"), keys.woken("media"), keys.once("audit")]), CONTENTS, max_size=6
)


def forge(client: redis.Redis, contents: Mapping[str, tuple[str, Any]]) -> None:
    client.flushdb()
    for key, (kind, content) in contents.items():
        match kind:
            case "hash":
                client.hset(key, mapping=content)
            case "zset":
                client.zadd(key, content)
            case "string":
                client.set(key, content)
            case "list":
                client.lpush(key, content)
            case _:
                client.sadd(key, content)


def readers(scene: Scene) -> Iterator[object]:
    """Everything that is read of Redis, by a command or a worker."""
    shared = scene.shared
    now = scene.clock.now()
    seen = shared.watches.sightings()
    for name, summary in shared.index.summaries().items():
        yield _row({**summary, **seen.get(name, NEVER_WATCHED)}, now)
    yield shared.index.summary("media")
    yield shared.index.target_of("media")
    yield shared.index.changed_plans({"media": "a plan"})
    yield list(held_lines(shared.held(now), now))
    yield shared.circuit().paused_until("status", now)
    yield of_workers(shared.heartbeats.ages())
    yield shared.requests.all()
    yield shared.due.is_taken_up("media")
    yield shared.watches.sighting("media")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FORGED)
def test_whatever_is_written_to_redis_nothing_crashes_and_nothing_waits_for_long(
    scene: Scene, client: redis.Redis, contents: Mapping[str, tuple[str, Any]]
) -> None:
    scene.clock.time = NOW
    forge(client, contents)
    with suppress(QueueUnavailable):  # a wrong type, before a worker has put it right
        list(readers(scene))
    ticked(scene.runtime)
    assert list(readers(scene))
    hold = scene.shared.locks.hold("media", MINUTE)
    assert 0 < client.pttl(keys.lock("media")) <= 60_000
    account = Account(client, scene.hostup, scene.clock, LIMITS)
    for _ in range(2):
        with suppress(CircuitOpen, TryAgainLater):
            account.enter("media")
        with suppress(CircuitOpen, TryAgainLater), account.place("media"):
            pass
        scene.clock.time += LONGEST_HELD + 2 * SECOND  # longer than anything may hold it back
    with account.place("media"):
        pass
    if hold.mine:
        scene.shared.index.finish_look(IndexEntry("media", full_summary("media"), ("id-1",)), NOW + HOUR, hold)
    scene.clock.time += 2 * timedelta(hours=2)
    ticked(scene.runtime)
    assert scheduled(scene.shared) == {"media"}
    assert (client.zscore(keys.DUE, "media") or 0) <= (scene.clock.time + 3660 * timedelta(days=1)).timestamp()
