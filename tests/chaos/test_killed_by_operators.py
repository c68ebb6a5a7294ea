"""What people and scanners ask for is killed at each of its steps; a worker goes on, and every promise holds.

The steps are found as in the crash matrix: one run without a blow shows them. Redis is left out, as it holds no facts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.reports import SECRET, Scanner, body_of, headers
from tests.servers import free_port
from worker.adapters.vault.opening import open_vault
from worker.clock import SystemClock
from worker.rotation.changes.leak import revocation
from worker.rotation.records import RecordStore
from worker.sandbox.simulator.faults import fault
from worker.sandbox.simulator.ledger import calls
from worker.selftest import actions
from worker.selftest.checker import BrokenPromise, check, orphans, unrest
from worker.selftest.evidence import Json
from worker.selftest.life import never, wait
from worker.selftest.nursery import WorkerProcess
from worker.selftest.script import Moment, Rule, Step
from worker.selftest.stand import Bench, Pace, Stand
from worker.service.leak_webhook import PATH
from worker.settings.environment import Need
from worker.settings.settings import load

LANES = 6
TICKS_APART = 10.0
"""Seconds."""
GRACE = "9s"
LEAK = "message-of-the-leak"
HIT = "hit-4711"
ADDRESS = "ROTATOR_TEST_ADDRESS"


@dataclass(frozen=True)
class Doer:
    """The process that does it, and whether it has ended."""

    pid: int
    ended: Callable[[], bool]


@dataclass(frozen=True)
class Story:
    """What is done to a target with a key and another one in its grace; ``through`` tells when that is over.

    ``before`` is done first. ``ends_before``: what comes from there on is another story's. ``refused``: HostUp makes no
    key until that is over.
    """

    name: str
    do: Callable[[Stand, WorkerProcess], Doer]
    through: Callable[[Json], bool]
    writes: bool = True
    before: Callable[[Stand, WorkerProcess], Doer] | None = None
    ends_before: str = "never"
    refused: bool = False


def leak(stand: Stand, worker: WorkerProcess) -> Doer:
    """A message says so; the worker is to be struck."""
    said = ("found in a log", "a scanner", True)
    stand.send("rotator.rotate", stand.watched.name, *said, task_id=LEAK)
    return Doer(worker.pid, lambda: not worker.alive)


def report(stand: Stand, worker: WorkerProcess) -> Doer:
    """A scanner says so, until it has an answer; the worker is to be struck."""
    scanner, body = Scanner(stand.environment[ADDRESS]), body_of(record(stand)["current"]["access_key"])

    def send() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(httpx.TransportError):
                if scanner.send(body, headers(body, sent_id=HIT, at=time.time()), PATH).status_code in (200, 202):
                    return

    Thread(target=send, daemon=True).start()
    return Doer(worker.pid, lambda: not worker.alive)


def command(*arguments: str) -> Callable[[Stand, WorkerProcess], Doer]:
    """A person's command, which is to be struck; no worker is there meanwhile."""

    def do(stand: Stand, worker: WorkerProcess) -> Doer:
        worker.kill()
        key = record(stand)["current"]["access_key"]
        words = [word.replace("TARGET", stand.watched.name).replace("KEY", key) for word in arguments]
        with (stand.folder / "command.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli", *words],
                env={**stand.environment, "PATH": os.environ["PATH"]},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Doer(process.pid, lambda: process.poll() is not None)

    return do


def revoke(stand: Stand, worker: WorkerProcess) -> Doer:
    """A person says that the key is to be deleted although there is no other; the worker is to be struck."""
    direct = {**stand.environment, "VAULT_ADDR": stand.vault.upstream}
    settings, clock = load(Path(direct["ROTATOR_CONFIG"]), direct, Need.VAULT), SystemClock()
    store = RecordStore(open_vault(settings, clock), settings.vault.state_path, clock, settings.vault.mount)
    current = store.load(stand.watched.name, stand.watched.path)
    assert current.record.current
    access_key = current.record.current.access_key
    store.change(current, lambda known: revocation(known, access_key, "alice", clock.now()))
    stand.send("rotator.reconcile", stand.watched.name)
    return Doer(worker.pid, lambda: not worker.alive)


def is_revoked(record: Json) -> bool:
    """Whether a key was revoked, and is dead, as are those in their grace."""
    events = [(entry["event"], entry.get("access_key")) for entry in map(json.loads, record["history"])]
    revoked = [key for event, key in events if event == "key.revoked"]
    busy = record.get("revoking") or record.get("revoked") or record["retiring"]
    return not busy and bool(revoked) and all(("key.dead", key) in events for key in revoked)


def is_to_be_revoked(record: Json) -> bool:
    """Whether that is on record, of a key that lives or of one that is dead by now."""
    return any(json.loads(text)["event"] == "key.revoked" for text in record["history"])


PAUSE = command("pause", "TARGET", "--reason", "x")
REVOKE = ("rotate", "TARGET", "--leaked", "--even-without-a-new-one", "--yes", "--timeout", "1s")

STORIES = (
    Story("leak", leak, lambda record: LEAK in dict(record["served"]) and not record["retiring"]),
    Story("rollback", command("rollback", "TARGET", "--yes"), lambda record: not record["rotation"]),
    Story("revoke", revoke, is_revoked, ends_before="hostup POST", refused=True),
    Story("revoke by command", command(*REVOKE), is_to_be_revoked, refused=True),
    Story("pause", PAUSE, lambda record: "paused" in record),
    Story("pause all", command("pause", "--all", "--reason", "x"), lambda record: "paused" in record),
    Story("resume", command("resume", "TARGET"), lambda record: "paused" not in record, before=PAUSE),
    Story("reschedule", command("reschedule", "TARGET", "--at", "30d"), lambda record: "next_at" in record),
    Story("find", command("find", "KEY"), lambda _: True, writes=False),
    Story(
        "report",
        report,
        lambda record: any(name.startswith("leak-") for name, _ in record["served"]) and not record["retiring"],
        ends_before="hostup ",
    ),
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_kill_at_any_step_of_it_breaks_no_promise(bench: Bench, story: Story) -> None:
    steps = rehearse(bench, story)
    struck = [(step, moment) for step in steps for moment in (Moment.BEFORE, Moment.AFTER) if is_worth_it(step, moment)]
    assert len(struck) >= len(steps) > 2
    assert any(step.method == "POST" and "/auth/" not in step.path for step in steps) is story.writes
    with ThreadPoolExecutor(LANES) as lanes:
        found = list(lanes.map(lambda each: kill(bench, story, each[0], *each[1]), enumerate(struck)))
    assert "\n".join(line for lines in found for line in lines) == ""


def is_worth_it(step: Step, moment: Moment) -> bool:
    """Before a call that only reads, nothing is different from after the one before it."""
    return moment is Moment.AFTER or step.method not in ("GET", "HEAD")


def rehearse(bench: Bench, story: Story) -> list[Step]:
    """The requests of the story, each counted from its beginning."""
    with two_keys(bench, f"clean-{story.name}", story) as (stand, worker):
        before = len(stand.script.trace())
        doer = story.do(stand, worker)
        wait(lambda: story.through(record(stand)), story.name, never)
        if doer.pid != worker.pid:
            wait(doer.ended, "the end of the command", never)
        trace = stand.script.trace()[before:]
        if not story.refused:  # else it is at rest only once a key can be made
            assert check(stand.evidence()) == ()
        counted: Counter[tuple[str, str, str]] = Counter()
        steps = []
        for seen in trace:
            kind = (seen.service, seen.method, seen.path)
            counted[kind] += 1
            if f"{seen.service} {seen.method}".startswith(story.ends_before):
                break
            if seen.service != "redis":
                steps.append(Step(*kind, counted[kind]))
        return steps


def kill(bench: Bench, story: Story, number: int, step: Step, moment: Moment) -> list[str]:
    """What is wrong after the one that does it was killed there, each as a line."""
    with two_keys(bench, f"{story.name}-{number}", story) as (stand, worker):
        doing: list[Doer] = []
        stand.script.add(Rule.at(step, moment, actions.kill(lambda: doing[0].pid)))
        doing.append(story.do(stand, worker))
        wait(doing[0].ended, f"{step} is met", never)
        stand.script.clear()
        other = stand.worker(bench.nursery, concurrency=2, beat=True)
        try:
            again = story.do(stand, worker)  # the message comes again, the person runs the command again
            if again.pid != worker.pid:
                wait(again.ended, "the end of the command", never)
            stand.simulator.admin.clear()
            wait(lambda: story.through(record(stand)) and unrest(record(stand)) == "", "rest", never, stand)
        finally:
            other.kill()
        return [f"{story.name} {moment} {step}: {each}" for each in judge(stand)]


@contextmanager
def two_keys(bench: Bench, name: str, story: Story) -> Iterator[tuple[Stand, WorkerProcess]]:
    """A target with a current key and one in its grace, and the worker that made them; what comes before the story."""
    address = f"127.0.0.1:{free_port()}"
    pace = Pace(grace=GRACE, target=f'[leak_webhook]\nlisten = "{address}"')
    with bench.stand(name.replace(" ", "-"), pace) as made:
        webhook = {"ROTATOR_LEAK_WEBHOOK_SECRET": SECRET, ADDRESS: address}
        stand = replace(made, environment={**made.environment, **webhook})
        worker = stand.worker(bench.nursery)
        try:
            stand.send("rotator.tick")
            wait(lambda: unrest(stand.mount.record(stand.watched.name)) == "", "the first rotation", never)
            stand.send("rotator.rotate", stand.watched.name, "the second", task_id="second")
            wait(with_ticks(stand, lambda: "second" in dict(record(stand)["served"])), "the second rotation", never)
            if story.before:
                wait(story.before(stand, worker).ended, "the end of what comes before", never)
            if story.refused:
                stand.simulator.admin.order(replace(fault("problem-422", "create"), times=-1))
            yield stand, worker
        finally:
            worker.kill()


def with_ticks(stand: Stand, holds: Callable[[], bool]) -> Callable[[], bool]:
    """The same, with a tick where that does not hold for long, as no beat runs.

    On a busy machine a message may find its target looked at, and that look take so long that it leaves the rest to the
    next tick.
    """
    last = time.monotonic()

    def looked() -> bool:
        nonlocal last
        if time.monotonic() - last > TICKS_APART:
            last = time.monotonic()
            stand.send("rotator.tick")
        return holds()

    return looked


def record(stand: Stand) -> Json:
    """The target's record, which is there by now."""
    return stand.mount.record(stand.watched.name) or {}


def judge(stand: Stand) -> Iterator[BrokenPromise]:
    """What promises are broken. Of a call whose answer died with the worker, the requestId did so, too."""
    evidence = stand.evidence()
    died = [call for call in calls(e for e in evidence.entries if e.get("call") is not None) if call.effect]
    yield from check(replace(evidence, excused=frozenset(str(call.request_id) for call in died)))
    told = any(entry["event"] == "create.unconfirmed" for kept in evidence.kept for entry in kept.history)
    if orphans(evidence) and not told:
        yield BrokenPromise(3, ", ".join(orphans(evidence)), "was lost, and nobody was told")
