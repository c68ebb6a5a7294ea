"""Somebody who may write to Redis, and means harm: forged state, wrong types, messages that nobody of ours sends."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import redis

from tests import hostile
from tests.chaos_run.accounts import ACCOUNTS
from tests.chaos_run.world import World
from worker.adapters.redis import keys
from worker.notices.judging import TOLD
from worker.notices.notice import Kind
from worker.settings.settings import QUEUE

FAR = 9e12
"""Seconds since 1970: never."""

ETAS = 200
NAMES = 20_000
HINTS = ("../x", "no-such-target", "_keys", "\x1b[2J")
READ_WHOLE = (keys.VERSIONS, keys.SUMMARY, keys.REQUESTS)
NOTHING_FOREIGN = {"counted": 1, "explained": 1, "foreign": 0}

_LONG_TEXT = "local long = string.rep('x', 20000000) "
LONG = (
    _LONG_TEXT + "redis.call('HSET', KEYS[1], ARGV[1], long)",
    _LONG_TEXT + "redis.call('HSET', KEYS[1], long, 'x')",
)
LONG_NAME = _LONG_TEXT + "redis.call('ZADD', KEYS[1], '-inf', long)"

OURS = (
    keys.DUE, keys.BUILT, keys.WATCHES, keys.SEEN, keys.REQUESTS, keys.WORKERS, keys.SUMMARY, keys.IDS, keys.IDS_OF,
    keys.VERSIONS, keys.PLANS, keys.CREATES, keys.CIRCUIT, keys.PAUSES, keys.PARKED, keys.COUNT, keys.BASELINE,
    keys.AUDIT, keys.TICKED, keys.outbox("hook"), keys.outbox_due("hook"),
)  # fmt: skip


@dataclass(slots=True)
class Writer:
    """Does one thing at a time, drawn from the dice."""

    world: World
    dice: random.Random

    def strike(self) -> str:
        """What was done, in words."""
        name, act = self.dice.choice(sorted(self.acts().items()))
        with suppress(redis.RedisError), self.world.redis() as client:  # Redis is away, or the type is wrong already
            act(client)
        return f"Redis: {name}"

    def acts(self) -> dict[str, Callable[[redis.Redis], object]]:
        """All that may be done, by what it is called."""
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
            "names of nobody before all others": lambda client: client.zadd(
                self.dice.choice((keys.DUE, keys.WATCHES)), {f"nobody-{n}": "-inf" for n in range(NAMES)}
            ),
            "what no worker has memory for": lambda client: client.eval(
                self.dice.choice(LONG), 1, self.dice.choice((*READ_WHOLE, circuit)), target
            ),
            "a name that no worker has memory for": lambda client: client.eval(
                LONG_NAME, 1, self.dice.choice((keys.DUE, keys.WATCHES, keys.WORKERS))
            ),
            "summary that lies": lambda client: _lie(client, target),
            "hint that lies": lambda client: client.hset(
                keys.IDS, mapping=dict.fromkeys([*client.hkeys(keys.IDS), "AK0"], self.dice.choice(HINTS))
            ),
            "audit that was none": lambda client: client.set(
                keys.at(account, keys.AUDIT), json.dumps({"at": "2199-01-01T00:00:00+00:00", **NOTHING_FOREIGN})
            ),
            "tick that was none": lambda client: client.set(keys.TICKED, str(FAR)),
            "notice that lies": _forge_notice,
            "told already": lambda client: client.mset({_told(slot, target): "x" for _, slot in TOLD.values()}),
            "told by a wrong type": lambda client: _put(client, _told("failed", target), kind),
            "notice that no worker has memory for": lambda client: client.eval(LONG[0], 1, keys.outbox("hook"), "x"),
            "held back without a word": lambda client: client.hset(circuit, "open_until", str(time.time() + 60)),
            "messages of the right form": lambda client: client.lpush(
                QUEUE, *(hostile.item(hostile.message("no-such-target", identifier=f"m{n}")) for n in range(ETAS))
            ),
            "messages for later": lambda client: client.lpush(
                QUEUE, *(_later(target, f"later-{n}") for n in range(ETAS))
            ),
        }


def _told(slot: str, target: str) -> str:
    """Where it stands that a target's trouble was told, by what anybody can read in the source."""
    return keys.told(hashlib.blake2b(f"{slot}\n{target}\n".encode(), digest_size=16).hexdigest())


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


def _lie(client: redis.Redis, target: str) -> None:
    """A summary of the right form that says other than the record."""
    known = json.loads(str(client.hget(keys.SUMMARY, target) or "{}"))
    lie = {"access_key": "AKIAFORGED", "next_rotation_at": "2199-01-01T00:00:00+00:00", "last_error": None}
    client.hset(keys.SUMMARY, target, json.dumps({**known, "target": target, **lie}))


def _forge_notice(client: redis.Redis) -> None:
    """A notice of the right form, of what never happened."""
    at = "2026-01-01T00:00:00+00:00"
    name = "f" * 32
    notice = {"id": name, "event": Kind.FAILED.value, "at": at, "log": "rotation.failed", "since": at, "tries": 0}
    client.hset(keys.outbox("hook"), name, json.dumps(notice))
    client.zadd(keys.outbox_due("hook"), {name: 0})


def _later(target: str, identifier: str) -> bytes:
    message = hostile.message(target, identifier=identifier)
    message["headers"]["eta"] = "2099-01-01T00:00:00+00:00"
    return hostile.item(message)
