"""Credentials that change under a running worker: it goes on by the new ones, without a restart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.service import Service
from worker.sandbox.files import replace_private

FIRST, SECOND = "first-password-5f1e", "second-password-77aa"


@pytest.fixture
def user(service: Service) -> Iterator[str]:
    """A user of Redis that only this test has."""
    name = service.target
    service.redis.acl_setuser(
        name, enabled=True, passwords=[f"+{FIRST}"], keys=["*"], channels=["*"], categories=["+@all"]
    )
    service.redis_login = name, FIRST
    yield name
    service.redis.acl_deluser(name)


def change_password(service: Service, user: str) -> None:
    """And end what was logged in, as a restart of Redis or its provider does."""
    service.redis.acl_setuser(user, enabled=True, passwords=[f"-{FIRST}", f"+{SECOND}"])
    service.redis.execute_command("CLIENT", "KILL", "USER", user)  # type: ignore[no-untyped-call]  # redis-py types it not


@pytest.mark.parametrize("first", ["the file", "Redis"])
def test_a_new_password_of_redis(service: Service, user: str, first: str) -> None:
    worker = service.start()
    worker.wait_for("worker.started")
    before = service.rotate()
    file = service.folder / "redis-url"
    if first == "Redis":
        change_password(service, user)
        worker.wait_for("queue.unavailable")
    service.redis_login = user, SECOND
    file.write_text(service.redis_url_of(user, SECOND))
    if first == "the file":
        worker.wait_for("credential.renewed")
        change_password(service, user)
    after = service.rotate()
    assert after["access_key"] != before["access_key"]
    assert worker.stop() == 0
    assert not any(password in service.everything_said() for password in (FIRST, SECOND))


def test_a_new_api_key_in_its_file(service: Service) -> None:
    admin = service.sandbox.simulator.admin
    scopes = next(key for key in admin.api_keys() if key.works).scopes
    old, new = admin.add_api_key("this one", *scopes), admin.add_api_key("the next one", *scopes)
    file = replace_private(service.folder / "api-key", old.api_key)
    service.more = {"HOSTUP_API_KEY_FILE": str(file)}
    worker = service.start()
    worker.wait_for("worker.started")
    before = service.rotate()
    replace_private(file, new.api_key)
    assert admin.end_api_key(old.key_id)
    after = service.rotate()
    assert after["access_key"] != before["access_key"]
    assert {event["variable"] for event in worker.events("credential.renewed")} == {"HOSTUP_API_KEY_FILE"}
    assert worker.events("circuit.opened") == []
    assert worker.stop() == 0
    assert not any(key.api_key in service.everything_said() for key in (old, new))


def test_redis_that_moved(service: Service, user: str) -> None:
    worker = service.start()
    worker.wait_for("worker.started")
    file = service.folder / "redis-url"
    file.write_text(service.redis_url_of(user, FIRST).rpartition("/")[0] + "/0")
    assert "names another Redis" in worker.wait_for("redis.moved")["error"]
    service.redis.acl_setuser(user, enabled=False)
    service.redis.execute_command("CLIENT", "KILL", "USER", user)  # type: ignore[no-untyped-call]  # redis-py types it not
    assert "the worker ends" in worker.wait_for("redis.moved", 2)["error"]
    assert worker.process.wait(60) == 75
