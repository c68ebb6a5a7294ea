"""Stopped, killed or frozen in the middle: the next worker goes on, and nothing is lost."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import pytest

from tests.acceptance.service import Service
from tests.sandbox import wait_until
from worker.sandbox.simulator.faults import HANG, fault


def _first_key(service: Service) -> None:
    worker = service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    assert worker.stop() == 0


def _phase(service: Service) -> str:
    rotation = service.record()["rotation"]
    return rotation["phase"] if rotation else "none"


def _is_in(service: Service, phase: str) -> None:
    wait_until(lambda: _phase(service) == phase, f"a rotation that is {phase}")


def _is_published_again(service: Service) -> None:
    wait_until(lambda: (service.published() or {})["version"] == 2, "the new version")
    wait_until(lambda: not service.record()["retiring"], "the old key's death")
    published = service.published()
    assert published is not None
    assert service.works(published)


def test_sigterm_in_the_middle_of_a_create_waits_for_its_answer(service: Service) -> None:
    _first_key(service)
    admin = service.sandbox.simulator.admin
    admin.order(replace(fault("timeout-after", "create"), wait=1.0))
    worker = service.start()
    service.rotator("rotate", service.target)
    _is_in(service, "creating")
    wait_until(lambda: len(service.made()) == 2, "the key to be made")
    assert worker.stop() == 0
    assert _phase(service) in ("staged", "verified", "none")
    service.start()
    _is_published_again(service)
    assert len(service.made()) == 2


def test_sigterm_while_a_key_spreads_is_resumed_without_a_new_key(service: Service) -> None:
    _first_key(service)
    service.sandbox.simulator.admin.behave(spread=3600.0)
    worker = service.start()
    service.rotator("rotate", service.target)
    _is_in(service, "staged")
    assert worker.stop() == 0
    service.sandbox.simulator.admin.behave(spread=0.0)
    service.start()
    _is_published_again(service)
    assert len(service.made()) == 2


@pytest.mark.parametrize("phase", ["creating", "staged"])
def test_kill_in_the_middle_is_resumed(service: Service, phase: str) -> None:
    _first_key(service)
    admin = service.sandbox.simulator.admin
    if phase == "creating":
        admin.order(replace(fault("timeout-before", "create"), wait=HANG))
    else:
        admin.behave(spread=3600.0)
    worker = service.start()
    service.rotator("rotate", service.target)
    _is_in(service, phase)
    worker.kill()
    admin.clear()
    admin.behave(spread=0.0)
    service.start()
    _is_published_again(service)
    assert len(service.made()) == 2


def test_a_key_whose_answer_was_lost_is_told_and_never_asked_for_blindly(service: Service) -> None:
    _first_key(service)
    service.sandbox.simulator.admin.order(fault("cut-after", "create"))
    worker = service.start()
    service.rotator("rotate", service.target)
    unknown = worker.wait_for("create.unconfirmed")
    _is_published_again(service)
    assert len(service.made()) == 3
    labels = service.sandbox.simulator.admin.keys()
    orphan = [name for name in service.made() if labels[name].label == unknown["label"]]
    assert len(orphan) == 1
    published = service.published()
    assert published is not None
    assert orphan[0] != published["access_key"]
    audit = service.rotator("audit", "--json")
    assert audit.returncode == 1
    assert json.loads(audit.stdout)["drift"] == 1
    assert unknown["label"] in audit.stdout
    done = service.rotator("settle", service.target, unknown["rotation_id"], "--revoke", orphan[0])
    assert done.returncode == 0, done.stderr
    wait_until(lambda: service.living() == {published["access_key"]}, "the orphan's deletion")
    wait_until(lambda: service.rotator("audit").returncode == 0, "an audit that finds nothing")


def test_a_key_in_an_answer_out_of_form_is_published(service: Service) -> None:
    service.sandbox.simulator.admin.order(fault("notice-before", "create"))
    worker = service.start()
    created = worker.wait_for("key.created")
    assert created["salvaged"] == ["text before the JSON"]
    wait_until(lambda: service.published() is not None, "the key")
    published = service.published()
    assert published is not None
    assert published["access_key"] == created["access_key"]
    assert service.works(published)
    assert len(service.made()) == 1


def test_a_worker_that_was_frozen_brings_its_key_on_record(service: Service) -> None:
    _first_key(service)
    admin = service.sandbox.simulator.admin
    admin.order(replace(fault("timeout-after", "create"), wait=0.5))
    frozen = service.start()
    service.rotator("rotate", service.target)
    wait_until(lambda: len(service.made()) == 2, "the key to be made")
    frozen.signal(signal.SIGSTOP)
    service.start()
    wait_until(lambda: (service.published() or {})["version"] == 2, "another worker to take over")
    frozen.signal(signal.SIGCONT)
    frozen.wait_for("key.stray")
    published = service.published()
    assert published is not None
    wait_until(lambda: service.living() == {published["access_key"]}, "the late key's deletion")
    assert len(service.made()) == 3
    assert service.works(published)


def test_nothing_is_made_while_vault_is_sealed(service: Service) -> None:
    _first_key(service)
    vault = service.sandbox.vault
    assert vault is not None
    worker = service.start()
    worker.wait_for("worker.started")
    vault.seal()
    try:
        done = service.rotator("rotate", service.target)
        assert done.returncode == 75
        assert "sealed" in done.stderr
        worker.wait_for("task.failed")
        assert len(service.made()) == 1
    finally:
        vault.unseal()
    service.rotate()
    assert len(service.made()) == 2
