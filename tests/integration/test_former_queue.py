"""Requests that lie in the queue of older releases are taken; what belongs to another app there is left alone."""

from __future__ import annotations

import json

import pytest
import redis
from celery import Celery

from tests.hostile import SHAPES, item, message
from tests.servers import free_port
from worker.adapters.redis.client import connect
from worker.cli.check_neighbours import judged
from worker.errors import QueueUnavailable
from worker.sandbox.servers import ValkeyServer
from worker.secret import Secret
from worker.service.former_queue import FORMER_QUEUE, LOOKED_AT, FormerQueue
from worker.service.message import Message, read
from worker.settings.settings import QUEUE


def lying(client: redis.Redis, queue: str) -> list[bytes]:
    return [str(each).encode() for each in client.lrange(queue, 0, -1)]


def test_a_request_is_moved_and_hints_of_old_are_dropped(client: redis.Redis, server: ValkeyServer) -> None:
    with Celery(broker=server.url.reveal(), set_as_current=False) as app:
        app.send_task("rotator.rotate", args=["media"], kwargs={"reason": "leaked"}, task_id="one-request")
        app.send_task("rotator.tick", expires=5)
        app.send_task("rotator.reconcile", args=["media"])
        app.send_task("another.task", args=["media"])
    FormerQueue(client, QUEUE).move()
    (moved,) = lying(client, QUEUE)
    assert read(moved) == Message("rotator.rotate", "one-request", ("media", "leaked"))
    (left,) = lying(client, FORMER_QUEUE)
    assert json.loads(left)["headers"]["task"] == "another.task"
    FormerQueue(client, QUEUE).move()
    assert len(lying(client, QUEUE)) == 1


def test_what_is_another_apps_is_left_as_it_lies(client: redis.Redis) -> None:
    theirs = list(SHAPES.values())
    with redis.Redis(connection_pool=client.connection_pool) as writer:
        for raw in theirs:
            writer.lpush(FORMER_QUEUE, raw)
        FormerQueue(client, QUEUE).move()
        assert writer.llen(FORMER_QUEUE) == len(theirs)
    assert not client.exists(QUEUE)


def test_a_crowd_of_others_hides_neither_the_oldest_nor_the_newest(client: redis.Redis) -> None:
    crowd = [item(message(task="another.task"))] * (3 * LOOKED_AT)
    client.rpush(FORMER_QUEUE, item(message(identifier="newest")), *crowd, item(message(identifier="oldest")))
    FormerQueue(client, QUEUE).move()
    assert {read(raw).id for raw in lying(client, QUEUE)} == {"newest", "oldest"}
    assert client.llen(FORMER_QUEUE) == len(crowd)


@pytest.mark.parametrize("queue", [FORMER_QUEUE, QUEUE])
def test_nothing_is_lost_where_it_cannot_be_moved(client: redis.Redis, queue: str) -> None:
    """Our queue has the former name, or another type."""
    client.lpush(FORMER_QUEUE, item(message()))
    if queue == QUEUE:
        client.set(QUEUE, "a text")
    FormerQueue(client, queue).move()
    assert client.llen(FORMER_QUEUE) == 1


def test_a_former_queue_of_another_type_is_not_ours(client: redis.Redis) -> None:
    client.set(FORMER_QUEUE, "a text")
    FormerQueue(client, QUEUE).move()
    assert client.get(FORMER_QUEUE) == "a text"


def test_without_redis_it_is_said_so() -> None:
    with connect(Secret(f"redis://127.0.0.1:{free_port()}/0")) as away, pytest.raises(QueueUnavailable):
        FormerQueue(away, QUEUE).move()


@pytest.mark.parametrize(
    ("names", "waiting", "said"),
    [
        (["celery-task-meta-1", "celery-task-meta-2"], 0, "at least 2 results"),
        (["celery"], 3, "3 messages wait in celery"),
        (["_kombu.binding.celery.pidbox", "_kombu.binding.mail"], 0, "2 other queues"),
    ],
)
def test_another_app_is_seen_by_what_it_leaves(names: list[str], waiting: int, said: str) -> None:
    (verdict,) = judged(names, waiting, QUEUE)
    assert verdict.state == "warning"
    assert said in verdict.detail


def test_what_this_worker_and_its_older_releases_leave_is_no_other_app() -> None:
    ours = [QUEUE, f"_kombu.binding.{QUEUE}", "_kombu.binding.celery", "unacked", "rotator:due", "rotator:unacked"]
    assert not list(judged(ours, 0, QUEUE))
