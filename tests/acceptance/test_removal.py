"""A target leaves the configuration of a real service, and a person ends it with the command."""

from __future__ import annotations

import pytest

from tests.acceptance.service import Service
from tests.acceptance.test_command import run, secret
from tests.forms import fits
from tests.sandbox import wait_until


@pytest.mark.parametrize("revoke", [False, True], ids=["released", "revoked"])
def test_a_target_ends(service: Service, *, revoke: bool) -> None:
    old, before = service.target, service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    first, how = secret(service), ["--revoke"] if revoke else []
    service.rotate()
    key = secret(service)
    assert f"{old} is still in" in run(service, "remove", old, "--yes").err
    service.target, service.path = f"{old}-next", f"{service.path}-next"
    served = run(service, "remove", old, "--yes")
    assert (served.code, "Restart the workers" in served.err) == (75, True)
    before.stop()
    worker = service.start()
    wait_until(lambda: service.published() is not None, "the key of another target")
    assert f"rotator remove {old}" in run(service, "audit").out
    shown = run(service, "remove", old, *how)
    assert (shown.code, "Nothing was changed. With --yes it is done." in shown.out) == (0, True)
    assert service.works(key)
    done = run(service, "remove", old, "--yes", "--json", *how)
    assert (done.code, done.json["done"], done.json["access_key"]) == (0, True, key["access_key"])
    fits(done.json, "remove")
    assert done.json["deleted"] is revoke
    assert service.works(key) is not revoke
    assert service.works(secret(service))
    for identifier in (first["request_id"], key["request_id"], key["access_key"]):
        assert run(service, "trace", identifier, "--json").json["target"] == old
    if revoke:
        traced = run(service, "trace", done.json["delete_request_id"]).out
        assert "key.revoked" in traced
        assert key["access_key"] in traced
    worker.stop()
    assert [f for f in run(service, "audit", "--json").json["findings"] if f["kind"] in ("drift", "removed")] == []


def test_a_target_that_is_renamed_keeps_its_key_and_goes_on(service: Service) -> None:
    old, before = service.target, service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    key = secret(service)
    assert run(service, "rename", old, f"{old}-next").code == 2, "the configuration has the old name"
    before.stop()
    service.target = f"{old}-next"
    done = run(service, "rename", old, service.target, "--json")
    fits(done.json, "rename")
    assert (done.code, done.json["access_key"]) == (0, key["access_key"])
    service.start()
    assert service.rotate()["previous_access_key"] == key["access_key"]
