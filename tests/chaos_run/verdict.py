"""What a chaos run has shown: a table, and whether all is well. Judged by the checker, from evidence alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from tests.chaos_run.accounts import ACCOUNTS, made_at, made_meanwhile, pace_meanwhile
from tests.chaos_run.api_key import Rolls
from tests.chaos_run.apps import Tally
from tests.chaos_run.harm import Harm
from tests.chaos_run.listening import METRICS, NOTICES, TRACES
from tests.chaos_run.mending import Mended
from worker.sandbox.simulator.ledger import Call
from worker.selftest.checker import BrokenPromise, Case, check, orphans
from worker.selftest.evidence import Evidence

BY_PROMISE: Mapping[int, str] = {
    3: "lost keys",
    1: "live keys deleted",
    2: "keys of others deleted",
    4: "double creates",
    6: "grace cut short",
    5: "secrets out of place",
    8: "untraceable",
    9: "what apps read not mended",
    0: "records and logs not in order",
}
"""How the table calls what the checker finds, by the promise that was broken."""


@dataclass(frozen=True)
class Result:
    """All there is to tell of a run.

    ``died``: workers that ended by themselves; ``memory``: the most that one took, in MiB.
    ``restless`` names targets that did not come to rest, with what they wait for; ``drift`` is what the audit says of
    each account. ``outages`` are the accounts that were wholly down, from when to when.
    """

    evidence: Evidence
    struck: Mapping[str, int]
    apps: tuple[Tally, ...]
    harm: Harm
    mended: tuple[Mended, ...]
    settled: int
    restless: Mapping[str, str]
    rolls: Rolls
    outages: tuple[tuple[str, datetime, datetime], ...]
    drift: Mapping[str, int | None]
    seconds: float
    died: int
    memory: float
    findings: tuple[BrokenPromise, ...]

    @property
    def rotations(self) -> int:
        """How many keys were published."""
        return sum(len(kept.versions) for kept in self.evidence.kept)

    @property
    def longest_gap(self) -> float:
        """Seconds in which an app had no key that worked, although nobody but us could be the cause."""
        return max((gap for key, gap in self._gaps() if key not in self.theirs), default=0.0)

    @property
    def longest_harm(self) -> float:
        """Seconds in which an app had no key that worked because of a stranger."""
        return max((gap for key, gap in self._gaps() if key in self.theirs), default=0.0)

    @cached_property
    def theirs(self) -> frozenset[str]:
        """The keys with which apps may fail because of strangers."""
        return self.harm.apps_may_miss(Case(self.evidence))

    @cached_property
    def orphans_of(self) -> Mapping[str, int]:
        """How many orphans each account has."""
        home = made_at(self.evidence)
        found = Counter(home[key] for key in orphans(self.evidence))
        return {account: found[account] for account in ACCOUNTS}

    def _gaps(self) -> Iterator[tuple[str, float]]:
        return (gap for app in self.apps for gap in app.gaps.items())

    @property
    def good(self) -> bool:
        """Whether every promise was kept, every target is at rest, and no app was without a key."""
        told = self.drift == self.orphans_of and all(self.evidence.texts[name] for name in (NOTICES, TRACES, METRICS))
        well = not self.died and self.memory < MOST_MEMORY
        apart = self.pace_meanwhile >= LEAST_PACE
        return told and well and apart and not self.findings and not self.restless and not self.longest_gap

    @property
    def pace_meanwhile(self) -> float:
        """See :func:`.accounts.pace_meanwhile`."""
        return pace_meanwhile(self.evidence.entries, self.outages)


LEAST_PACE = 0.5
"""Of keys while the other account is down. It is no less for it; but there are few outages, and much else happens."""

MOST_MEMORY = 200.0
"""MiB of a worker, whatever is sent to it."""

LINE_BEGINS = '{"timestamp"'
FORESEEN = ("Couldn't ack ", "Message Error: Couldn't apply scheduled task ")
"""What Celery says, with a traceback, when Redis goes away at a bad moment: of a message that it had taken, and of a
tick. Messages are hints, and the next tick is sent a second later."""


def judge(evidence: Evidence, kills: Iterable[float], harm: Harm) -> tuple[BrokenPromise, ...]:
    """What the checker says, without what strangers did; ``kills`` are the moments (seconds since the epoch) at which
    workers were killed.
    """
    log, torn = _whole_lines(evidence.texts["log"])
    excused = frozenset({*_died_with_worker(evidence, tuple(kills)), *_told_by_the_log_alone(log)})
    evidence = replace(evidence, texts={**evidence.texts, "log": log, "torn lines": torn}, excused=excused)
    return harm.without(check(evidence), Case(evidence))


def _whole_lines(log: str) -> tuple[str, str]:
    """The log without what is foreseen, and what a worker that was killed in the middle of a line had written of it."""
    whole, torn = [], []
    for line in log.splitlines():
        begins = line.rfind(LINE_BEGINS)
        torn.append(line[:begins] if begins > 0 else "")
        if not any(known in line for known in FORESEEN):
            whole.append(line[max(begins, 0) :])
    return "\n".join(whole), "".join(torn)


def _died_with_worker(evidence: Evidence, kills: tuple[float, ...]) -> Iterator[str]:
    """RequestIds of deletes whose answer may have been in the hands of a worker when it was killed.

    The next worker deletes again, and that one's requestId is what the history tells.
    """
    deletes = [call for call in Case(evidence).calls if call.operation == "delete"]
    by_key: dict[str | None, list[Call]] = {}
    for call in deletes:
        by_key.setdefault(call.access_key, []).append(call)
    for calls in by_key.values():
        last = calls[-1].at.timestamp()
        for call in calls[:-1]:
            killed = any(call.at.timestamp() <= kill <= last for kill in kills)
            if call.effect and call.request_id and killed:
                yield call.request_id


def _told_by_the_log_alone(log: str) -> Iterator[str]:
    """RequestIds of deletes that could not be put on record, because Vault was away for longer than a lease."""
    for line in log.splitlines():
        if '"key.retired"' in line and "error" in (entry := json.loads(line)):
            yield str(entry.get("request_id"))


def lines(result: Result) -> Iterator[str]:
    """The table, then what went wrong."""
    yield from _rows(_counted(result))
    yield ""
    for finding in result.findings[:40]:
        yield str(finding)
    for name, why in result.restless.items():
        yield f"not at rest: {name}: {why}"
    for app in result.apps:
        yield from [note for key, note in app.notes if key not in result.theirs][:5]
    for each in result.mended:
        seconds = "never" if each.seconds is None else f"after {each.seconds:.1f} s"
        yield f"{each.target}: {each.what}: apps can work again {seconds}"


def _counted(result: Result) -> Iterator[tuple[str, str]]:
    found = Counter(finding.promise for finding in result.findings)
    calls = Case(result.evidence).calls
    yield "rotations", f"{result.rotations} in {result.seconds:.0f} s, {result.rotations / result.seconds:.1f}/s"
    yield from ((f"  {kind}", str(times)) for kind, times in sorted(result.struck.items()))
    faults = Counter(call.fault for call in calls if call.fault)
    for operation in ("create", "delete", "status"):
        of_it = {name: times for name, times in faults.items() if name.startswith(operation)}
        yield f"  faults of {operation}", f"{sum(of_it.values())} of {len(of_it)} kinds"
    yield "  unconfirmed creates settled by a person", str(result.settled)
    yield from _of_accounts(result)
    texts = result.evidence.texts
    yield "  notices told", str(texts[NOTICES].count("/hook "))
    yield "  bytes of traces and error reports", f"{len(texts[TRACES]):,}"
    yield "  lines of metrics", f"{len(texts[METRICS].splitlines()):,}"
    for promise, name in BY_PROMISE.items():
        yield name, str(found[promise])
    left = orphans(result.evidence)
    forgotten = result.harm.forgotten(Case(result.evidence))
    yield (
        "  calls of which a set-back Vault forgot",
        f"{sum(call.request_id in forgotten for call in calls)} of {len(calls)}",
    )
    yield "orphans unexplained", str(_unexplained(result, left))
    theirs = sum(key in forgotten for key in left)
    yield "orphans that a set-back Vault forgot", str(theirs)
    yield "orphans that an unconfirmed create tells of", str(len(left) - _unexplained(result, left) - theirs)
    for account, drift in result.drift.items():
        yield f"orphans that the audit counts as drift, account {account}", str(drift)
    yield "workers that ended by themselves", str(result.died)
    yield "most memory of a worker", f"{result.memory:.0f} MiB"
    yield "targets not at rest", str(len(result.restless))
    yield "calls of apps that worked", str(sum(app.worked for app in result.apps))
    yield "calls with a key gone stale, Vault being away", str(sum(app.stale for app in result.apps))
    yield "longest time without a working key, by a stranger's doing", f"{result.longest_harm:.3f} s"
    yield "longest time without a working key", f"{result.longest_gap:.3f} s"


def _of_accounts(result: Result) -> Iterator[tuple[str, str]]:
    rolls, meanwhile = result.rolls, [made_meanwhile(result.evidence.entries, *each) for each in result.outages]
    seconds = sum((until - since).total_seconds() for _, since, until in result.outages)
    home = Counter(made_at(result.evidence).values())
    yield from ((f"  keys made, account {account}", str(home[account])) for account in ACCOUNTS)
    pace = f"{result.pace_meanwhile:.0%} of the usual pace"
    yield "  keys made while the other account was down", f"{sum(meanwhile)} in {seconds:.0f} s, {pace}"
    yield "  rolls of the API key", f"{rolls.made}, asked for {rolls.asked} times by command"
    yield "  API keys lost with their answer", str(len(rolls.lost))
    yield "  API keys that a set-back Vault forgot", str(rolls.forgotten)


def _unexplained(result: Result, left: Iterable[str]) -> int:
    lost = {finding.subject for finding in result.findings if finding.promise == 3}
    return sum(key in lost for key in left)


def _rows(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    known = list(pairs)
    width = max(len(name) for name, _ in known)
    return (f"{name:<{width}}  {value}" for name, value in known)
