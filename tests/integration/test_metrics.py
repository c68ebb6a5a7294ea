"""What all workers share, as Prometheus gets it: by a real Valkey, also when that is away, and for 2,000 targets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import redis

from tests.doubles import MemoryClock, MemoryHostUp
from tests.integration.scene import LIMITS, full_summary
from tests.records import DAY, MINUTE, NOW, SECOND
from tests.scrape import value
from tests.unit.settings.configuring import NOTHING, read
from worker.adapters.redis.account import Account
from worker.adapters.redis.client import connect
from worker.adapters.redis.index import IndexEntry
from worker.adapters.redis.keys import API_KEY, AUDIT, SEEN, SUMMARY
from worker.adapters.redis.state import SharedState, shared_state
from worker.errors import HostUpCall, HostUpRefused
from worker.sandbox.servers import start_valkey
from worker.service.metrics.shared import KEPT_SECONDS, SharedMetrics
from worker.settings.settings import Settings

TARGETS = ("backup", "media")
READY: Mapping[str, object] = {
    "access_key": "AKIASECRETLY",
    "created_at": NOW.isoformat(),
    "next_rotation_at": (NOW + MINUTE).isoformat(),
}
FAILING: Mapping[str, object] = {
    **READY,
    "last_error": {"what": "no", "hint": "", "kind": "HostUpRefused", "request_id": "request-canary"},
}


def settings_for(
    folder: Path, names: tuple[str, ...] = TARGETS, more: str = "", env: Mapping[str, str | None] = NOTHING
) -> Settings:
    targets = "".join(
        f'[[target]]\nname = "{name}"\npath = "apps/{name}"\nevery = "30d"\ngrace = "24h"\n' for name in names
    )
    return read(folder, f"[metrics]\n{more}\n{targets}", env=env)


def _keep(shared: SharedState, name: str, facts: Mapping[str, object]) -> None:
    shared.index.refresh([IndexEntry(name, full_summary(name, **facts), ())])


@pytest.fixture
def clock() -> MemoryClock:
    return MemoryClock()


def test_it_says_what_lies_in_redis_and_no_id(tmp_path: Path, shared: SharedState, clock: MemoryClock) -> None:
    _keep(shared, "media", READY)
    _keep(shared, "backup", FAILING)
    shared.watches.seen(
        "media", {"last_seen_living_at": NOW.isoformat(), "last_watched_at": None, "watch_found": ""}, NOW
    )
    shared.notes.ticked(NOW - SECOND)
    shared.due.schedule("media", NOW - MINUTE)
    shared.notes.audited(NOW - MINUTE, 5, 3, 2)
    text = SharedMetrics(settings_for(tmp_path), shared, clock).text()
    assert value(text, 'targets_by_condition{condition="Ready"}') == 1
    assert value(text, 'targets_by_condition{condition="Failing"}') == 1
    assert value(text, 'target_condition{account="default",target="backup",condition="Failing"}') == 1
    media = '{account="default",target="media"}'
    assert value(text, f"target_last_seen_living_timestamp_seconds{media}") == NOW.timestamp()
    assert value(text, f"target_max_age_seconds{media}") == 30 * 86400
    assert value(text, "last_tick_timestamp_seconds") == NOW.timestamp() - 1
    assert value(text, "due_targets") == 1
    assert value(text, 'account_keys{account="default",kind="counted"}') == 5
    assert value(text, 'account_last_audit_timestamp_seconds{account="default"}') == NOW.timestamp() - 60
    assert "AKIASECRETLY" not in text
    assert "request-canary" not in text


def test_each_account_has_its_own_numbers(tmp_path: Path, client: redis.Redis, clock: MemoryClock) -> None:
    text = (
        '[hostup]\napi_key_path = "keys/first"\n[[account]]\nname = "media"\napi_key_path = "keys/media"\n'
        '[[account]]\nname = "web"\n[[target]]\nname = "films"\npath = "apps/films"\n'
        'every = "30d"\ngrace = "24h"\naccount = "media"\n'
    )
    settings = read(tmp_path, text, env={"HOSTUP_API_KEY": None, "HOSTUP_API_KEY_WEB": "k"})
    shared = shared_state(client, settings.accounts)
    shared.notes.audited(NOW, 5, 3, 2)
    shared.notes.audited(NOW - MINUTE, 7, 6, 1, "media", {"endpoint": 1, "places": 2})
    shared.notes.api_key_seen("default", NOW - DAY, NOW + DAY, needs_person=False)
    shared.notes.api_key_seen("media", None, None, needs_person=True)
    shared.notes.api_key_seen("web", NOW, NOW, needs_person=True)
    Account(client, MemoryHostUp(), clock, LIMITS, "media").failed(HostUpRefused("no", HostUpCall("status", 401)))
    told = SharedMetrics(settings, shared, clock).text()

    def of(account: str, name: str, more: str = "") -> float | None:
        return value(told, f'account_{name}{{account="{account}"{more}}}')

    assert [of(name, "keys", ',kind="counted"') for name in settings.accounts] == [5, 7, None]
    assert [of(name, "keys", ',kind="foreign"') for name in settings.accounts] == [2, 1, None]
    assert [of(name, "findings", ',kind="endpoint"') for name in settings.accounts] == [None, 1, None]
    assert [of(name, "findings", ',kind="places"') for name in settings.accounts] == [None, 2, None]
    audits = [of(name, "last_audit_timestamp_seconds") for name in settings.accounts]
    assert audits == [NOW.timestamp(), NOW.timestamp() - 60, None]
    assert [of(name, "circuit_open") for name in settings.accounts] == [0, 1, 0]
    assert [of(name, "api_key_waits_for_person") for name in settings.accounts] == [0, 1, None], "one is in no Vault"
    made = [of(name, "api_key_created_timestamp_seconds") for name in settings.accounts]
    assert made == [(NOW - DAY).timestamp(), None, None]
    due = [of(name, "api_key_next_roll_timestamp_seconds") for name in settings.accounts]
    assert due == [(NOW + DAY).timestamp(), None, None]


def test_of_a_target_that_is_not_configured_nothing_is_said(
    tmp_path: Path, shared: SharedState, clock: MemoryClock
) -> None:
    _keep(shared, "media", READY)
    _keep(shared, "former", READY)
    assert "former" not in SharedMetrics(settings_for(tmp_path), shared, clock).text()


@pytest.mark.parametrize(("detail", "named"), [("all", TARGETS), ("troubled", ("backup",)), ("none", ())])
def test_the_settings_say_which_targets_have_series(
    tmp_path: Path, shared: SharedState, clock: MemoryClock, detail: str, named: tuple[str, ...]
) -> None:
    _keep(shared, "media", READY)
    _keep(shared, "backup", FAILING)
    text = SharedMetrics(settings_for(tmp_path, more=f'targets = "{detail}"'), shared, clock).text()
    assert set(re.findall(r'target="([^"]+)"', text)) == set(named)
    assert value(text, 'targets_by_condition{condition="Failing"}') == 1


def test_it_is_read_at_most_every_few_seconds(tmp_path: Path, shared: SharedState, clock: MemoryClock) -> None:
    metrics = SharedMetrics(settings_for(tmp_path), shared, clock)
    first = metrics.text()
    _keep(shared, "media", READY)
    assert metrics.text() == first
    clock.sleep(KEPT_SECONDS)
    assert value(metrics.text(), 'targets_by_condition{condition="Ready"}') == 1


def test_while_redis_is_away_it_says_what_it_said_before(tmp_path: Path, clock: MemoryClock) -> None:
    server = start_valkey(tmp_path / "valkey")
    try:
        with connect(server.url, timeout=2, retries=0) as own:
            shared = shared_state(own)
            _keep(shared, "media", READY)
            metrics = SharedMetrics(settings_for(tmp_path), shared, clock)
            before = metrics.text()
            server.kill()
            clock.sleep(KEPT_SECONDS)
            assert metrics.text() == before
            assert value(before, 'targets_by_condition{condition="Ready"}') == 1
    finally:
        server.stop()


def test_where_redis_was_never_there_it_says_nothing(tmp_path: Path, away: redis.Redis, clock: MemoryClock) -> None:
    assert SharedMetrics(settings_for(tmp_path), shared_state(away), clock).text() == ""


def test_what_somebody_else_wrote_is_not_repeated(
    tmp_path: Path, client: redis.Redis, shared: SharedState, clock: MemoryClock
) -> None:
    client.hset(SUMMARY, "media", '{"target": "media\\n# a lie"}')
    client.hset(SUMMARY, "backup", json.dumps(full_summary("media", **READY)))
    client.hset(SEEN, "media", "\x00" * 100_000)
    client.set(AUDIT, '{"at": "never", "counted": 1e99}')
    client.set(API_KEY, '{"made_at": "a lie", "roll_at": null, "needs_person": "yes"}')
    in_vault = '[hostup]\napi_key_path = "keys/first"\n'
    settings = settings_for(tmp_path, more=in_vault, env={"HOSTUP_API_KEY": None})
    text = SharedMetrics(settings, shared, clock).text()
    assert "lie" not in text
    assert value(text, 'targets_by_condition{condition="Ready"}') == 0
    assert "account_keys{" not in text
    assert "account_api_key_waits_for_person{" not in text


def test_an_audit_that_could_not_count_leaves_the_numbers_of_before(shared: SharedState) -> None:
    shared.notes.audited(NOW, 5, 3, 2)
    shared.notes.audited(NOW + MINUTE, None, 4, 2)
    note = shared.notes.last_audit()
    assert note
    assert (note.at, note.counted, note.explained) == ((NOW + MINUTE).isoformat(), 5, 3)


@pytest.mark.parametrize("counted_once", [True, False])
def test_an_account_whose_keys_cannot_be_counted_looks_as_old_as_its_last_count(
    tmp_path: Path, shared: SharedState, clock: MemoryClock, *, counted_once: bool
) -> None:
    shared.notes.audited(NOW - DAY, 5 if counted_once else None, 3, 2)
    for hours in range(3):
        shared.notes.audited(NOW + hours * MINUTE, None, 3, None)
    settings = settings_for(tmp_path)
    series = 'account_last_audit_timestamp_seconds{account="default"}'
    assert value(SharedMetrics(settings, shared, clock).text(), series) == (NOW - DAY).timestamp()
    shared.notes.audited(NOW, 5, 3, 2)
    assert value(SharedMetrics(settings, shared, clock).text(), series) == NOW.timestamp()


def test_a_note_of_an_older_release_counts_from_its_audit(
    tmp_path: Path, client: redis.Redis, shared: SharedState, clock: MemoryClock
) -> None:
    at = (NOW - DAY).isoformat()
    client.set(AUDIT, json.dumps({"at": at, "counted": 5, "explained": 3, "foreign": 2}))
    shared.notes.audited(NOW, None, 3, None)
    text = SharedMetrics(settings_for(tmp_path), shared, clock).text()
    assert value(text, 'account_last_audit_timestamp_seconds{account="default"}') == (NOW - DAY).timestamp()


def test_a_scrape_costs_redis_a_call_for_each_500_targets(
    tmp_path: Path, client: redis.Redis, shared: SharedState, clock: MemoryClock
) -> None:
    names = tuple(f"target-{number}" for number in range(2000))
    settings = settings_for(tmp_path, names)
    metrics = SharedMetrics(settings, shared, clock)
    before = _calls(client)
    metrics.text()
    # Redis counts a script, and the command in it
    assert _calls(client) - before < 2 * 2 * 2000 / 500 + 15


def _calls(client: redis.Redis) -> int:
    return int(client.info("stats")["total_commands_processed"])
