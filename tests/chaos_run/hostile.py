"""Somebody who may write to Redis, and means harm: forged state, wrong types, messages that nobody of ours sends."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import redis

from tests import hostile
from tests.chaos_run.accounts import ACCOUNTS
from tests.chaos_run.world import World
from worker.adapters.redis import keys
from worker.settings.settings import QUEUE

FAR = 9e12
"""Seconds since 1970: never."""

ETAS = 200

OURS = (
    keys.DUE, keys.BUILT, keys.WATCHES, keys.SEEN, keys.REQUESTS, keys.WORKERS, keys.SUMMARY, keys.IDS, keys.IDS_OF,
    keys.VERSIONS, keys.PLANS, keys.CREATES, keys.CIRCUIT, keys.PAUSES, keys.PARKED, keys.COUNT, keys.BASELINE,
)  # fmt: skip


@dataclass(slots=True)
class Writer:
    """Does one thing at a time, drawn from the dice."""

    world: World
    dice: random.Random

    def strike(self) -> str:
        """What was done, in words."""
        name, act = self.dice.choice(sorted(self._acts().items()))
        with suppress(redis.RedisError), self.world.redis() as client:  # Redis is away, or the type is wrong already
            act(client)
        return f"Redis: {name}"

    def _acts(self) -> dict[str, Callable[[redis.Redis], object]]:
        target = self.dice.choice(self.world.targets).name
        kind = self.dice.choice(("string", "list", "hash", "set", "zset"))
        where, account = self.dice.choice(OURS), self.dice.choice(ACCOUNTS)
        where = keys.at(account, where) if where in keys.OF_ACCOUNT else where
        circuit, pauses = keys.at(account, keys.CIRCUIT), keys.at(account, keys.PAUSES)
        creates, count = keys.at(account, keys.CREATES), keys.at(account, keys.COUNT)
        shape = hostile.SHAPES[self.dice.choice(sorted(hostile.SHAPES))]  # decompression bombs are among them
        return {
            "lock for ever": lambda client: client.set(keys.lock(target), "x"),
            "audit taken for ever": lambda client: client.set(keys.once("audit"), "1"),
            "count taken for ever": lambda client: client.set(keys.at(account, keys.BASELINE), "x"),
            "due never": lambda client: client.zadd(keys.DUE, {each.name: "+inf" for each in self.world.targets}),
            "watched never": lambda client: client.zadd(keys.WATCHES, {target: FAR}),
            "names of nobody": lambda client: client.zadd(keys.DUE, {"../../etc": 0, "no-such-target": 0}),
            "circuit open for ever": lambda client: client.hset(
                circuit, mapping={"open_until": str(FAR), "opened_at": "x", "why": "[", "failures": "many"}
            ),
            "paused for ever": lambda client: client.hset(pauses, "create_key", str(FAR)),
            "all places taken": lambda client: client.zadd(creates, {f"x{n}": FAR for n in range(100)}),
            "count forged": lambda client: client.hset(count, mapping={"value": "-7", "at": str(FAR), "made": "1e9"}),
            "wish that is none": lambda client: client.hset(
                keys.REQUESTS, "x" * 5000, self.dice.choice(("[", "5", "{}"))
            ),
            "summary forged": lambda client: client.hset(
                keys.SUMMARY, target, self.dice.choice(("[", "[]", '{"a": 1}'))
            ),
            "sighting forged": lambda client: client.hset(keys.SEEN, target, self.dice.choice(("{", "[1]", "null"))),
            "version forged": lambda client: client.hset(keys.VERSIONS, target, "999999999"),
            "wake-up forged": lambda client: client.hset(keys.woken(target), "a", "b"),
            "workers forged": lambda client: client.zadd(keys.WORKERS, {f"w{n}": FAR for n in range(50)}),
            "wrong type": lambda client: _put(client, where, kind),
            "queue of a wrong type": lambda client: _put(client, QUEUE, self.dice.choice(("string", "hash"))),
            "message that is none": lambda client: client.lpush(QUEUE, shape),
            "messages for later": lambda client: client.lpush(
                QUEUE, *(_later(target, f"later-{n}") for n in range(ETAS))
            ),
        }


def _put(client: redis.Redis, key: str, kind: str) -> None:
    client.delete(key)
    match kind:
        case "string":
            client.set(key, "x")
        case "list":
            client.lpush(key, "x")
        case "hash":
            client.hset(key, "x", "y")
        case "set":
            client.sadd(key, "x")
        case _:
            client.zadd(key, {"x": 1})


def _later(target: str, identifier: str) -> bytes:
    message = hostile.message(target, identifier=identifier)
    message["headers"]["eta"] = "2099-01-01T00:00:00+00:00"
    return hostile.item(message)
