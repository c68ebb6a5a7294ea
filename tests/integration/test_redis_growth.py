"""Redis does not grow: what is kept there is bounded for each target, and an audit writes only what is missing."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
import redis

from tests.doubles import MemoryClock, MemoryHostUp, MemoryVault, one_account
from tests.integration.scene import runtime_with, scheduled
from tests.records import DAY, MINUTE, NOW, current
from worker.adapters.redis.account import Account
from worker.adapters.redis.client import BATCH, connect
from worker.adapters.redis.index import IDS_OF_A_TARGET, IndexEntry
from worker.adapters.redis.keys import IDS, IDS_OF, PLANS, REQUESTS, SUMMARY, once, woken
from worker.adapters.redis.reading import StoredRequest
from worker.adapters.redis.state import SharedState, shared_state
from worker.adapters.vault.kv import VaultStore
from worker.rotation.history import History
from worker.rotation.record import Record, encode
from worker.rotation.records import RecordStore
from worker.rotation.services import Services
from worker.sandbox.servers import ValkeyServer
from worker.secret import Secret
from worker.selftest.redis_proxy import RedisProxy
from worker.selftest.script import Script
from worker.service.assemble import Runtime, limits, policy
from worker.service.audit_task import audit_once, newest_ids
from worker.service.look import look_while_due
from worker.service.request import Asked, rotate
from worker.service.tick import rebuild
from worker.settings.settings import load
from worker.targets.account import DEFAULT_ACCOUNT

ROTATIONS = 200
MANY = 1200
FEW = ("backup", "media", "site")
STATE = "state"


@dataclass
class StoppableClock(MemoryClock):
    """A clock that moves only when told, of a process that never ends."""

    stopping: bool = False

    def stop(self) -> None:
        self.stopping = True


@dataclass
class Small:
    """A worker with everything in memory but Redis; may be made anew with other targets on the same world."""

    folder: Path
    shared: SharedState
    clock: StoppableClock = field(default_factory=StoppableClock)
    vault: MemoryVault = field(default_factory=MemoryVault)
    hostup: MemoryHostUp = field(default_factory=MemoryHostUp)

    def runtime(self, names: tuple[str, ...]) -> Runtime:
        file = self.folder / "rotator.toml"
        file.write_text("".join(map(_table, names)), "utf-8")
        variables = {"HOSTUP_API_KEY": "k", "VAULT_ADDR": "https://vault.example", "VAULT_TOKEN": "t"}
        settings = load(file, {**variables, "REDIS_URL": "redis://127.0.0.1:1/0"})
        limited = limits(settings, settings.accounts[DEFAULT_ACCOUNT])
        account = Account(self.shared.client, self.hostup, self.clock, limited)
        services = Services(
            accounts=one_account(self.hostup, account=account),
            vault=self.vault,
            store=RecordStore(self.vault, STATE, self.clock),
            clock=self.clock,
            policy=policy(settings),
        )
        return runtime_with(settings, services, self.shared, cast("VaultStore", self.vault), self.clock)

    def changed(self, names: tuple[str, ...], old: str, new: str) -> Runtime:
        """The same with one line of the first table that has ``media`` in it changed."""
        runtime = self.runtime(names)
        file = self.folder / "rotator.toml"
        before, table, after = file.read_text("utf-8").partition(_table("media"))
        file.write_text(before + table.replace(old, new) + after, "utf-8")
        variables = {"HOSTUP_API_KEY": "k", "VAULT_ADDR": "https://vault.example", "VAULT_TOKEN": "t"}
        return replace(runtime, settings=load(file, {**variables, "REDIS_URL": "redis://127.0.0.1:1/0"}))

    def audit(self, runtime: Runtime) -> None:
        self.shared.client.delete(once("audit"))
        audit_once(runtime)

    def seed(self, names: tuple[str, ...]) -> Mapping[str, Record]:
        """Records that have lived, as Vault holds them."""
        history = [[_entry(number) for number in range(10)] for _ in names]
        records = {
            name: Record(
                target=name,
                path=f"apps/{name}",
                current=replace(current(f"AK{name}"), published_at=NOW),
                history=History(tuple(entries)),
                next_entry=11,
            )
            for name, entries in zip(names, history, strict=True)
        }
        self.vault.versions.update({f"{STATE}/{name}": [encode(record)] for name, record in records.items()})
        return records


def _table(name: str) -> str:
    return f'[[target]]\nname = "{name}"\npath = "apps/{name}"\nevery = "30d"\ngrace = "24h"\n'


def _entry(number: int) -> str:
    ids = {"rotation_id": str(uuid.uuid4()), "request_id": str(uuid.uuid4())}
    return json.dumps({"n": number + 1, "at": NOW.isoformat(), "event": "key.created", **ids})


@pytest.fixture
def small(tmp_path: Path, shared: SharedState) -> Small:
    return Small(tmp_path, shared)


@dataclass(frozen=True)
class Counted:
    """A worker whose commands to Redis are counted."""

    small: Small
    script: Script

    def during(self, act: Callable[[], object]) -> Counter[str]:
        before = len(self.script.trace())
        act()
        return Counter(f"{seen.method} {seen.path}" for seen in self.script.trace()[before:])


@pytest.fixture
def counted(tmp_path: Path, server: ValkeyServer, client: redis.Redis) -> Iterator[Counted]:
    del client  # it has made the database empty
    script = Script()
    with RedisProxy(("127.0.0.1", server.port), script) as proxy, _through(server, proxy.port) as through:
        yield Counted(Small(tmp_path, shared_state(through)), script)


@contextmanager
def _through(server: ValkeyServer, port: int) -> Iterator[redis.Redis]:
    with connect(Secret(server.url.reveal().replace(f":{server.port}/", f":{port}/"))) as client:
        yield client


def _sizes(client: redis.Redis) -> dict[str, int]:
    """How many members each key has."""
    count = {"hash": client.hlen, "zset": client.zcard, "set": client.scard, "list": client.llen}
    keys = sorted(str(key) for key in client.scan_iter())
    return {key: int(str(count.get(str(client.type(key)), lambda _: 1)(key))) for key in keys}


def test_after_many_rotations_there_is_no_more_in_redis_than_after_a_few(small: Small, client: redis.Redis) -> None:
    runtime = small.runtime(FEW)
    rebuild(runtime)
    sizes = []
    for number in range(ROTATIONS):
        small.clock.time += 31 * DAY if number % 2 else timedelta(hours=1)
        rotate(runtime, FEW[number % len(FEW)], Asked(str(uuid.uuid4()), "a test"))
        if number % 10 == 9:
            small.audit(runtime)
            sizes.append(_sizes(client))
    assert len(small.hostup.made) >= ROTATIONS
    assert sizes[-1] == sizes[len(sizes) // 4], "it has grown"
    assert sizes[-1][IDS] == IDS_OF_A_TARGET * len(FEW)
    assert sizes[-1][IDS_OF] == sizes[-1][SUMMARY] == len(FEW)
    assert len(sizes[-1]) <= 12 + len(FEW)
    assert all(client.ttl(woken(name)) > 0 for name in FEW)
    for name in FEW:
        for each in newest_ids(runtime.services.store.load(name, "").record)[-IDS_OF_A_TARGET:]:
            assert small.shared.index.target_of(each) == name


def changes(shared: SharedState) -> int:
    """How many entries were written or dropped so far."""
    return int(shared.client.info("persistence")["rdb_changes_since_last_save"])


def test_an_audit_takes_few_calls_however_many_targets_there_are(counted: Counted) -> None:
    small = counted.small
    names = tuple(f"target-{number:04}" for number in range(MANY))
    records, runtime = small.seed(names), small.runtime(names)
    batches = -(-MANY // BATCH)
    assert batches <= 3
    first = counted.during(lambda: small.audit(runtime))
    assert first[f"EVALSHA {SUMMARY}"] <= batches + 1, "a script that Redis does not know yet is sent once more"
    # the audit itself asks for the account's pauses and count, too, and for the note of foreign keys twice as often
    assert first.total() <= 5 * batches + 20, first
    index = small.shared.index
    assert index.summaries().keys() == set(names)
    assert all(index.target_of(each) == name for name in names[::100] for each in newest_ids(records[name]))

    written = changes(small.shared)
    again = counted.during(lambda: small.audit(runtime))
    assert changes(small.shared) - written < MANY / 10, "nothing was missing or had changed"
    assert again.total() <= 4 * batches + 14, again

    look_while_due(runtime, names[0])
    small.shared.client.hdel(SUMMARY, names[1])
    small.audit(runtime)
    assert index.summaries().keys() == set(names)


@pytest.mark.parametrize("lost", [(IDS,), (IDS_OF,), (SUMMARY,), (IDS, IDS_OF)], ids=str)
def test_an_audit_makes_good_what_redis_dropped(small: Small, client: redis.Redis, lost: tuple[str, ...]) -> None:
    records, runtime = small.seed(FEW), small.runtime(FEW)
    small.audit(runtime)
    before = _sizes(client)
    client.delete(*lost)
    small.audit(runtime)
    assert _sizes(client) == before
    assert all(small.shared.index.target_of(each) == n for n in FEW for each in newest_ids(records[n]))


CHANGES = {
    "every": ('every = "30d"', 'every = "7d"'),
    "cron": ('every = "30d"', 'cron = "0 3 * * *"'),
    "window": ('every = "30d"', 'every = "30d"\nwindow = "02:00-05:00 Europe/Stockholm"'),
    "jitter": ('every = "30d"', 'every = "30d"\njitter = "1m"'),
    "grace": ('grace = "24h"', 'grace = "1h"'),
    "path": ('"apps/media"', '"apps/elsewhere"'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_target_is_looked_at_when_a_worker_starts(small: Small, change: str) -> None:
    small.seed(FEW)
    runtime = small.runtime(FEW)
    rebuild(runtime)
    for name in FEW:
        look_while_due(runtime, name)
    rebuild(small.runtime(FEW))
    now = small.clock.now()
    assert small.shared.due.claim(now, MINUTE, 10) == (), "nothing has changed"
    changed = small.changed(FEW, *CHANGES[change])
    rebuild(changed)
    assert small.shared.due.claim(now, MINUTE, 10) == ("media",)
    look_while_due(changed, "media")
    rebuild(changed)
    assert small.shared.due.claim(now, MINUTE, 10) == (), "it was seen"


def test_a_look_by_the_old_configuration_does_not_hide_a_change(small: Small) -> None:
    small.seed(FEW)
    old = small.runtime(FEW)
    rebuild(old)
    look_while_due(old, "media")
    new = small.changed(FEW, *CHANGES["every"])
    hold = small.shared.locks.hold("media", MINUTE)  # a worker with the old one is at it just now
    rebuild(new)
    entry = IndexEntry("media", {}, (), old.target("media").plan())
    small.shared.index.finish_look(entry, NOW + 20 * DAY, hold)
    assert "media" in small.shared.due.claim(small.clock.now(), MINUTE, 10)
    rebuild(new)
    assert "media" in small.shared.due.claim(small.clock.now(), MINUTE, 10), "its last look went by the old one"


def test_a_start_takes_few_calls_however_many_targets_there_are(counted: Counted) -> None:
    small = counted.small
    names = tuple(f"target-{number:04}" for number in range(MANY))
    small.seed(names)
    runtime = small.runtime(names)
    batches = -(-MANY // BATCH)
    assert counted.during(lambda: rebuild(runtime)).total() <= 4 * batches + 12


def test_of_a_target_that_left_the_configuration_nothing_stays(small: Small, client: redis.Redis) -> None:
    small.seed(FEW)
    runtime = small.runtime(FEW)
    rebuild(runtime)
    small.audit(runtime)
    small.shared.requests.keep("a request", StoredRequest(target="media", reason=""))
    small.shared.requests.keep("another", StoredRequest(target="site", reason=""))
    rebuild(small.runtime(("site",)))
    left = "\n".join(
        text for key in (IDS, IDS_OF, SUMMARY, REQUESTS, PLANS) for text in map(str, client.hgetall(key).items())
    )
    assert "media" not in left
    assert "backup" not in left
    assert scheduled(small.shared) == {"site"}
    assert small.shared.requests.all().keys() == {"another"}
    assert small.shared.index.summary("site") is not None
    assert client.hlen(IDS) > 0
