"""Asking for rotations, and waiting for them, in trials with real workers."""

from __future__ import annotations

from collections.abc import Callable

import redis
from kombu.exceptions import OperationalError

from worker.selftest.checker import unrest
from worker.selftest.life import wait
from worker.selftest.stand import Stand

Over = Callable[[], bool]


def ask(stand: Stand, request: str, over: Over) -> None:
    """Ask for a rotation as an app does, until Redis takes it."""

    def sent() -> bool:
        try:
            stand.send("rotator.rotate", stand.watched.name, "a trial", task_id=request)
        except (OperationalError, redis.RedisError, OSError):
            return False
        return True

    wait(sent, f"{request} is taken by Redis", over)


def served(stand: Stand, request: str, over: Over) -> None:
    """Wait until the request is served."""

    def holds() -> bool:
        record = stand.mount.record(stand.watched.name) or {}
        return request in [each for each, _ in record.get("served", [])]

    wait(holds, f"{request} is served", over)


def rest(stand: Stand, over: Over) -> None:
    """Wait until nothing is under way, and every old key is dead."""
    wait(lambda: unrest(stand.mount.record(stand.watched.name)) == "", "rest", over)
