"""What lies in Redis under our keys, as anybody who may write there can leave it, on a real server.

An input is a JSON object from keys to what each holds, by its type. The honest ones were written by the code itself.
"""

from __future__ import annotations

import atexit
import io
import json
import random
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import redis
import structlog

from tests.doubles import MemoryClock, MemoryHostUp
from tests.fuzz.limits import seen
from tests.fuzz.mutations import NUMBERS, mutated_json
from tests.fuzz.part import Part
from tests.records import NOW
from tests.worlds import TARGET, Small
from worker.adapters.redis.account import Account, AccountLimits
from worker.adapters.redis.client import connect
from worker.adapters.redis.index import IndexEntry
from worker.adapters.redis.keys import lock, woken
from worker.adapters.redis.outbox import Outbox, Waiting
from worker.adapters.redis.reading import StoredRequest
from worker.adapters.redis.state import SharedState, shared_state
from worker.cli.held import held_text
from worker.cli.status import NEVER_WATCHED, _print_detail, _print_overview
from worker.errors import HostUpCall, HostUpRateLimited, HostUpUncertain
from worker.notices.forms import FORMS
from worker.notices.letter import mail
from worker.notices.notice import Kind, Notice
from worker.rotation.ports import Seen
from worker.rotation.status import summary_of
from worker.sandbox.servers import start_valkey
from worker.targets.backoff import Backoff

_HOUR = timedelta(hours=1)
_QUEUE = "hostup-rotator"
_NOTICE = Waiting(
    Notice(id="a" * 32, event=Kind.FAILED, at=NOW.isoformat(), log="rotation.failed", target="media"), NOW
)
_LIMITS = AccountLimits(2, _HOUR, Backoff(_HOUR, _HOUR), Backoff(_HOUR, _HOUR))


class _Unbounded(Exception):
    """What Redis says holds something up for longer than it may."""


@cache
def _client() -> redis.Redis:
    folder = tempfile.TemporaryDirectory(prefix="rotator-fuzz-")
    server = start_valkey(Path(folder.name) / "valkey")
    atexit.register(folder.cleanup)
    atexit.register(server.stop)
    return connect(server.url)


def _drop(_logger: object, _method: str, _event: Mapping[str, Any]) -> Mapping[str, Any]:
    raise structlog.DropEvent


def _seeds() -> Sequence[bytes]:
    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    client = _client()
    client.flushall()
    _write_honestly(client)
    whole = {str(key): _held(client, str(key)) for key in client.scan_iter()}
    single = [{key: held} for key, held in whole.items()]
    return [json.dumps(each).encode() for each in (whole, *single)]


def _write_honestly(client: redis.Redis) -> None:
    """Everything that workers keep there."""
    shared, world = shared_state(client), Small()
    for _ in range(3):
        found = world.look(watching=True)
        world.passes(days=29)
    hold = shared.locks.hold("media", _HOUR)
    summary = summary_of(found.record, TARGET, world.clock.now())
    shared.index.finish_look(IndexEntry("media", summary, ["AK1", "AK2"], TARGET.plan()), NOW, hold, Seen(7, 3, "abc"))
    shared.locks.hold("media", _HOUR)
    shared.due.schedule_missing(["media", "backup"], NOW)
    shared.due.wake("media")
    shared.watches.seen("media", {**NEVER_WATCHED, "last_watched_at": NOW.isoformat()}, NOW)
    shared.requests.keep("one-request", StoredRequest(target="media", reason="leaked"))
    shared.heartbeats.beat("a-worker@host")
    Outbox(client).put(_NOTICE, "mark", ["hook"], NOW)
    account = _account(client)
    account._keep(3)  # noqa: SLF001 - what a look at HostUp's status leaves behind
    with account.place("media"):
        for error in (HostUpUncertain("no answer", HostUpCall("create_key")),) * 3:
            account.failed(error)
        account.failed(HostUpRateLimited("429", HostUpCall("delete_key", 429, retry_after=60)))
    with suppress(Exception):
        account.enter("backup")


def _held(client: redis.Redis, key: str) -> dict[str, Any]:
    readers: Mapping[str, Callable[[], Any]] = {
        "string": lambda: client.get(key),
        "hash": lambda: client.hgetall(key),
        "set": lambda: sorted(map(str, client.smembers(key))),
        "zset": lambda: {str(member[0]): member[1] for member in client.zrange(key, 0, -1, withscores=True)},
        "list": lambda: client.lrange(key, 0, -1),
    }
    kind = str(client.type(key))
    return {kind: readers[kind]()}


def _mutate(data: bytes, draw: random.Random) -> bytes:
    odd = (*map(str, NUMBERS[:-3]), "nan", "inf", "-inf", {"string": "x"}, {"hash": {"media": "{}"}}, {"list": ["a"]})
    return mutated_json(data.decode("utf-8", "replace"), draw, odd).encode("utf-8", "replace")


def _fill(client: redis.Redis, document: Mapping[str, Any]) -> None:
    """Have these be what lies in Redis, as far as Redis takes it."""
    client.flushall()
    for key, held in document.items():
        for kind, value in held.items() if isinstance(held, dict) else ():
            with suppress(redis.RedisError, ValueError, TypeError, AttributeError, RecursionError):
                _put(client, key, kind, value)


def _put(client: redis.Redis, key: str, kind: str, value: Any) -> None:
    name = _raw(key)
    match kind:
        case "string":
            client.set(name, _raw(value))
        case "hash":
            client.hset(name, mapping={_raw(field): _raw(text) for field, text in value.items()})
        case "set":
            client.sadd(name, *map(_raw, value))
        case "list":
            client.rpush(name, *map(_raw, value))
        case "zset":
            client.zadd(name, {_raw(member): score for member, score in value.items()})


def _raw(value: object) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "surrogatepass")  # a lone surrogate becomes bytes that are no UTF-8


def _account(client: redis.Redis) -> Account:
    return Account(client, MemoryHostUp(), MemoryClock(), _LIMITS)


def _look(shared: SharedState) -> Iterator[str]:
    """What a look at a target asks Redis."""
    yield from seen(lambda: shared.due.claim(NOW, _HOUR, 5))
    yield from seen(lambda: shared.due.claim_next(NOW, _HOUR, _QUEUE))
    yield from seen(lambda: _finish(shared))
    yield from seen(lambda: shared.watches.claim(NOW, _HOUR, 5, _QUEUE))
    yield from seen(lambda: shared.watches.sighting("media"))


def _finish(shared: SharedState) -> None:
    hold = shared.locks.hold("media", _HOUR)
    entry = IndexEntry("media", {"target": "media"}, ["AK1"], "plan")
    shared.index.refresh([entry])
    shared.index.finish_look(entry, NOW, hold, Seen(3))
    left = shared.client.pttl(lock("media"))
    if left > _HOUR.total_seconds() * 1000:
        raise _Unbounded(f"the lock is held for {left} ms")


def _tick(shared: SharedState) -> Iterator[str]:
    """What a tick asks Redis."""
    yield from seen(lambda: shared.repairs.put_right(NOW, NOW + _HOUR, NOW + _HOUR))
    yield from seen(shared.due.is_built)
    yield from seen(shared.requests.all)
    yield from seen(lambda: shared.due.waiting(_QUEUE))
    yield from seen(shared.heartbeats.workers)
    yield from seen(lambda: ([*shared.due.others(["media"])], [*shared.watches.others(["media"])]))
    yield from seen(lambda: shared.index.changed_plans({"media": "plan", "backup": "plan"}))
    yield from seen(lambda: shared.index.forget(["backup"]))
    yield from seen(lambda: shared.locks.only_one("audit", _HOUR))
    yield from seen(lambda: shared.client.get(woken("media")))


def _create(shared: SharedState) -> Iterator[str]:
    """What a create asks Redis."""
    account = _account(shared.client)
    yield from seen(lambda: _place(account))
    yield from seen(lambda: account.enter("media"))
    yield from seen(account.key_count)
    yield from seen(lambda: account.failed(HostUpRateLimited("429", HostUpCall("create_key", 429, retry_after=60))))
    yield from seen(lambda: shared.circuit().close_all(NOW))


def _place(account: Account) -> object:
    with account.place("media") as place:
        return place


def _show(shared: SharedState) -> Iterator[str]:
    """What people are shown of it."""
    yield from seen(lambda: _printed(shared))
    yield from seen(lambda: [held_text(held, NOW) for held in shared.held(NOW)])
    yield from seen(lambda: [json.dumps(held.document()) for held in shared.held(NOW)])
    yield from seen(shared.heartbeats.ages)
    yield from seen(lambda: shared.index.target_of("AK1"))
    yield from seen(shared.repairs.wrong_types)


def _tell(shared: SharedState) -> Iterator[str]:
    """What a channel of notices asks Redis, and sends of it."""
    outbox = Outbox(shared.client)
    yield from seen(lambda: _sent(outbox.claim("hook", NOW, NOW + _HOUR)))
    yield from seen(lambda: outbox.put(_NOTICE, "mark", ["hook"], NOW))
    yield from seen(lambda: outbox.postpone("hook", _NOTICE, NOW))
    yield from seen(lambda: _sent(outbox.claim("hook", NOW, NOW + _HOUR)))
    yield from seen(lambda: outbox.over(["mark"]))
    yield from seen(lambda: outbox.done("hook", _NOTICE.notice.id))


def _sent(waiting: Waiting | None) -> list[str]:
    if waiting is None:
        return []
    letter = mail(waiting.notice, "a@example.com", ("b@example.com",))
    return [form(waiting.notice).body.decode() for form in FORMS.values()] + [letter.as_string()]


def _printed(shared: SharedState) -> str:
    sightings = shared.watches.sightings()
    summaries = [
        summary | sightings.get(name, NEVER_WATCHED) | {"held": None}
        for name, summary in shared.index.summaries().items()
    ]
    with redirect_stdout(io.StringIO()) as printed:
        _print_overview(summaries)
        for summary in summaries:
            _print_detail(summary)
    return json.dumps(summaries) + printed.getvalue()


_CALLS: Sequence[Callable[[SharedState], Iterator[str]]] = (_look, _tick, _create, _show, _tell)


def _run(data: bytes) -> Iterator[str]:
    try:
        document = json.loads(data) if len(data) <= LARGEST else None
    except (ValueError, RecursionError):
        return
    if not isinstance(document, dict):
        return
    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    client = _client()
    _fill(client, document)
    yield from _CALLS[zlib.crc32(data) % len(_CALLS)](shared_state(client))


LARGEST = 512 * 1024
"""Bytes of one input."""

PART = Part("redis", _seeds, _mutate, _run, share=1500)
