"""Lets the workers know that a target has something to do. Only a hint: the request is on record in Vault before."""

from __future__ import annotations

from worker.adapters.redis.errors import unavailable
from worker.adapters.redis.workers import SILENT_SECONDS
from worker.cli.output import say
from worker.errors import QueueUnavailable
from worker.service.assemble import Runtime

HINT_SECONDS = 5.0
"""A hint that no worker has taken after this is worthless: the due set brings the target up by then."""


class Messenger:
    """Reaches the workers by way of Redis."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def has_worker(self) -> bool:
        """Whether a worker is there. Raises QueueUnavailable."""
        return bool(self._runtime.shared.heartbeats.workers(SILENT_SECONDS))

    def wake(self, target: str) -> None:
        """Have the target looked at now; without a worker, as soon as there is one. Raises QueueUnavailable."""
        self._runtime.shared.due.wake(target)
        if self.has_worker():
            self._send(target)

    def _send(self, target: str) -> None:
        from kombu.exceptions import OperationalError
        from redis.exceptions import RedisError

        from worker.service.celery_app import make_app

        runtime = self._runtime
        app = make_app(runtime.settings.redis_url, runtime.settings.queue, runtime.redis_login)
        try:
            with app:
                app.send_task("rotator.reconcile", args=[target], expires=HINT_SECONDS, retry=False)
        except (OperationalError, RedisError, OSError) as error:
            raise unavailable(error) from None


def wake_or_say(runtime: Runtime, target: str) -> None:
    """Wake a target after its record was changed, or say that it could not be woken."""
    try:
        Messenger(runtime).wake(target)
    except QueueUnavailable as error:
        say(f"{error.what}. The change is on record; a worker finds it by itself once Redis is back.")
