"""What the workers share in Redis: when targets want to be looked at, who looks at one, and an index to find things.

Nothing here is a fact: all of it can be rebuilt from Vault (:mod:`worker.service.index`), and no secret ever comes
here.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from worker.errors import QueueUnavailable
from worker.secret import Secret

PREFIX = "rotator:"
HEARTBEAT_SECONDS = 60.0
"""A worker that was not heard of for so long is taken to be gone."""

_CLAIM = """
local names = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, name in ipairs(names) do redis.call('ZADD', KEYS[1], ARGV[2], name) end
return names
"""

_CLAIM_NEXT = (
    """
if redis.call('LLEN', KEYS[2]) > 0 then return {} end
"""
    + _CLAIM
)

_INDEX = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local woken = redis.call('HGET', KEYS[3], ARGV[1]) or ''
redis.call('ZADD', KEYS[2], woken == ARGV[3] and ARGV[4] or 0, ARGV[1])
for i = 6, #ARGV do redis.call('HSET', KEYS[4], ARGV[i], ARGV[1]) end
if redis.call('GET', KEYS[5]) == ARGV[5] then redis.call('DEL', KEYS[5]) end
"""

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


def connect(url: Secret, *, timeout: float = 10.0) -> redis.Redis:
    """A client that notices dead connections (facts.md, "Celery on Redis"); connects at first use."""
    return redis.Redis.from_url(
        url.reveal(),
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        socket_keepalive=True,
        health_check_interval=5,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.01), 2),
    )


@contextmanager
def guard() -> Iterator[None]:
    """Turn every error of Redis into QueueUnavailable; its text may quote a command, so only its kind is kept."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise unavailable(error) from None


def unavailable(error: Exception) -> QueueUnavailable:
    """What to say of an error of Redis."""
    return QueueUnavailable(
        f"Redis cannot be used: {type(error).__name__}",
        hint="See that Redis runs, takes writes and is reached by REDIS_URL. Nothing is lost; work goes on when it is.",
    )


@dataclass(frozen=True, slots=True)
class Hold:
    """Whether the lock on a target is ours, by which token, and how often the target had been woken until then."""

    target: str
    mine: bool
    token: str = ""
    wakes: str = ""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """What the index keeps of a target: a summary for ``rotator status``, ids for ``rotator trace``, its next look."""

    target: str
    summary: Mapping[str, object]
    ids: frozenset[str]
    next_look: datetime


class Queue:
    """The due set, the locks, the workers' signs of life and the index. All methods raise QueueUnavailable."""

    def __init__(self, client: redis.Redis, prefix: str = PREFIX) -> None:
        self.client = client
        self.prefix = prefix
        self._claim = client.register_script(_CLAIM)
        self._claim_next = client.register_script(_CLAIM_NEXT)
        self._release = client.register_script(_RELEASE)
        self._index = client.register_script(_INDEX)

    # -- when targets want to be looked at

    @guard()
    def schedule(self, target: str, when: datetime) -> None:
        """Note when a target wants to be looked at next."""
        self.client.zadd(self._key("due"), {target: when.timestamp()})

    @guard()
    def wake(self, target: str) -> None:
        """Have a target looked at before all that is due, also when somebody is at it and may not see what is new."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hincrby(self._key("wakes"), target, 1)
            pipe.zadd(self._key("due"), {target: 0})
            pipe.execute()

    @guard()
    def look_sooner(self, moments: Mapping[str, datetime]) -> None:
        """Have targets looked at by these moments; one that is scheduled earlier stays so."""
        if moments:
            self.client.zadd(self._key("due"), {name: when.timestamp() for name, when in moments.items()}, lt=True)

    @guard()
    def schedule_missing(self, targets: Iterable[str], when: datetime) -> None:
        """Note a first look for targets that have none yet; from then on the index is there (:meth:`is_built`).

        Both at once: a Redis that forgets everything in between would be taken for built, and hold no target.
        """
        scores = dict.fromkeys(targets, when.timestamp())
        with self.client.pipeline(transaction=True) as pipe:
            if scores:
                pipe.zadd(self._key("due"), scores, nx=True)
            pipe.set(self._key("built"), "1")
            pipe.execute()

    @guard()
    def claim(self, now: datetime, hold: timedelta, limit: int) -> tuple[str, ...]:
        """Take what is due, at most ``limit``: each comes back by itself after ``hold`` should its message be lost."""
        found = self._claim(keys=[self._key("due")], args=[now.timestamp(), (now + hold).timestamp(), limit])
        return tuple(str(name) for name in found)

    @guard()
    def claim_next(self, now: datetime, hold: timedelta, messages: str) -> str | None:
        """Take one target that is due, unless messages wait in that Celery queue: they were there first."""
        found = self._claim_next(keys=[self._key("due"), messages], args=[now.timestamp(), (now + hold).timestamp(), 1])
        return str(found[0]) if found else None

    @guard()
    def forget(self, targets: Iterable[str]) -> None:
        """Drop targets that are no longer configured."""
        names = list(targets)
        if names:
            self.client.zrem(self._key("due"), *names)
            self.client.hdel(self._key("summary"), *names)

    @guard()
    def scheduled(self) -> frozenset[str]:
        """The names of all scheduled targets."""
        return frozenset(str(name) for name in self.client.zrange(self._key("due"), 0, -1))

    @guard()
    def only_one(self, what: str, hold: timedelta) -> bool:
        """Whether this is the first to ask for ``what`` within ``hold``: for work that one of many should do."""
        return bool(self.client.set(self._key("once", what), "1", nx=True, px=int(hold.total_seconds() * 1000)))

    @guard()
    def is_built(self) -> bool:
        """Whether the index is there; it is not after Redis was wiped."""
        return bool(self.client.exists(self._key("built")))

    @guard()
    def waiting_messages(self, queue: str) -> int:
        """How many messages wait in a Celery queue."""
        return int(self.client.llen(queue))

    # -- who looks at a target

    def hold(self, target: str, seconds: timedelta) -> Hold:
        """Try to be the only one who looks at a target, for so long at most, or until :meth:`index` or :meth:`release`.

        It only saves work: the fence is the record's check-and-set. So without Redis it counts as had.
        """
        token = secrets.token_hex(8)
        try:
            with self.client.pipeline(transaction=False) as pipe:
                pipe.set(self._key("lock", target), token, nx=True, px=int(seconds.total_seconds() * 1000))
                pipe.hget(self._key("wakes"), target)
                mine, wakes = pipe.execute()
        except (redis.RedisError, OSError):
            return Hold(target, mine=True)
        return Hold(target, bool(mine), token, str(wakes or ""))

    def release(self, hold: Hold) -> None:
        """Let others look at a target; no error without Redis, as a hold ends by itself."""
        with suppress(redis.RedisError, OSError):  # whoever comes first will tell of Redis
            self._release(keys=[self._key("lock", hold.target)], args=[hold.token])

    # -- requests on their way to the record

    @guard()
    def keep_request(self, request: str, content: Mapping[str, str]) -> None:
        """Keep a request until it is on record, so that it is not lost with the worker that read its message."""
        self.client.hset(self._key("requests"), request, json.dumps(dict(content)))

    @guard()
    def drop_request(self, request: str) -> None:
        """A request is on record, or was refused."""
        self.client.hdel(self._key("requests"), request)

    @guard()
    def requests(self) -> dict[str, dict[str, str]]:
        """All requests that are not on record yet."""
        return {str(k): dict(json.loads(str(v))) for k, v in self.client.hgetall(self._key("requests")).items()}

    # -- signs of life

    @guard()
    def beat(self, worker: str, now: datetime) -> None:
        """A worker shows that it is there."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.zadd(self._key("workers"), {worker: now.timestamp()})
            pipe.zremrangebyscore(self._key("workers"), "-inf", now.timestamp() - HEARTBEAT_SECONDS)
            pipe.execute()

    @guard()
    def leave(self, worker: str) -> None:
        """A worker says goodbye."""
        self.client.zrem(self._key("workers"), worker)

    @guard()
    def workers(self, now: datetime) -> tuple[str, ...]:
        """The workers that were heard of lately."""
        oldest = now.timestamp() - HEARTBEAT_SECONDS
        return tuple(str(name) for name in self.client.zrangebyscore(self._key("workers"), oldest, "+inf"))

    # -- the index

    @guard()
    def index(self, entry: IndexEntry, hold: Hold) -> None:
        """Keep what a look found and release the hold, in one call; a target woken meanwhile is due before all else."""
        self._index(
            keys=[
                *(self._key(name) for name in ("summary", "due", "wakes", "ids")),
                self._key("lock", entry.target),
            ],
            args=[
                entry.target,
                json.dumps(entry.summary),
                hold.wakes,
                entry.next_look.timestamp(),
                hold.token,
                *entry.ids,
            ],
        )

    @guard()
    def keep_summaries(self, summaries: Mapping[str, Mapping[str, object]], ids: Mapping[str, str]) -> None:
        """Keep many summaries, and ids with the target each leads to."""
        with self.client.pipeline(transaction=False) as pipe:
            for target, summary in summaries.items():
                pipe.hset(self._key("summary"), target, json.dumps(summary))
            for identifier, target in ids.items():
                pipe.hset(self._key("ids"), identifier, target)
            pipe.execute()

    @guard()
    def target_of(self, identifier: str) -> str | None:
        """The target that a requestId, a rotation id or an access key belongs to, if the index knows."""
        found = self.client.hget(self._key("ids"), identifier)
        return None if found is None else str(found)

    @guard()
    def summary(self, target: str) -> dict[str, object] | None:
        """One target's summary."""
        found = self.client.hget(self._key("summary"), target)
        return None if found is None else dict(json.loads(str(found)))

    @guard()
    def summaries(self) -> dict[str, dict[str, object]]:
        """All summaries."""
        return {str(k): dict(json.loads(str(v))) for k, v in self.client.hgetall(self._key("summary")).items()}

    @guard()
    def ping(self) -> None:
        """See that Redis answers and takes writes."""
        key = self._key("ping")
        self.client.set(key, datetime.now(UTC).isoformat(), ex=60)

    def _key(self, *parts: str) -> str:
        return self.prefix + ":".join(parts)
