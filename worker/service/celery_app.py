"""The Celery app: its settings, and why each is as it is (measured: docs/facts.md, "Celery on Redis")."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import Celery

from worker.secret import Secret

QUEUE = "celery"
"""Celery's own default, so that ``send_task`` of any other app finds it; so the Redis database must be our own."""

LONGEST_MESSAGE = timedelta(minutes=10)
"""A message that was taken and not acknowledged comes back after this; the tick has long sent another by then."""


def make_app(broker: Secret) -> Celery:
    """An app that can send our tasks; a worker also registers and schedules them."""
    app = Celery("rotator", broker=broker.reveal(), set_as_current=False)
    app.conf.update(_settings())
    return app


def schedule(app: Celery, tick: timedelta, audit_every: timedelta) -> None:
    """Have beat send the tick and the audit. A tick that was not taken before the next one is worthless: it expires."""
    app.conf.beat_schedule = {
        "tick": {
            "task": "rotator.tick",
            "schedule": tick.total_seconds(),
            "options": {"expires": tick.total_seconds()},
        },
        "audit": {"task": "rotator.audit", "schedule": audit_every.total_seconds()},
    }


def _settings() -> dict[str, Any]:
    return {
        # messages are hints, so nothing is lost by acknowledging early; late, 5.7.0 dies when the broker restarts
        "task_acks_late": False,
        "worker_prefetch_multiplier": 1,
        # ids in, nothing out: with a result backend, arguments and tracebacks would come to lie in Redis
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "result_backend": None,
        "task_serializer": "json",
        "accept_content": ["json"],
        "enable_utc": True,
        # a client that can write to the broker must not be able to command the worker
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "visibility_timeout": LONGEST_MESSAGE.total_seconds(),
            # without these a half-open connection is not noticed for minutes
            "socket_timeout": 10,
            "socket_connect_timeout": 10,
            "socket_keepalive": True,
            "health_check_interval": 5,
        },
    }
