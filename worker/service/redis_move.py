"""What a worker does about another Redis in ``REDIS_URL_FILE`` than the one that it began with."""

from __future__ import annotations

import os
import signal

import structlog

from worker.adapters.redis.login import RedisLogin
from worker.errors import QueueUnavailable
from worker.events import Event

_MOVED = "REDIS_URL_FILE names another Redis than the worker began with"

_log = structlog.get_logger(__name__)


class RedisMove:
    """Says so, and ends the process once the first Redis is gone; whoever supervises the process starts it anew.

    A new password is read at each new connection. Another server, database or TLS option is not taken up by a running
    process: Celery's connections are bound to the address that they began with.
    """

    def __init__(self, login: RedisLogin | None) -> None:
        self._login = login
        self._told = False
        self.must_end = False

    def look(self, trouble: QueueUnavailable | None = None) -> None:
        """Look at the file; ``trouble`` is what the present Redis just had."""
        moved = self._login is not None and self._login.names_another_server()
        if moved and trouble and not self.must_end:
            self.must_end = True
            hint = "Start the worker again, unless something does that by itself. Nothing is lost."
            _log.error(Event.REDIS_MOVED, error=f"the worker ends: {trouble.what}; {_MOVED}", hint=hint)
            os.kill(os.getpid(), signal.SIGTERM)
        elif moved and not self._told:
            hint = "Restart the workers. This one goes on with the Redis that it began with, as long as that answers."
            _log.warning(Event.REDIS_MOVED, error=_MOVED, hint=hint)
        self._told = moved
