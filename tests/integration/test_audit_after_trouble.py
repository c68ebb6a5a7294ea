"""An audit is owed after each trouble with Redis: who may not ask for it yet asks later, unless one came meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.scene import scene_on
from tests.records import current, empty
from worker.adapters.redis import keys
from worker.sandbox.servers import ValkeyServer
from worker.service.assemble import Runtime
from worker.service.audit_task import AuditAfterTrouble

LOCK = "rotator:once:audit after trouble"


@pytest.fixture
def runtime(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Runtime:
    return scene_on(tmp_path, client, server, replace(empty(), current=current())).runtime


@pytest.fixture
def sent() -> list[str]:
    return []


@pytest.fixture
def send(sent: list[str]) -> Callable[..., Any]:
    return lambda task, **_: sent.append(task)


def test_after_a_second_trouble_soon_after_the_first_it_comes_when_it_may(
    runtime: Runtime, client: redis.Redis, sent: list[str], send: Callable[..., Any]
) -> None:
    owed = AuditAfterTrouble(runtime, send)
    owed.ask()
    assert sent == [], "there was no trouble"
    owed.ended()
    owed.ask()
    owed.ask()
    assert sent == ["rotator.audit"]
    owed.ended()
    owed.ask()
    assert sent == ["rotator.audit"], "not more often than once a minute"
    assert client.ttl(LOCK) in range(1, 61)
    client.delete(LOCK)  # the minute is over
    owed.ask()
    owed.ask()
    assert sent == ["rotator.audit"] * 2


def test_an_audit_that_came_meanwhile_is_enough(
    runtime: Runtime, client: redis.Redis, sent: list[str], send: Callable[..., Any]
) -> None:
    client.set(LOCK, "another worker asks", ex=60)
    owed = AuditAfterTrouble(runtime, send)
    owed.ended()
    owed.ask()
    runtime.clock.wait(1)
    runtime.shared.notes.audited(runtime.clock.now(), 1, 1, 0)
    owed.ask()
    client.delete(LOCK)
    owed.ask()
    assert sent == []


@pytest.mark.parametrize("gone", [keys.SUMMARY, keys.IDS, keys.IDS_OF])
def test_a_part_of_the_index_that_is_gone_is_a_trouble_too(
    runtime: Runtime, client: redis.Redis, sent: list[str], send: Callable[..., Any], gone: str
) -> None:
    owed = AuditAfterTrouble(runtime, send)
    owed.ask()
    for key in (keys.SUMMARY, keys.IDS, keys.IDS_OF):
        client.hset(key, "something", "of a target")
    owed.ask()
    assert sent == [], "nothing was lost"
    client.delete(gone)
    owed.ask()
    owed.ask()
    assert sent == ["rotator.audit"]
