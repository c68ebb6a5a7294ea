"""Notices of real workers: in time, once, without a secret, and with channels of every kind of harm beside them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.acceptance.service import Service
from tests.forms import fits
from tests.sandbox import is_running, wait_until
from tests.wire import Wire, answer, silence
from worker.sandbox.simulator.faults import fault

ENDS_WITHIN = 20.0
"""Much less than the program's own timeout."""

HOOK_WITHIN = 2.0
"""Seconds from the new key in Vault until a hook has heard of it."""


def _channel(service: Service, name: str, lines: str) -> None:
    service.target_lines += f'\n[[notify]]\nname = "{name}"\n{lines}\n'


def _hook(service: Service, name: str, url: str, events: str = "") -> None:
    _channel(service, name, f'kind = "webhook"\nurl = "{url}"\n{events}')


def _told(wire: Wire, event: str) -> list[dict[str, Any]]:
    return [notice for heard in wire.heard if (notice := json.loads(heard.body))["event"] == event]


def test_a_hook_hears_of_a_new_key_within_two_seconds(service: Service) -> None:
    service.target_lines = 'owner = "team-media"'
    with Wire(answer(204)) as wire:
        _hook(service, "hook", wire.url, 'events = ["published"]\nowners = ["team-media"]')
        worker = service.start()
        wait_until(lambda: service.published() is not None, "a key in Vault")
        began = time.monotonic()
        wait_until(lambda: _told(wire, "published") != [], "the hook")
        assert time.monotonic() - began < HOOK_WITHIN
        done = service.rotate()
        wait_until(lambda: len(_told(wire, "published")) == 2, "the hook, again")
        notice = _told(wire, "published")[-1]
        secret = service.published()
        assert secret
        assert (notice["access_key"], notice["rotation_id"]) == (secret["access_key"], done["rotation_id"])
        assert notice["owner"] == "team-media"
        said = b"".join(heard.body for heard in wire.heard).decode() + service.everything_said()
        assert [each for each in service.secrets() if each in said] == []
        worker.wait_for("notice.sent", 2)


def test_rotations_go_on_beside_channels_that_hang_fail_and_run_wild(service: Service, tmp_path: Path) -> None:
    wild = tmp_path / "wild"
    wild.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/pids\nexec yes\n")
    wild.chmod(0o700)
    all_of_them = f"events = {json.dumps(['published', 'failed', 'recovered'])}"
    with Wire(silence()) as dead, Wire(answer(500)) as broken, Wire(answer(200)) as well:
        _hook(service, "dead", dead.url, all_of_them)
        _hook(service, "broken", broken.url, all_of_them)
        _channel(service, "wild", f'kind = "command"\nrun = ["{wild}"]\n{all_of_them}')
        _hook(service, "well", well.url, all_of_them)
        worker = service.start()
        worker.wait_for("rotation.succeeded")
        for _ in range(3):
            service.rotate()
        wait_until(lambda: len(_told(well, "published")) == 4, "the one that is well")
        worker.wait_for("notice.postponed")
        assert worker.stop() == 0
    started = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert started
    wait_until(lambda: not any(map(is_running, started)), "no program outlives the worker")


def test_a_program_and_what_it_started_end_with_a_worker_that_is_killed(service: Service, tmp_path: Path) -> None:
    stubborn = tmp_path / "stubborn"
    stubborn.write_text(
        f"#!/bin/sh\ntrap '' TERM\nsleep 600 &\necho $$ $! > {tmp_path}/new\nmv {tmp_path}/new {tmp_path}/pids\nwait\n"
    )
    stubborn.chmod(0o700)
    _channel(service, "stubborn", f'kind = "command"\ntimeout = "60s"\nrun = ["{stubborn}"]\nevents = ["published"]')
    worker = service.start()
    wait_until((tmp_path / "pids").exists, "it runs")
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert all(map(is_running, pids))
    worker.kill()
    began = time.monotonic()
    wait_until(lambda: not any(map(is_running, pids)), "it has ended")
    assert time.monotonic() - began < ENDS_WITHIN


def test_a_row_of_failures_and_its_end_are_two_notices_of_two_workers(service: Service) -> None:
    with Wire(answer(200)) as wire:
        _hook(service, "hook", wire.url)
        service.start().wait_for("rotation.succeeded")
        service.start().wait_for("worker.started")
        service.sandbox.simulator.admin.order(fault("400", "create", times=3))
        service.rotator("rotate", service.target)
        wait_until(lambda: _told(wire, "recovered") != [], "it is well again")
        assert (len(_told(wire, "failed")), len(_told(wire, "recovered"))) == (1, 1)
        assert _told(wire, "failed")[0]["what"]


def test_a_key_that_died_is_told_and_then_that_it_is_well(service: Service) -> None:
    service.watch_every = "1s"
    with Wire(answer(200)) as wire:
        _hook(service, "hook", wire.url)
        service.start().wait_for("rotation.succeeded")
        secret = service.published()
        assert secret
        service.sandbox.simulator.admin.remove_key(secret["access_key"])
        wait_until(lambda: _told(wire, "died") != [], "it is told")
        wait_until(lambda: _told(wire, "recovered") != [], "it is over")


def test_a_test_says_how_it_went_with_each_channel(service: Service) -> None:
    none = service.rotator("notify", "test")
    assert none.returncode == 2
    assert "[[notify]]" in none.stderr
    with Wire(answer(200)) as well, Wire(answer(403)) as broken:
        _hook(service, "well", well.url)
        _hook(service, "broken", broken.url)
        both = service.rotator("notify", "test", "--json")
        assert both.returncode == 1
        fits(json.loads(both.stdout), "notify-test")
        outcomes = {each["channel"]: each for each in json.loads(both.stdout)}
        assert outcomes["well"]["delivered"]
        assert outcomes["broken"]["error"] == "it answered 403"
        one = service.rotator("notify", "test", "well")
        assert (one.returncode, one.stdout) == (0, "ok       well (webhook): delivered\n")
        assert [notice["event"] for notice in _told(well, "test")] == ["test", "test"]
        assert service.rotator("notify", "test", "nobody").returncode == 2
