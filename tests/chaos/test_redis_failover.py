"""A real Sentinel set fails over at any time of a worker's work: nothing is lost, and rotation goes on by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from tests.chaos.life import ask, rest, served
from tests.sentinels import Blow, SentinelSet, sentinel_set
from worker.adapters.redis.client import connect
from worker.selftest import actions
from worker.selftest.checker import BrokenPromise, check, orphans
from worker.selftest.life import never, wait
from worker.selftest.nursery import WorkerProcess
from worker.selftest.script import Moment, Rule, Step
from worker.selftest.stand import Bench, Pace, Stand

PACE = Pace(grace="2s", tick="1s", lease="12s", verify_within="30s", dead_within="60s")
CREATE = "/api/object-storage/keys"
DELETE = "/api/object-storage/keys/{key}"
ROTATIONS = ("the first one", "before", "while a key is made", "while it is published", "while one is deleted", "after")
APP = "/v1/secret/data/{trial}/app"


@dataclass(frozen=True, slots=True)
class Trial:
    """One worker on one set, which is struck again and again."""

    stand: Stand
    set: SentinelSet
    worker: WorkerProcess
    blow: Blow

    def ask(self, request: str) -> None:
        ask(self.stand, request, self._is_over)

    def served(self, request: str) -> None:
        served(self.stand, request, self._is_over)

    def rest(self) -> None:
        rest(self.stand, self._is_over)

    def before_a_rotation(self, name: str) -> None:
        """The primary is struck while nothing is done; then a rotation is asked for."""
        node = self.set.primary()
        node.strike(self.blow)
        self.ask(name)
        self.served(name)
        node.mend()
        self.whole()

    def at(self, service: str, method: str, path: str, name: str) -> None:
        """The primary is struck while a worker makes this call of a rotation."""
        node, met = self.set.primary(), Event()
        strike = actions.first(actions.call(met.set), actions.call(lambda: node.strike(self.blow)))
        self.stand.script.add(Rule.at(Step(service, method, path, 1), Moment.BEFORE, strike))
        self.ask(name)
        wait(met.is_set, f"the call of {name}", self._is_over)
        self.served(name)
        self.rest()
        node.mend()
        self.whole()

    def whole(self) -> None:
        wait(self.set.is_whole, "the set is whole again", self._is_over)

    def all_is_well(self) -> None:
        """The last word of the worker on Redis, if it said any, is that it can be used."""

        def said() -> bool:
            words = re.findall(r'"(queue\.(?:un)?available)"', self.stand.log.read_text("utf-8"))
            return not words or words[-1] == "queue.available"

        wait(said, "the end of the trouble is told", self._is_over)

    def _is_over(self) -> bool:
        assert self.worker.alive, self.stand.log.read_text("utf-8")[-3000:]
        return never()


@contextmanager
def _trial(bench: Bench, folder: Path, blow: Blow) -> Iterator[Trial]:
    with ExitStack() as stack:
        made = stack.enter_context(sentinel_set(folder))
        plain = stack.enter_context(bench.stand(f"failover-{blow.name.lower()}", PACE))
        url = made.url(3)
        direct = stack.enter_context(connect(url))
        environment = {**plain.environment, "REDIS_URL": url.reveal()}
        stand = replace(plain, broker=url, direct=direct, environment=environment)
        worker = stand.worker(bench.nursery, concurrency=2, beat=True)
        stack.callback(worker.kill)
        yield Trial(stand, made, worker, blow)


def _play(bench: Bench, folder: Path, blow: Blow) -> list[BrokenPromise]:
    with _trial(bench, folder, blow) as trial:
        trial.rest()
        _, before, making, publishing, deleting, after = ROTATIONS
        trial.before_a_rotation(before)
        trial.at("hostup", "POST", CREATE, making)
        trial.at("vault", "POST", APP, publishing)
        trial.at("hostup", "DELETE", DELETE, deleting)
        trial.ask(after)
        trial.served(after)
        trial.rest()
        trial.all_is_well()
        evidence = trial.stand.evidence()
        lost = [BrokenPromise(3, key, "was lost, although its answer came") for key in orphans(evidence)]
        return [*lost, *check(evidence), *_said(trial)]


def _said(trial: Trial) -> Iterator[BrokenPromise]:
    """Nothing of it is a defect, and no key too many is made."""
    if '"error.uncaught"' in trial.stand.log.read_text("utf-8"):
        yield BrokenPromise(0, "error.uncaught", "was told")
    creates = len(trial.stand.simulator.admin.calls("create"))
    if creates != len(ROTATIONS):
        yield BrokenPromise(4, "creates", f"there were {creates}")


def test_no_failover_breaks_a_promise(bench: Bench, tmp_path: Path) -> None:
    with ThreadPoolExecutor(len(Blow)) as lanes:
        found = list(lanes.map(lambda blow: _play(bench, tmp_path / blow.name, blow), Blow))
    assert found == [[]] * len(Blow)
