"""Redis fails at each command of a worker: it restarts, forgets, hangs, takes no writes. Nothing is lost."""

from __future__ import annotations

import queue
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.chaos.shop import LOGGED, open_shop
from tests.chaos.test_fault_matrix import PACE
from tests.sandbox import wait_until
from worker.sandbox.servers import ValkeyServer, start_valkey
from worker.selftest import actions
from worker.selftest.script import Action, Moment, Rule, Seen, Step
from worker.selftest.stand import DATABASES, Bench, Stand
from worker.selftest.trials import CONNECTING, rows

LANES = 4
NUMBERS = count(1)


@dataclass(slots=True)
class Lane:
    """A Valkey of its own, which may be killed and started again: what happens to it happens to one trial."""

    bench: Bench
    valkey: ValkeyServer

    def stop(self) -> None:
        """End the Valkey that runs now."""
        self.valkey.stop()

    def start_again(self) -> None:
        """In the lane's own thread, as the server dies with the thread that starts it."""
        self.valkey = self.valkey.restart()


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at a command, and what an operator does about it at the end of the look that met it."""

    name: str
    strike: Callable[[Lane, Stand], Action]
    lift: Callable[[Lane, Stand], object] = lambda _lane, _stand: None
    moment: Moment = Moment.BEFORE


FAULTS = (
    Fault("connection cut", lambda _lane, _stand: actions.cut()),
    Fault("connection cut after its effect", lambda _lane, _stand: actions.cut(), moment=Moment.AFTER),
    Fault("restart", lambda lane, _: actions.call(lane.valkey.kill), lambda lane, _: lane.start_again()),
    Fault("flush", lambda _, stand: actions.call(stand.direct.flushdb)),
    Fault(
        "half-open", lambda _, stand: actions.call(stand.redis_proxy.freeze), lambda _, stand: stand.redis_proxy.thaw()
    ),
    Fault(
        "read-only replica",
        lambda _, stand: actions.call(lambda: stand.direct.replicaof("127.0.0.1", 1)),
        lambda _, stand: stand.direct.replicaof("NO", "ONE"),
    ),
    Fault(
        "out of memory",
        lambda _, stand: actions.call(lambda: stand.direct.config_set("maxmemory", 1)),
        lambda _, stand: stand.direct.config_set("maxmemory", 0),
    ),
    Fault("keys of another type", lambda _, stand: actions.call(lambda: _change_types(stand))),
    Fault("evicted at random", lambda _, stand: actions.call(lambda: _evict(stand))),
)

REFUSALS = (
    Fault(
        "cannot save",
        lambda lane, stand: actions.call(lambda: _fill_the_disk(lane, stand)),
        lambda _, stand: stand.direct.config_set("save", ""),
    ),
    Fault(
        "too few replicas",
        lambda _, stand: actions.call(lambda: stand.direct.config_set("min-replicas-to-write", 1)),
        lambda _, stand: stand.direct.config_set("min-replicas-to-write", 0),
    ),
    Fault(
        "rights taken away",
        lambda _, stand: actions.call(lambda: _rights(stand, "-@write", "-@scripting")),
        lambda _, stand: _rights(stand, "+@all"),
    ),
)
"""Like a full one and a replica, so one of them at each command is enough, in turn."""


def _fill_the_disk(lane: Lane, stand: Stand) -> None:
    """Its snapshots fail from now on, as something that is no file has their name: it takes no writes (MISCONF)."""
    (lane.valkey.folder / "dump.rdb").mkdir(exist_ok=True)
    stand.direct.config_set("save", "3600 1")
    stand.direct.bgsave()
    wait_until(lambda: stand.direct.info("persistence")["rdb_last_bgsave_status"] == "err", "a snapshot that failed")


def _rights(stand: Stand, *rules: str) -> None:
    client: Any = stand.direct  # acl_setuser() would have it all set anew
    client.execute_command("ACL", "SETUSER", "default", *rules)


def _change_types(stand: Stand) -> None:
    for key in _keys(stand):
        is_text = stand.direct.type(key) == "string"
        stand.direct.delete(key)
        if is_text:
            stand.direct.rpush(key, "not ours")
        else:
            stand.direct.set(key, "not ours")


def _evict(stand: Stand) -> None:
    """Half of what is there, drawn by what is there."""
    keys = _keys(stand)
    for key in random.Random(len(keys)).sample(keys, -(-len(keys) // 2)):
        stand.direct.delete(key)


def _keys(stand: Stand) -> list[str]:
    return sorted(str(key) for key in stand.direct.scan_iter())


def _play(lane: Lane, strike: tuple[Step, Fault] | None) -> tuple[list[str], tuple[Step, ...]]:
    """A scenario from start to rest; its findings, and the commands that were met."""
    LOGGED.set([])
    met, lifted = Event(), Event()
    with lane.bench.stand(f"redis-{next(NUMBERS)}", PACE) as stand, open_shop(stand) as shop:

        def lift() -> None:
            if strike and met.is_set() and not lifted.is_set():
                lifted.set()
                strike[1].lift(lane, stand)

        if strike:
            step, fault = strike
            action = actions.first(actions.call(met.set), fault.strike(lane, stand))
            stand.script.add(Rule.at(step, fault.moment, action))
        shop.live(lift)
        lift()
        stand.script.clear()
        found = shop.judge(stand.evidence(), may_lose=False)
        unmet = [] if strike is None or met.is_set() else ["was never met"]
        return [*map(str, found), *unmet], commands(stand.script.trace())


def commands(trace: tuple[Seen, ...]) -> tuple[Step, ...]:
    """The first of each kind of command that was sent to Redis, apart from those that only connect."""
    steps = (row.step for row in rows(trace, (Moment.AFTER,)) if row.step.service == "redis")
    return tuple(step for step in steps if step.method not in CONNECTING)


@pytest.fixture
def lanes(bench: Bench, tmp_path: Path) -> Iterator[queue.SimpleQueue[Lane]]:
    free: queue.SimpleQueue[Lane] = queue.SimpleQueue()
    with ExitStack() as stack:
        for number in range(LANES):
            lane = _lane(bench, tmp_path / f"valkey-{number}")
            stack.callback(lane.stop)
            free.put(lane)
        yield free


def _lane(bench: Bench, folder: Path) -> Lane:
    valkey = start_valkey(folder)
    databases: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in DATABASES:
        databases.put(number)
    return Lane(Bench(bench.folder, bench.vault, valkey, bench.nursery, databases), valkey)


@pytest.mark.usefixtures("logs_to_trials")
def test_no_failure_of_redis_breaks_a_promise(lanes: queue.SimpleQueue[Lane]) -> None:
    def play(cell: tuple[Step, Fault]) -> list[str]:
        lane = lanes.get()
        try:
            found, _ = _play(lane, cell)
        finally:
            lanes.put(lane)
        return [f"{cell[1].name} at {cell[0].method} {cell[0].path}: {each}" for each in found]

    first = lanes.get()
    found, steps = _play(first, None)
    lanes.put(first)
    assert not found
    cells = [(step, fault) for step in steps for fault in FAULTS]
    cells += zip(steps, cycle(REFUSALS), strict=False)
    with ThreadPoolExecutor(LANES) as threads:
        broken = [line for lines in threads.map(play, cells) for line in lines]
    assert not broken, f"{len(broken)} findings in {len(cells)} trials:\n" + "\n".join(broken)
