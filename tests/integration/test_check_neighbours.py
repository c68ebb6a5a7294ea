"""Another Celery app on the same Redis database: ``rotator check`` warns of what it leaves there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from celery import Celery

from tests.integration.scene import Scene, scene_on
from tests.records import empty
from tests.redis_users import make_users
from worker.adapters.redis.state import shared_state
from worker.cli.check_neighbours import PAGE, look
from worker.sandbox.servers import ValkeyServer
from worker.service.celery_app import make_app

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's, when it keeps a result


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    return scene_on(tmp_path, client, server, empty())


@pytest.fixture
def other(server: ValkeyServer) -> Iterator[Celery]:
    """As apps are by default: the queue ``celery``, and results beside the messages."""
    url = server.url.reveal()
    with Celery(broker=url, backend=url, set_as_current=False) as app:
        yield app


def told(scene: Scene, client: redis.Redis) -> list[str]:
    verdicts = list(look(replace(scene.runtime, shared=shared_state(client))))
    assert {(each.check, each.state) for each in verdicts} <= {("Redis", "warning")}
    return [each.detail for each in verdicts]


def test_where_there_is_no_other_app_nothing_is_said(scene: Scene, client: redis.Redis, server: ValkeyServer) -> None:
    with make_app(server.url) as app:
        app.send_task("rotator.tick")
    assert told(scene, client) == []


def test_messages_results_and_queues_of_another_app_are_warned_of(
    scene: Scene, client: redis.Redis, other: Celery
) -> None:
    other.send_task("mail.send")
    other.send_task("mail.send", queue="mail")
    other.backend.store_result("of-a-task", "a result", "SUCCESS")
    (detail,) = told(scene, client)
    assert "1 messages wait in celery" in detail
    assert "at least 1 results (celery-task-meta-...)" in detail
    assert "1 other queues" in detail


def test_it_is_seen_among_many_other_keys(scene: Scene, client: redis.Redis, other: Celery) -> None:
    client.mset({f"cache:{number}": "x" for number in range(5 * PAGE)})
    for number in range(20):  # where they lie is Redis' affair: not all of them within the first page
        other.backend.store_result(f"task-{number}", "a result", "SUCCESS")
    (detail,) = told(scene, client)
    assert "at least 20 results" in detail


def test_a_user_who_may_not_list_keys_is_warned_of_the_messages_at_least(
    scene: Scene, client: redis.Redis, other: Celery, server: ValkeyServer
) -> None:
    make_users(client, worker="the worker's", app="an app's")
    other.send_task("mail.send")
    other.backend.store_result("of-a-task", "a result", "SUCCESS")
    with redis.Redis(port=server.port, username="worker", password="the worker's", decode_responses=True) as worker:
        assert told(scene, worker) == ["another Celery app seems to use this database: 1 messages wait in celery"]


def test_where_redis_is_away_nothing_is_said(scene: Scene, away: redis.Redis) -> None:
    assert told(scene, away) == []
