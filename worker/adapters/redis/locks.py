"""Who does what that only one should do: looking at a target, or a piece of work for all."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import redis

from worker.adapters.redis.client import guard
from worker.adapters.redis.keys import VERSIONS, lock, once, woken

DIGITS = 16
"""Of a version; more is no version of ours."""

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class Hold:
    """Whether the lock on a target is ours, by which token, and which wake-up of the target was the last until then.

    ``seen_version`` is the highest version of its record that any worker has seen; 0: not known.
    """

    target: str
    mine: bool
    token: str = ""
    woken: str = ""
    seen_version: int = 0


class TargetLocks:
    """Locks that end by themselves. They only save work: the fence is the record's check-and-set."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._release = client.register_script(_RELEASE)

    def hold(self, target: str, longest: timedelta) -> Hold:
        """Try to be the only one who looks at a target; without Redis the answer is yes.

        The hold ends with the look (:meth:`worker.adapters.redis.index.Index.finish_look`), when it is released, or
        after ``longest``.
        """
        token = secrets.token_hex(8)
        try:
            with self._client.pipeline(transaction=False) as pipe:
                pipe.set(lock(target), token, nx=True, px=_milliseconds(longest))
                pipe.get(woken(target))
                pipe.hget(VERSIONS, target)
                mine, last, version = pipe.execute()
        except (redis.RedisError, OSError):
            return Hold(target, mine=True)
        return Hold(target, bool(mine), token, str(last or ""), _whole(version))

    def release(self, hold: Hold) -> None:
        """Let others look at a target; no error without Redis, as a hold ends by itself."""
        with suppress(redis.RedisError, OSError):  # the next call that cannot do without Redis raises
            self._release(keys=[lock(hold.target)], args=[hold.token])

    @guard()
    def only_one(self, work: str, hold: timedelta) -> bool:
        """Whether this is the first to ask for ``work`` within ``hold``. Raises QueueUnavailable."""
        return bool(self._client.set(once(work), "1", nx=True, px=_milliseconds(hold)))


def _whole(text: object) -> int:
    return int(text) if isinstance(text, str) and text.isdecimal() and len(text) < DIGITS else 0


def _milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
