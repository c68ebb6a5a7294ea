"""The leak hunt of what tells of a worker beside its log, while calls go wrong: metrics, notices, traces, reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.service import Service
from tests.acceptance.test_metrics import get, listen
from tests.collector import QUICK, bodies
from tests.sandbox import wait_until
from tests.wire import Wire, answer
from worker.sandbox.simulator.faults import fault

EVENTS = json.dumps(["published", "failed", "recovered", "died", "unconfirmed", "waits", "drift"])


def _tell_everything(service: Service, hook: Wire, collector: Wire, program: Path) -> str:
    """Have the next worker tell by each way that there is; the address of its pages."""
    program.write_text(f"#!/bin/sh\ncat >> {program}.heard\n")
    program.chmod(0o700)
    service.tables = (
        f'[[notify]]\nname = "hook"\nkind = "webhook"\nurl = "{hook.url}"\nevents = {EVENTS}\n'
        f'[[notify]]\nname = "slack"\nkind = "slack"\nurl_env = "SLACK"\nevents = {EVENTS}\n'
        f'[[notify]]\nname = "program"\nkind = "command"\nrun = ["{program}"]\nevents = {EVENTS}\n'
    )
    dsn = collector.url.replace("://", "://public@") + "/7"
    service.more |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "SENTRY_DSN": dsn, "SLACK": hook.url, **QUICK}
    return listen(service)


@pytest.mark.parametrize(
    "name",
    ["400", "500-after", "truncated", "bad-header", "notice-before", "without-access-key", "wrong-type-access-key"],
)
def test_no_way_out_tells_a_secret_when_a_create_goes_wrong(service: Service, tmp_path: Path, name: str) -> None:
    service.watch_every = "1s"
    with Wire(answer(200)) as hook, Wire(answer(200)) as collector:
        url = _tell_everything(service, hook, collector, tmp_path / "program")
        worker = service.start()
        worker.wait_for("rotation.succeeded")
        service.sandbox.simulator.admin.order(fault(name, "create"))
        service.rotator("rotate", service.target)
        (tmp_path / "scrape").write_text(get(url, "/metrics").text)
        for key in service.living():
            service.sandbox.simulator.admin.remove_key(key)
        worker.wait_for("key.died")
        wait_until(lambda: any(b'"died"' in heard.body for heard in hook.heard), "the notice")
        wait_until(lambda: b"key.died" in b"".join(bodies(collector, "/api/")), "the report")
        wait_until(lambda: '"died"' in (tmp_path / "program.heard").read_text(), "the program")
        wait_until(lambda: bodies(collector, "/v1/traces") != [] != bodies(collector, "/v1/metrics"), "telemetry")
        assert worker.stop() == 0
        said = b"".join((*bodies(hook), *bodies(collector))).decode("utf-8", "replace")
    said += "".join((tmp_path / file).read_text() for file in ("scrape", "program.heard"))
    assert [each for each in service.secrets() if each in said] == []
