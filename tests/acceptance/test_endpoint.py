"""HostUp names another object storage than before: everything stands still and says so, until a person accepts it."""

from __future__ import annotations

import json
from typing import Any

from tests.acceptance.service import Service
from tests.forms import fits

BEFORE = "https://s3.before.example"


def note(service: Service) -> dict[str, Any]:
    path = f"{service.state}/_endpoint"
    answer = service.vault.secrets.kv.v2.read_secret_version(path=path, raise_on_deleted_version=True)
    found: dict[str, Any] = answer["data"]["data"]
    return found


def have_seen_another(service: Service) -> None:
    """As if a worker had seen another endpoint, long ago."""
    seen = {"endpoint": BEFORE, "region": "eu-north-1", "accepted_at": "2026-01-01", "accepted_by": "first sight"}
    service.vault.secrets.kv.v2.create_or_update_secret(path=f"{service.state}/_endpoint", secret=seen)


def test_the_first_one_is_noted(service: Service) -> None:
    worker = service.start()
    service.rotate()
    assert worker.wait_for("endpoint.noted")["endpoint"] == service.sandbox.simulator.s3
    assert note(service)["accepted_by"] == "first sight"
    said = service.rotator("accept-endpoint")
    assert (said.returncode, "nothing to accept" in said.stdout) == (0, True)


def test_another_one_waits_for_a_person(service: Service) -> None:
    have_seen_another(service)
    worker = service.start()
    refused = worker.wait_for("endpoint.refused")
    assert refused["level"] == "error"
    assert BEFORE in refused["error"]
    assert service.rotator("rotate", service.target).returncode == 0
    worker.wait_for("rotation.failed")
    assert service.made() == []

    check = service.rotator("check", "--json")
    assert check.returncode == 1
    storage = next(line for line in json.loads(check.stdout) if line["check"] == "object storage")
    assert storage["state"] == "failed"
    assert "accept-endpoint" in storage["hint"]
    audit = service.rotator("audit", "--json")
    assert "endpoint" in {finding["kind"] for finding in json.loads(audit.stdout)["findings"]}
    status = service.rotator("status", service.target)
    assert "rotator accept-endpoint" in status.stderr
    assert BEFORE in status.stdout

    shown = service.rotator("accept-endpoint", "--json")
    fits(json.loads(shown.stdout), "accept-endpoint")
    assert json.loads(shown.stdout)["done"] is False
    assert note(service)["endpoint"] == BEFORE
    accepted = service.rotator("accept-endpoint", "--yes", "--json")
    assert json.loads(accepted.stdout)["done"] is True
    assert "endpoint.accepted" in accepted.stderr
    found = note(service)
    assert (found["endpoint"], found["accepted_by"]) == (service.sandbox.simulator.s3, "a person")
    assert [old["endpoint"] for old in found["before"]] == [BEFORE]

    worker.stop()  # another one need not wait until this one looks again
    service.start()
    assert service.rotator("rotate", service.target, "--now-anyway", "--wait").returncode == 0
    published = service.published()
    assert published is not None
    assert published["endpoint"] == service.sandbox.simulator.s3
    assert service.works(published)


def test_with_an_endpoint_in_the_configuration_there_is_nothing_to_accept(service: Service) -> None:
    environment = service.environment()
    config = service.folder / "rotator.toml"
    config.write_text(config.read_text("utf-8") + f'[storage]\nendpoint = "{service.sandbox.simulator.s3}"\n')
    service.environment = lambda: environment  # type: ignore[method-assign]
    said = service.rotator("accept-endpoint")
    assert said.returncode == 2
    assert "the configuration names the object storage" in said.stderr
