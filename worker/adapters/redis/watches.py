"""When what apps read of each target is looked at next, and how it was seen last. Made anew when it is lost."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import redis

from worker.adapters.redis.client import batches, guard, raw
from worker.adapters.redis.documents import Documents
from worker.adapters.redis.due import CLAIM, TAKE, Passes, claimed, others, passing
from worker.adapters.redis.keys import DUE, SEEN, WATCHES
from worker.adapters.redis.reading import Sighting, as_written, checked

_CLAIM = (
    """
if redis.call('LLEN', KEYS[3]) > 0 then return {} end
if #redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, 1) > 0 then return {} end
"""
    + CLAIM
)
"""Watches never go before what is due: while there is something, or a message waits, nothing is taken."""


class Watches:
    """The watches. All methods raise QueueUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._claim = client.register_script(_CLAIM)
        self._take = client.register_script(TAKE)
        self._seen = Documents(client, SEEN)

    @guard()
    def schedule_missing(self, moments: Mapping[str, datetime]) -> None:
        """Note a first watch for targets that have none yet."""
        for batch in batches(moments.items()):
            self._client.zadd(WATCHES, {name: when.timestamp() for name, when in batch}, nx=True)

    @guard()
    def claim(
        self, now: datetime, hold: timedelta, limit: int, messages: str, passes: Passes | None = None
    ) -> tuple[str, ...]:
        """Take what is to be watched, at most ``limit``, if nothing else is to be done and no message waits there.

        Each comes back by itself after ``hold`` should its message be lost. With ``passes`` only what it lets pass
        counts, of what is to be watched and of what is due.
        """
        if passes:
            return self._claim_passing(now, hold, limit, messages, passes)
        args = [now.timestamp(), (now + hold).timestamp(), limit]
        return claimed(WATCHES, self._claim(keys=[WATCHES, DUE, messages], args=args))

    def _claim_passing(
        self, now: datetime, hold: timedelta, limit: int, messages: str, passes: Passes
    ) -> tuple[str, ...]:
        if self._client.llen(messages) or passing(self._client, DUE, now, 1, passes):
            return ()
        names = passing(self._client, WATCHES, now, limit, passes)
        taken = self._take(keys=[WATCHES], args=[now.timestamp(), (now + hold).timestamp(), *names]) if names else ()
        return tuple(str(name) for name in taken)

    @guard()
    def seen(self, target: str, sighting: Mapping[str, object], next_watch: datetime) -> None:
        """Keep how a target was seen, and when it is looked at next."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hset(SEEN, target, json.dumps(dict(sighting)))
            pipe.zadd(WATCHES, {target: next_watch.timestamp()})
            pipe.execute()

    @guard()
    def postpone(self, target: str, when: datetime) -> None:
        """Have a target looked at later."""
        self._client.zadd(WATCHES, {target: when.timestamp()}, xx=True)

    @guard()
    def behind(self, before: datetime) -> dict[str, float]:
        """Which targets should have been looked at before a moment, and were not: when, as a timestamp."""
        found: list[tuple[str, float]] = self._client.zrangebyscore(  # type: ignore[assignment]  # its stubs say: texts
            WATCHES, "-inf", before.timestamp(), withscores=True
        )
        return {str(name): float(moment) for name, moment in found}

    @guard()
    def sighting(self, target: str) -> dict[str, object] | None:
        """How a target was seen last; None where that is not known."""
        return next((as_written(found) for _, found in self._checked(self._seen.of([target]))), None)

    @guard()
    def sightings(self) -> dict[str, dict[str, object]]:
        """How every target was seen last, as far as that is known."""
        return {name: as_written(found) for name, found in self._checked(self._seen.all())}

    @guard()
    def last_seen_living(self, targets: Iterable[str]) -> dict[str, str]:
        """When the keys of these targets were seen to work last, where that is known. A call for each batch."""
        found = self._checked(self._seen.of(targets))
        return {name: seen.last_seen_living_at for name, seen in found if seen.last_seen_living_at}

    def _checked(self, texts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Sighting]]:
        for name, text in texts:
            if sighting := checked(Sighting, text):
                yield name, sighting

    def others(self, known: Container[str]) -> Iterator[list[str]]:
        """See :func:`worker.adapters.redis.due.others`."""
        return others(self._client, WATCHES, known)

    @guard()
    def forget(self, targets: Iterable[str]) -> None:
        """Drop targets that are no longer configured."""
        for batch in batches(targets):
            names = [*map(raw, batch)]
            self._client.zrem(WATCHES, *names)
            self._client.hdel(SEEN, *names)
