"""Trials: a worker is struck at one step of its work, another goes on, and then the promises are checked.

The steps are found, not listed: one run without a blow (:func:`rehearse`) leaves the trace of all that a worker says to
the outside in a first rotation, one on demand, a retirement with proof, an audit and the archiving of history. Each
request of that trace is a row of the matrix (:func:`rows`). The workers are real processes.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from worker.sandbox.simulator.ledger import calls
from worker.selftest import actions
from worker.selftest.actions import Gate
from worker.selftest.checker import BrokenPromise, check, orphans
from worker.selftest.evidence import Json
from worker.selftest.life import PATIENCE, Stuck, follow, lead, never, wait
from worker.selftest.nursery import WorkerProcess
from worker.selftest.script import Action, Moment, Rule, Seen, Step
from worker.selftest.stand import Bench, Pace, Stand

CONNECTING = frozenset({"HELLO", "AUTH", "CLIENT", "SELECT", "PING"})
_ONCE_IN_A_SERVERS_LIFE = "SCRIPT"
_RECORD = "/v1/secret/data/{trial}/state/{target}"


@dataclass(frozen=True, slots=True)
class Row:
    """A step and the moment at which a worker is struck."""

    step: Step
    moment: Moment

    def __str__(self) -> str:
        """Its name in the matrix."""
        step = self.step
        return f"{self.moment.value} {step.service} {step.method} {step.path} #{step.nth}"


class Fate(StrEnum):
    """What becomes of the struck worker."""

    DIES = "dies"
    FREEZES = "freezes"
    """Later it goes on with all that it had in its hands, so nothing may be lost."""
    GOES_ON = "goes on"


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial ended: what is wrong, if anything."""

    row: Row
    findings: tuple[BrokenPromise, ...]
    seconds: float


Lead = Callable[[Stand, Callable[[], bool]], None]
"""What the first worker is given to do, until it is over with it."""


def rehearse(bench: Bench, name: str, pace: Pace | None = None, leading: Lead = lead) -> tuple[Seen, ...]:
    """The trace of a worker that nobody strikes. Raises Stuck when it does not get through, or breaks a promise."""
    with bench.stand(name, pace) as stand:
        worker = stand.worker(bench.nursery)
        try:
            leading(stand, never)
            trace = stand.script.trace()
        finally:
            worker.kill()
        broken = check(stand.evidence())
        if broken:
            raise Stuck("; ".join(map(str, broken)))
        return trace


def rows(trace: tuple[Seen, ...], moments: tuple[Moment, ...] = tuple(Moment)) -> tuple[Row, ...]:
    """The matrix: every request to HostUp, the object storage and Vault; of Redis' commands the first of each kind.

    Redis holds no facts, so being struck again at the same command is being struck between two other requests. Of what
    Celery says to Redis by itself, only what was done without an answer can lose a message.
    """
    return tuple(
        Row(_named(seen), moment)
        for seen in trace
        if seen.service != "redis" or (seen.nth == 1 and seen.method != _ONCE_IN_A_SERVERS_LIFE)
        for moment in moments
        if moment is Moment.AFTER or seen.service != "redis" or seen.path.startswith("rotator:")
    )


def _named(seen: Seen) -> Step:
    """A command that only connects is met by its name; what stands after it is no key."""
    step = seen.step
    return replace(step, path="*") if step.service == "redis" and step.method in CONNECTING else step


def _may_lose(trace: tuple[Seen, ...], row: Row, fate: Fate) -> bool:
    """Whether only the worker had an answer of HostUp's: from its effect until it was on record.

    Told from the trial's own trace, until the worker was dead: one that is slow renews its lease, which is one more
    write than at rehearsal, and one that has its answer works on until the blow arrives.
    """
    if fate is Fate.FREEZES:
        return False
    if row.step.service == "redis":
        return True  # other threads of the worker speak to Redis, so what happens just then is not certain
    struck = next((index for index, seen in enumerate(trace) if seen.step == row.step), 0)
    late = fate is Fate.DIES and row.moment is Moment.DELIVERED
    before = trace if late else trace[: struck + (row.moment is not Moment.BEFORE)]
    for seen in reversed(before):
        if (seen.service, seen.method, seen.path) == ("vault", "POST", _RECORD):
            return False
        if seen.service == "hostup" and seen.method in ("POST", "DELETE"):
            return True
    return False


def kill(bench: Bench, name: str, row: Row, pace: Pace | None = None, leading: Lead = lead) -> TrialResult:
    """Kill -9 the worker there; another one goes on."""

    def plan(worker: WorkerProcess, _: Stand) -> TrialPlan:
        return TrialPlan(actions.kill(lambda: worker.pid))

    return _trial(bench, name, row, plan, Fate.DIES, pace, leading)


def freeze(bench: Bench, name: str, row: Row) -> TrialResult:
    """SIGSTOP the worker there; another one takes over and finishes; then it goes on where it was (SIGCONT).

    BEFORE: its request is carried out only then, long after its time. AFTER: the answer waits in its socket. Either
    way nothing may be lost: the worker lives, and every answer it gets must end up on record.
    """

    def plan(worker: WorkerProcess, stand: Stand) -> TrialPlan:
        gate, answered = Gate(), threading.Event()
        stop = actions.freeze(lambda: worker.pid)
        blow = actions.first(stop, actions.hold(gate)) if row.moment is Moment.BEFORE else stop
        stand.script.add(Rule.at(row.step, Moment.DELIVERED, actions.call(answered.set)))
        return TrialPlan(blow, lambda: _thaw(worker, gate, answered, row))

    return _trial(bench, name, row, plan, Fate.FREEZES)


def disturb(bench: Bench, name: str, row: Row, action: Action) -> TrialResult:
    """Do something to the request there, such as answering it with an error; the worker goes on, as another does."""
    return _trial(bench, name, row, lambda _worker, _stand: TrialPlan(action), Fate.GOES_ON)


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """What is done at the step, and what is done once the other worker is through."""

    blow: Action
    then: Callable[[], None] = lambda: None


def _trial(
    bench: Bench,
    name: str,
    row: Row,
    make: Callable[[WorkerProcess, Stand], TrialPlan],
    fate: Fate,
    pace: Pace | None = None,
    leading: Lead = lead,
) -> TrialResult:
    began = time.monotonic()
    with bench.stand(name, pace) as stand:
        worker = stand.worker(bench.nursery)
        struck, seen = threading.Event(), tuple[Seen, ...]()
        plan = make(worker, stand)
        stand.script.add(Rule.at(row.step, row.moment, actions.first(actions.call(struck.set), plan.blow)))
        try:
            leading(stand, struck.is_set)
            findings = [] if struck.is_set() else [BrokenPromise(0, str(row), "was never met")]
            if fate is Fate.DIES:
                worker.ended(PATIENCE)
            seen = stand.script.trace()
            findings += follow(stand, bench, plan.then)
        except Stuck as stuck:
            findings = [BrokenPromise(0, str(row), str(stuck))]
        finally:
            worker.kill()
        return _judge(stand, row, findings, began, may_lose=_may_lose(seen, row, fate))


def report(results: Iterable[TrialResult]) -> str:
    """What went wrong, a line for each finding under the row it belongs to; empty when all is well."""
    return "\n".join(f"{result.row}\n    {finding}" for result in results for finding in result.findings)


def _thaw(worker: WorkerProcess, gate: Gate, answered: threading.Event, row: Row) -> None:
    """Let the request through, wake the worker when all of the answer is there, and have it finish what it is at."""
    gate.opened.set()
    if row.step.service != "redis":
        wait(answered.is_set, "the held request is answered", never)
    worker.signal(signal.SIGCONT)
    worker.signal(signal.SIGTERM)
    if not worker.ended(PATIENCE):
        raise Stuck("the woken worker did not end")


def _judge(stand: Stand, row: Row, found: list[BrokenPromise], began: float, *, may_lose: bool) -> TrialResult:
    evidence = stand.evidence()
    if may_lose:
        died = [call.request_id for call in calls(_of_calls(evidence.entries)) if call.operation == "delete"]
        evidence = replace(evidence, excused=frozenset(str(request_id) for request_id in died))
    left = orphans(evidence)
    if left and not may_lose:
        found = [*found, BrokenPromise(3, ", ".join(left), "was lost, although its answer was on record or never came")]
    return TrialResult(row, (*found, *check(evidence)), time.monotonic() - began)


def _of_calls(entries: tuple[Json, ...]) -> Iterator[Json]:
    return (entry for entry in entries if entry.get("call") is not None)
