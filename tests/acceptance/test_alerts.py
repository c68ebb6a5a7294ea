"""What each alert is about, really caused: a real Prometheus scrapes a real worker, and the alert's expression is true.

How long it has to be true (``for``) is promtool's part (tests/monitoring). Where an expression waits for minutes or
hours, a few seconds stand in the place of that number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.service import Service, Worker
from tests.monitoring.files import alerts, queries
from tests.monitoring.prometheus import BINARY, Prometheus, start_prometheus
from tests.sandbox import wait_until
from tests.servers import free_port
from tests.wire import Wire, answer
from worker.sandbox.simulator.faults import fault

pytestmark = pytest.mark.skipif(BINARY is None, reason="needs Prometheus (Debian: prometheus)")

EXPRESSIONS = {alert.name.removeprefix("Rotator"): alert.expression for alert in alerts()}
SHORTER = {"> 300": "> 8", "> 3600": "> 1", "> 10800": "> 8"}
"""What is waited for in a rule, and here. A scrape is up to six seconds old."""

EMPTY_WHERE_ALL_IS_WELL = "Targets in trouble"
NEEDS_A_FAILURE = "rotator_target_last_failure_timestamp_seconds"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with start_prometheus(tmp_path_factory.mktemp("monitoring") / "prometheus") as running:
        yield running


@pytest.fixture
def stand(service: Service, prometheus: Prometheus) -> Iterator[Service]:
    """A service whose next worker is scraped."""
    address = f"127.0.0.1:{free_port()}"
    service.more = {**service.more, "ROTATOR_METRICS_LISTEN": address}
    prometheus.scrape(address)
    yield service
    prometheus.scrape()


def _well(service: Service) -> Worker:
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    return worker


def _with_its_key_in_vault(service: Service) -> str:
    """Have the worker read its API key there, and roll it much later; where it lies."""
    path = f"keys-{service.target}"
    key = next(each for each in reversed(service.sandbox.simulator.admin.api_keys()) if each.works)
    content = {"api_key": key.api_key, "key_id": key.key_id}
    service.vault.secrets.kv.v2.create_or_update_secret(path=path, secret=content)
    service.hostup = f'api_key_path = "{path}"\napi_key_every = "90d"'
    service.more |= {"HOSTUP_API_KEY_FILE": ""}
    return path


def _log_in_for(service: Service, ttl: str) -> None:
    """Give the worker a token that ends, unlike that of the others."""
    made = service.vault.auth.token.create(ttl=ttl, policies=["root"])
    service.vault.token = made["auth"]["client_token"]


def _true(prometheus: Prometheus, alert: str) -> bool:
    expression = EXPRESSIONS[alert]
    for number, here in SHORTER.items():
        expression = expression.replace(number, here)
    return bool(prometheus.ask(expression))


def _quiet(prometheus: Prometheus, *names: str) -> None:
    """The worker is scraped, its target is well, and none of these is true."""
    wait_until(
        lambda: bool(prometheus.ask('rotator_target_condition{condition="Ready"} == 1')), "a target that is well"
    )
    assert [name for name in names if _true(prometheus, name)] == []


def _fires(prometheus: Prometheus, *names: str) -> None:
    for name in names:
        wait_until(lambda name=name: _true(prometheus, name), f"Rotator{name}")  # type: ignore[misc]  # a closure


def test_absent_when_the_workers_are_killed(stand: Service, prometheus: Prometheus) -> None:
    worker = _well(stand)
    _quiet(prometheus, "Absent")
    worker.kill()
    _fires(prometheus, "Absent")


def test_stalled_and_no_audit_when_vault_is_sealed(stand: Service, prometheus: Prometheus) -> None:
    stand.audit_every = "2s"
    _well(stand)
    wait_until(lambda: bool(prometheus.ask("rotator_account_last_audit_timestamp_seconds")), "an audit")
    _quiet(prometheus, "Stalled")
    assert stand.sandbox.vault
    stand.sandbox.vault.seal()
    try:
        _fires(prometheus, "Stalled", "AuditStale")
    finally:
        stand.sandbox.vault.unseal()
    wait_until(lambda: not _true(prometheus, "Stalled"), "it is over")


def test_late_old_failing_and_the_circuit_when_hostup_is_down(stand: Service, prometheus: Prometheus) -> None:
    stand.every, stand.grace = "10s", "2s"
    _well(stand)
    _quiet(prometheus, "CircuitOpen", "TargetFailing")
    stand.sandbox.simulator.admin.order(fault("503", "create", times=-1))
    _fires(prometheus, "TargetOverdue", "TargetFailing", "CircuitOpen", "KeyTooOld")
    assert prometheus.ask(next(query for title, query in queries() if title == EMPTY_WHERE_ALL_IS_WELL))
    assert prometheus.ask(NEEDS_A_FAILURE)


def test_rate_limited_when_hostup_says_so(stand: Service, prometheus: Prometheus) -> None:
    stand.every, stand.grace = "10s", "2s"
    _well(stand)
    _quiet(prometheus, "RateLimited")
    limited = replace(fault("429", "create", times=-1), retry_after="1")
    stand.sandbox.simulator.admin.order(limited)
    _fires(prometheus, "RateLimited")


def test_a_person_is_needed_when_somebody_writes_the_secret(stand: Service, prometheus: Prometheus) -> None:
    stand.watch_every = "1s"
    _well(stand)
    _quiet(prometheus, "NeedsPerson")
    stand.vault.secrets.kv.v2.create_or_update_secret(path=stand.path, secret={"access_key": "THEIRS"})
    _fires(prometheus, "NeedsPerson")


def test_a_person_is_needed_for_the_account_when_its_user_is_suspended(stand: Service, prometheus: Prometheus) -> None:
    stand.audit_every = "2s"
    _well(stand)
    wait_until(lambda: bool(prometheus.ask("rotator_account_keys")), "an audit")
    _quiet(prometheus, "AccountNeedsPerson")
    stand.sandbox.simulator.admin.behave(suspended=True)
    try:
        _fires(prometheus, "AccountNeedsPerson")
    finally:
        stand.sandbox.simulator.admin.behave(suspended=False)
    wait_until(lambda: not _true(prometheus, "AccountNeedsPerson"), "it is over")


def test_a_deleted_key_that_works_on(stand: Service, prometheus: Prometheus) -> None:
    stand.dead_within = "1s"
    _well(stand)
    _quiet(prometheus, "KeyOverdue")
    stand.sandbox.simulator.admin.behave(linger=3600.0)
    try:
        stand.rotate()
        _fires(prometheus, "KeyOverdue")
    finally:
        stand.sandbox.simulator.admin.behave(linger=0.0)


def test_the_current_key_is_deleted_and_no_new_one_can_be_made(stand: Service, prometheus: Prometheus) -> None:
    stand.watch_every = "1s"
    _well(stand)
    _quiet(prometheus, "CurrentKeyDead")
    stand.sandbox.simulator.admin.order(fault("503", "create", times=-1))
    secret = stand.published()
    assert secret
    stand.sandbox.simulator.admin.remove_key(secret["access_key"])
    _fires(prometheus, "CurrentKeyDead")


def test_an_answer_is_lost(stand: Service, prometheus: Prometheus) -> None:
    _well(stand)
    _quiet(prometheus, "UnconfirmedCreate")
    stand.sandbox.simulator.admin.order(fault("cut-after", "create"))
    stand.rotator("rotate", stand.target)
    _fires(prometheus, "UnconfirmedCreate")


def test_a_key_is_made_by_hand(stand: Service, prometheus: Prometheus) -> None:
    stand.audit_every = "2s"
    _well(stand)
    wait_until(lambda: bool(prometheus.ask("rotator_account_keys")), "an audit")
    _quiet(prometheus, "Drift")
    stand.sandbox.simulator.admin.add_key("by hand")
    _fires(prometheus, "Drift")


def test_a_token_that_ends_soon(stand: Service, prometheus: Prometheus) -> None:
    _log_in_for(stand, "4m")
    _well(stand)
    _fires(prometheus, "VaultTokenSoon")


def test_a_channel_that_delivers_nothing(stand: Service, prometheus: Prometheus) -> None:
    with Wire(answer(500)) as hook:
        stand.tables = f'[[notify]]\nname = "ops"\nkind = "webhook"\nurl = "{hook.url}"\nevents = ["published"]'
        _well(stand)
        _fires(prometheus, "NoticesFailing")


def test_the_api_key_is_not_in_vault_any_more(stand: Service, prometheus: Prometheus) -> None:
    path = _with_its_key_in_vault(stand)
    _well(stand)
    _quiet(prometheus, "ApiKeyWaits")
    stand.vault.secrets.kv.v2.delete_latest_version_of_secret(path=path)
    _fires(prometheus, "ApiKeyWaits")


def test_every_alert_is_caused_by_one_of_these() -> None:
    text = Path(__file__).read_text("utf-8")
    caused = {
        name for names in re.findall(r"_fires\(prometheus, (.+)\)", text) for name in re.findall(r'"(\w+)"', names)
    }
    assert caused == set(EXPRESSIONS)


def test_no_query_of_the_board_is_empty(stand: Service, prometheus: Prometheus) -> None:
    stand.grace, stand.audit_every, stand.watch_every, stand.every = "8s", "2s", "2s", "10d"
    _with_its_key_in_vault(stand)
    _log_in_for(stand, "1h")
    worker = _well(stand)
    empty = {query for title, query in queries() if title != EMPTY_WHERE_ALL_IS_WELL and NEEDS_A_FAILURE not in query}
    stand.rotate()

    def all_seen() -> bool:
        """Some are there for moments only: keys in their grace period."""
        empty.difference_update(
            each for each in tuple(empty) if prometheus.ask(each.replace("$__rate_interval", "30s"))
        )
        if worker.events("key.dead") and empty:
            stand.rotate()
        return not empty

    with suppress(AssertionError):
        wait_until(all_seen, "told below")
    assert empty == set()
