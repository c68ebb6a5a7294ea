"""Trials: a worker is struck at one step of its work, another goes on, and then the promises are checked.

The steps are found, not listed: one run without a blow (:func:`rehearse`) leaves the trace of all that a worker says to
the outside in a first rotation, one on demand, a retirement with proof, an audit and the archiving of history. Each
request of that trace is a row of the matrix (:func:`rows`). The workers are real processes.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from worker.sandbox import actions
from worker.sandbox.actions import Gate
from worker.sandbox.checker import Finding, check, orphans, unrest
from worker.sandbox.evidence import Json
from worker.sandbox.ledger import calls
from worker.sandbox.nursery import WorkerProcess
from worker.sandbox.script import Action, Moment, Rule, Seen, Step
from worker.sandbox.stand import Bench, Stand

PATIENCE = 60.0
"""Seconds until a trial is given up; one takes five to ten."""

RESEND_SECONDS = 3.0
WISH = "wish-of-the-trial"
SEEDED = 52
"""History entries that are put into the record, so that it has to be archived."""

_LOOK = 0.1
_CONNECTING = frozenset({"HELLO", "AUTH", "CLIENT", "SELECT", "PING"})
_ONCE_IN_A_SERVERS_LIFE = "SCRIPT"
_RECORD = "/v1/secret/data/{trial}/state/{target}"


class Stuck(Exception):
    """A trial did not get on; the text says what it waited for."""


@dataclass(frozen=True, slots=True)
class Row:
    """A step and the moment at which a worker is struck; ``may_lose``: an answer that changed something may die."""

    step: Step
    moment: Moment
    may_lose: bool

    def __str__(self) -> str:
        """Its name in the matrix."""
        step = self.step
        return f"{self.moment.value} {step.service} {step.method} {step.path} #{step.nth}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a trial ended: what is wrong, if anything, and how many keys were left over, which an unknown mint names."""

    row: Row
    findings: tuple[Finding, ...]
    left_over: int
    seconds: float


def rehearse(bench: Bench, name: str) -> tuple[Seen, ...]:
    """The trace of a worker that nobody strikes. Raises Stuck when it does not get through, or breaks a promise."""
    with bench.stand(name) as stand:
        worker = stand.worker(bench.nursery)
        try:
            _lead(stand, lambda: False)
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
        Row(_named(seen), moment, _may_lose(trace, index, moment))
        for index, seen in enumerate(trace)
        if seen.service != "redis" or (seen.nth == 1 and seen.method != _ONCE_IN_A_SERVERS_LIFE)
        for moment in moments
        if moment is Moment.AFTER or seen.service != "redis" or seen.path.startswith("rotator:")
    )


def commands(trace: tuple[Seen, ...]) -> tuple[Step, ...]:
    """The first of each kind of command that was sent to Redis, apart from those that only connect."""
    steps = (row.step for row in rows(trace, (Moment.AFTER,)) if row.step.service == "redis")
    return tuple(step for step in steps if step.method not in _CONNECTING)


def _named(seen: Seen) -> Step:
    """A command that only connects is met by its name; what stands after it is no key."""
    step = seen.step
    return replace(step, path="*") if step.service == "redis" and step.method in _CONNECTING else step


def _may_lose(trace: tuple[Seen, ...], index: int, moment: Moment) -> bool:
    """Whether an answer of HostUp's is in nobody's hands but the worker's: from its effect to its record."""
    if trace[index].service == "redis":
        return True  # other threads of the worker speak to Redis, so what happens just then is not certain
    before = trace[: index + (moment is not Moment.BEFORE)]
    for seen in reversed(before):
        if (seen.service, seen.method, seen.path) == ("vault", "POST", _RECORD):
            return False
        if seen.service == "hostup" and seen.method in ("POST", "DELETE"):
            return True
    return False


def kill(bench: Bench, name: str, row: Row) -> Verdict:
    """Kill -9 the worker there; another one goes on."""
    began = time.monotonic()
    with bench.stand(name) as stand:
        worker = stand.worker(bench.nursery)
        struck = threading.Event()
        blow = actions.first(actions.call(struck.set), actions.kill(lambda: worker.pid))
        try:
            stand.script.add(Rule.at(row.step, row.moment, blow))
            _lead(stand, lambda: not worker.alive)
            findings = [] if struck.is_set() else [_not_met(row)]
            findings += _follow(stand, bench)
        except Stuck as stuck:
            findings = [Finding(0, str(row), str(stuck))]
        finally:
            worker.kill()
        return _judge(stand, row, findings, began)


def freeze(bench: Bench, name: str, row: Row) -> Verdict:
    """SIGSTOP the worker there; another one takes over and finishes; then it goes on where it was (SIGCONT).

    BEFORE: its request is carried out only then, long after its time. AFTER: the answer waits in its socket. Either
    way nothing may be lost: the worker lives, and what it is told must end up on record.
    """
    began = time.monotonic()
    with bench.stand(name) as stand:
        worker = stand.worker(bench.nursery)
        struck, gate = threading.Event(), Gate()
        try:
            stand.script.add(Rule.at(row.step, row.moment, _freezing(worker, row.moment, struck, gate)))
            _lead(stand, struck.is_set)
            findings = [] if struck.is_set() else [_not_met(row)]
            findings += _follow(stand, bench, lambda: _thaw(stand, worker, gate, row))
        except Stuck as stuck:
            findings = [Finding(0, str(row), str(stuck))]
        finally:
            gate.opened.set()
            worker.kill()
        return _judge(stand, replace(row, may_lose=False), findings, began)


def report(verdicts: Iterable[Verdict]) -> str:
    """What went wrong, a line for each finding under the row it belongs to; empty when all is well."""
    return "\n".join(f"{verdict.row}\n    {finding}" for verdict in verdicts for finding in verdict.findings)


def _freezing(worker: WorkerProcess, moment: Moment, struck: threading.Event, gate: Gate) -> Action:
    stop = [actions.freeze(lambda: worker.pid), actions.call(struck.set)]
    return actions.first(*stop, actions.hold(gate)) if moment is Moment.BEFORE else actions.first(*stop)


def _thaw(stand: Stand, worker: WorkerProcess, gate: Gate, row: Row) -> None:
    """Let the request through, wake the worker when its answer is there, and have it finish what it is at."""
    gate.opened.set()
    if row.step.service != "redis":
        _wait(lambda: _answered(stand, row.step), "the held request is answered", _never)
    worker.signal(signal.SIGCONT)
    worker.signal(signal.SIGTERM)
    if not worker.ended(PATIENCE):
        raise Stuck("the woken worker did not end")


def _answered(stand: Stand, step: Step) -> bool:
    return any(seen.step == step and seen.status is not None for seen in stand.script.trace())


def _not_met(row: Row) -> Finding:
    return Finding(0, str(row), "was never met")


def _lead(stand: Stand, over: Callable[[], bool]) -> None:
    """What the first worker is given to do, one thing after the other, until it is over with it."""
    stand.send("rotator.tick")
    if not _wait(lambda: unrest(_record(stand)) == "", "the first rotation", over):
        return
    seed_history(stand)
    stand.send("rotator.rotate", stand.watched.name, "the trial", task_id=WISH)
    if not _wait(lambda: _is_served(_record(stand)), "the rotation on demand", over):
        return
    if not _wait(lambda: _is_due(_record(stand)), "the end of the grace period", over):
        return
    stand.send("rotator.tick")
    if not _wait(lambda: unrest(_record(stand)) == "", "the retirement", over):
        return
    stand.send("rotator.audit")
    _wait(lambda: _audits(stand) != [], "the audit", over)


def _follow(stand: Stand, bench: Bench, then: Callable[[], None] = lambda: None) -> Iterator[Finding]:
    """Another worker, with beat, brings the target to rest and audits it; the request comes again, as messages may."""
    stand.script.clear()
    worker = stand.worker(bench.nursery, concurrency=2, beat=True)
    try:
        _rest(stand)
        then()
        _rest(stand)
        yield from _drift(stand)
    finally:
        worker.kill()


def _rest(stand: Stand) -> None:
    """Wait for rest. The request is sent again and again: a message may lie in the hands of a worker that is frozen."""
    sent = float("-inf")

    def rests() -> bool:
        nonlocal sent
        record = _record(stand)
        if not _is_served(record) and time.monotonic() - sent > RESEND_SECONDS:
            stand.send("rotator.rotate", stand.watched.name, "the trial", task_id=WISH)
            sent = time.monotonic()
        return _is_served(record) and unrest(record) == ""

    _wait(rests, "the target's rest", _never, stand)


def _drift(stand: Stand) -> Iterator[Finding]:
    """Promise 3: what an answer that never arrived left behind is seen as drift."""
    before = len(_audits(stand))
    _wait(lambda: len(_audits(stand)) > before, "another audit", _never)
    left, told = len(orphans(stand.evidence())), _audits(stand)[-1].get("drift")
    if told != left:
        yield Finding(3, stand.watched.name, f"{left} keys are left over, and the audit tells of {told}")


def _judge(stand: Stand, row: Row, found: list[Finding], began: float) -> Verdict:
    evidence = stand.evidence()
    if row.may_lose:
        died = [call.request_id for call in calls(_of_calls(evidence.entries)) if call.operation == "delete"]
        evidence = replace(evidence, excused=frozenset(str(request_id) for request_id in died))
    left = orphans(evidence)
    if left and not row.may_lose:
        found = [*found, Finding(3, ", ".join(left), "was lost, although its answer was on record or never came")]
    return Verdict(row, (*found, *check(evidence)), len(left), time.monotonic() - began)


def _of_calls(entries: tuple[Json, ...]) -> Iterator[Json]:
    return (entry for entry in entries if entry.get("call") is not None)


def _record(stand: Stand) -> Json | None:
    return stand.mount.record(stand.watched.name)


def _is_served(record: Json | None) -> bool:
    served = [wish for wish, _ in (record or {}).get("served", [])]
    return WISH in served and (record or {}).get("rotation") is None


def _is_due(record: Json | None) -> bool:
    return all(datetime.fromisoformat(k["retire_after"]) < datetime.now(UTC) for k in (record or {})["retiring"])


def _audits(stand: Stand) -> list[Json]:
    text = stand.log.read_text("utf-8") if stand.log.exists() else ""
    lines = (json.loads(line) for line in text.splitlines() if '"audit.done"' in line and line.endswith("}"))
    return [line for line in lines if line["event"] == "audit.done"]


def seed_history(stand: Stand) -> None:
    """Give the record a past, so that it has to be archived."""
    vault, path = stand.mount.vault, f"{stand.mount.mount}/data/{stand.mount.state_path}/{stand.watched.name}"
    answer = vault.call("GET", path)["data"]
    record, version = answer["data"], answer["metadata"]["version"]
    first = record["next_entry"]
    at = datetime.now(UTC).isoformat()
    record["history"] += [json.dumps({"n": n, "at": at, "event": "seeded"}) for n in range(first, first + SEEDED)]
    record["next_entry"] = first + SEEDED
    vault.call("POST", path, {"data": record, "options": {"cas": version}})


def _never() -> bool:
    return False


def _wait(holds: Callable[[], bool], what: str, over: Callable[[], bool], stand: Stand | None = None) -> bool:
    """Wait until it holds; False when it is over first. Raises Stuck after a minute."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if over():
            return False
        if time.monotonic() > deadline:
            seen = f" (the target: {unrest(_record(stand))})" if stand else ""
            raise Stuck(f"{what} did not come within {PATIENCE:.0f} s{seen}")
        time.sleep(_LOOK)
    return True
