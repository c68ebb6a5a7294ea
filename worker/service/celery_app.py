"""The Celery app: its settings, and why each is as it is (measured: docs/facts.md, "Celery on Redis")."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from celery import Celery
from celery.schedules import schedule as every
from kombu import Connection
from redis.credentials import CredentialProvider

from worker.adapters.redis.client import TIMEOUT_SECONDS
from worker.clock import Clock
from worker.secret import Secret
from worker.service.replies import Failed
from worker.service.sentinel_transport import SENTINEL_ALIAS
from worker.service.transport import ALIAS
from worker.settings.redis_url import read_redis_url
from worker.settings.settings import QUEUE

LONGEST_MESSAGE = timedelta(minutes=10)
"""A message that was taken and not acknowledged comes back after this; the tick has long sent another by then."""


def make_app(
    url: Secret, queue: str = QUEUE, login: CredentialProvider | None = None, failed: Failed | None = None
) -> Celery:
    """An app that can send our tasks to that queue of the Redis at ``url``; a worker registers and schedules them, too.

    ``login`` is asked for user and password instead of the address, for each connection; ``failed`` is told of what
    Redis refuses to those who read.
    """
    address = read_redis_url(url)
    broker = (address.without_login() if login else address).for_celery()
    # a socket's address names its transport by itself
    named = broker.reveal().replace("redis+socket://", f"{ALIAS}+socket://", 1)
    app = Celery("rotator", broker=named, set_as_current=False)
    app.conf.update(_settings(queue))
    app.conf.broker_transport_options["failed"] = failed
    if address.sentinels:
        app.conf.broker_transport = SENTINEL_ALIAS
        app.conf.broker_transport_options["address"] = address.without_login()
    if login:
        # kombu takes one, and Celery has no setting for it
        app.amqp.Connection = partial(Connection, credential_provider=login)  # type: ignore[assignment]  # is called only
    return app


Now = Callable[[], datetime]


def paced_by(clock: Clock) -> Now:
    """The time for beat: it begins now, and goes on as the monotonic clock does.

    Beat compares moments, so a wall clock that is set back by an hour would stop it for an hour.
    """
    began, at = clock.now(), clock.monotonic()
    return lambda: began + timedelta(seconds=clock.monotonic() - at)


def schedule(app: Celery, tick: timedelta, audit_every: timedelta, now: Now) -> None:
    """Have beat send the tick and the audit, by the time that ``now`` says.

    No tick has a moment at which it expires: that would be by the clock of the machine that sends it, and another
    machine whose clock is ahead would throw every one of them away.
    """
    app.conf.beat_schedule = {
        "tick": {"task": "rotator.tick", "schedule": every(tick, nowfun=now, app=app)},
        "audit": {"task": "rotator.audit", "schedule": every(audit_every, nowfun=now, app=app)},
    }


def _settings(queue: str) -> dict[str, Any]:
    return {
        # messages are hints, so nothing is lost by acknowledging early; late, 5.7.0 dies when the broker restarts
        "task_acks_late": False,
        "worker_prefetch_multiplier": 1,
        # ids in, nothing out: with a result backend, arguments and tracebacks would come to lie in Redis
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "result_backend": None,
        "task_default_queue": queue,
        "task_serializer": "json",
        "accept_content": ["json"],
        "enable_utc": True,
        # a client that can write to the broker must not be able to command the worker
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # what a message is, and what Redis replies with, ends no worker
        "broker_transport": ALIAS,
        "broker_channel_error_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "queue": queue,
            "visibility_timeout": LONGEST_MESSAGE.total_seconds(),
            # without these a half-open connection is not noticed for minutes
            "socket_timeout": TIMEOUT_SECONDS,
            "socket_connect_timeout": TIMEOUT_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 5,
        },
    }
