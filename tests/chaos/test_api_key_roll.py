"""The roll of the API key is killed at each of its steps, its answer is lost, and rotations go on: no API key is lost.

Real workers, a real Vault and a real Valkey; the only key that may be lost is one whose answer never arrived, and that
is told.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import pytest

from worker.sandbox.simulator.faults import Fault, fault
from worker.selftest import actions
from worker.selftest.checker import check, unrest
from worker.selftest.evidence import Json
from worker.selftest.life import never, wait
from worker.selftest.nursery import WorkerProcess
from worker.selftest.script import Moment, Rule, Step
from worker.selftest.stand import Bench, Pace, Stand

LANES = 6
PACE = Pace(grace="2s", key_in_vault=True)
RECORD = "_api_key"
WITH_BOOTSTRAP = replace(PACE, hostup='api_key_scopes = ["sandbox:keys"]', bootstrap=True)


def roll(stand: Stand, *more: str) -> subprocess.Popen[bytes]:
    """The command, as a process of its own."""
    with (stand.folder / "command.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "worker.cli", "roll-api-key", "--json", *(more or ("--yes",))],
            env={**stand.environment, "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def record(stand: Stand) -> Json:
    return stand.mount.record(RECORD) or {}


def events(stand: Stand) -> list[str]:
    return [json.loads(entry)["event"] for entry in record(stand).get("history", [])]


def in_vault(stand: Stand) -> Json:
    return stand.mount.data(stand.key_path) or {}


def works(stand: Stand) -> bool:
    """Whether HostUp takes the key that is in Vault."""
    held = in_vault(stand)
    return any(key.works and key.api_key == held["api_key"] for key in stand.simulator.admin.api_keys())


def rests(stand: Stand) -> bool:
    return record(stand).get("phase", "idle") == "idle" and works(stand)


def at_rest(stand: Stand) -> bool:
    return unrest(stand.mount.record(stand.watched.name)) == ""


@contextmanager
def working(bench: Bench, name: str, pace: Pace = PACE) -> Iterator[Stand]:
    """A target with a key, and a worker with beat."""
    with bench.stand(name, pace) as stand:
        worker = stand.worker(bench.nursery, concurrency=2, beat=True)
        try:
            wait(lambda: at_rest(stand), "the first rotation", never)
            yield stand
        finally:
            worker.kill()


def rotates(stand: Stand, request: str) -> None:
    """A rotation that is asked for succeeds."""
    stand.send("rotator.rotate", stand.watched.name, "after it", task_id=request)
    served = lambda: request in dict((stand.mount.record(stand.watched.name) or {})["served"])  # noqa: E731
    wait(served, "a rotation after the roll", never)


def test_a_roll_on_demand_takes_the_key_over(bench: Bench) -> None:
    with working(bench, "roll-plain") as stand:
        before = in_vault(stand)
        assert roll(stand).wait(60) == 0
        after = in_vault(stand)
        assert after["api_key"] != before["api_key"]
        assert after["key_id"] != before["key_id"]
        assert after["note"] == before["note"]  # other fields of the secret stay
        assert rests(stand)
        assert events(stand) == ["api_key.rolling", "api_key.received", "api_key.rolled"]
        last = json.loads(record(stand)["history"][-1])
        (call,) = stand.simulator.admin.calls("roll_api_key")
        assert last["request_id"] == call.request_id
        assert (last["old_key_id"], last["new_key_id"]) == (before["key_id"], after["key_id"])
        assert last["by"]
        rotates(stand, "after-the-roll")
        assert "circuit.opened" not in stand.log.read_text("utf-8")
        assert check(stand.evidence()) == ()


def told(stand: Stand, *command: str) -> subprocess.CompletedProcess[bytes]:
    """What a command says."""
    return subprocess.run(
        [sys.executable, "-m", "worker.cli", *command],
        env={**stand.environment, "PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
    )


def checked(stand: Stand) -> dict[str, Json]:
    """What `rotator check` says of the API key."""
    found = json.loads(told(stand, "check", "--json", "--no-keys").stdout)
    return {each["check"]: each for each in found if each["check"].startswith("API key")}


def test_a_check_tells_of_the_key_and_what_it_did_not_try(bench: Bench) -> None:
    with bench.stand("roll-check", replace(PACE, hostup='api_key_every = "90d"')) as stand:
        first = checked(stand)
        assert first["API key"]["state"] == "ok"
        assert f"{in_vault(stand)['key_id']} at secret/{stand.key_path}; rolled next" in first["API key"]["detail"]
        assert "not known before its first roll" in first["API key rights"]["detail"]
        assert "does not try" in first["API key rights"]["detail"]
        assert roll(stand).wait(60) == 0
        assert "sandbox:keys" in checked(stand)["API key rights"]["detail"]
        assert len(stand.simulator.admin.calls("roll_api_key")) == 1  # none by the checks


def test_a_key_from_the_environment_is_not_rolled(bench: Bench) -> None:
    with bench.stand("roll-environment", replace(PACE, key_in_vault=False)) as stand:
        refused = told(stand, "roll-api-key", "--yes")
        assert refused.returncode == 2
        assert b"from a file or the environment" in refused.stderr
        assert b"api_key_path" in refused.stderr
        assert stand.simulator.admin.calls() == ()


def test_without_yes_nobody_is_asked_here(bench: Bench) -> None:
    with bench.stand("roll-unasked", PACE) as stand:
        asked = subprocess.run(
            [sys.executable, "-m", "worker.cli", "roll-api-key"],
            env={**stand.environment, "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        assert asked.returncode == 2
        assert in_vault(stand)["key_id"].encode() in asked.stderr
        assert stand.simulator.admin.calls("roll_api_key") == ()


def test_an_account_that_is_not_there_is_said_to_be_so(bench: Bench) -> None:
    with bench.stand("roll-account", PACE) as stand:
        assert told(stand, "roll-api-key", "media", "--yes").returncode == 2


def test_rotations_of_two_workers_go_on_through_rolls(bench: Bench) -> None:
    """No rotation fails, and no API key is lost, however often it is rolled meanwhile."""
    with working(bench, "roll-meanwhile", replace(PACE, grace="1s")) as stand:
        other = stand.worker(bench.nursery, concurrency=2, beat=True)
        try:
            for number in range(6):
                stand.send("rotator.rotate", stand.watched.name, "meanwhile", task_id=f"meanwhile-{number}")
                assert roll(stand).wait(60) == 0
                served = f"meanwhile-{number}"
                wait(lambda: served in dict(target(stand)["served"]), served, never)  # noqa: B023 - waited for here
            wait(lambda: at_rest(stand), "rest", never)
        finally:
            other.kill()
        log = stand.log.read_text("utf-8")
        assert "rotation.failed" not in log
        assert "circuit.opened" not in log
        assert len(stand.simulator.admin.calls("roll_api_key")) == 6
        assert works(stand)
        assert check(stand.evidence()) == ()


def target(stand: Stand) -> Json:
    return stand.mount.record(stand.watched.name) or {}


def test_a_lost_answer_waits_for_a_person_and_is_settled(bench: Bench) -> None:
    with working(bench, "roll-lost") as stand:
        stand.simulator.admin.order(fault("cut-after", "roll_api_key"))
        assert roll(stand).wait(60) == 75
        wait(lambda: record(stand)["phase"] == "lost", "a worker finds out that it was lost", never)
        assert "api_key.lost" in events(stand)
        assert '"level": "error"' in next(line for line in stand.log.read_text().splitlines() if "api_key.lost" in line)
        assert_waiting(stand)
        assert len(stand.simulator.admin.calls("roll_api_key")) == 1  # and it is never repeated
        # a key that does not work settles nothing
        assert roll(stand, "--settle").wait(60) == 1
        stand.put_api_key(stand.simulator.admin.add_api_key("by hand", "sandbox:object-storage"))
        assert roll(stand, "--settle").wait(60) == 0
        assert rests(stand)
        rotates(stand, "after-the-loss")


def assert_waiting(stand: Stand) -> None:
    """The inbox names it, with the command that settles it; so do the status and the check."""
    assert b"roll-api-key --settle" in told(stand, "status").stderr
    assert b"roll-api-key --settle" in told(stand, "status", stand.watched.name).stderr
    assert checked(stand)["API key"]["state"] == "failed"
    waiting = json.loads(told(stand, "inbox", "--json").stdout)["waiting"]
    assert [each["command"] for each in waiting if each["kind"] == "api key"] == ["rotator roll-api-key --settle"]


def test_a_worker_takes_up_a_key_that_a_person_puts_there(bench: Bench) -> None:
    with working(bench, "roll-lost-healed") as stand:
        stand.simulator.admin.order(fault("cut-after", "roll_api_key"))
        assert roll(stand).wait(60) == 75
        wait(lambda: record(stand)["phase"] == "lost", "a worker finds out that it was lost", never)
        stand.put_api_key(stand.simulator.admin.add_api_key("by hand", "sandbox:object-storage"))
        wait(lambda: rests(stand), "the key by hand is proven", never)
        rotates(stand, "after-the-loss")


def test_a_lost_answer_is_made_good_by_the_bootstrap_key(bench: Bench) -> None:
    with working(bench, "roll-bootstrap", WITH_BOOTSTRAP) as stand:
        stand.simulator.admin.order(fault("cut-after", "roll_api_key"))
        roll(stand).wait(60)
        wait(lambda: rests(stand) and "api_key.rolled" in events(stand), "another key is made", never)
        (made,) = stand.simulator.admin.calls("create_api_key")
        assert made.effect
        assert in_vault(stand)["key_id"] == record(stand)["key_id"]
        rotates(stand, "after-the-loss")


def test_the_bootstrap_key_is_asked_once(bench: Bench) -> None:
    with working(bench, "roll-bootstrap-lost", WITH_BOOTSTRAP) as stand:
        stand.simulator.admin.order(fault("cut-after", "roll_api_key"))
        stand.simulator.admin.order(fault("cut-after", "create_api_key"))
        roll(stand).wait(60)
        wait(lambda: events(stand).count("api_key.lost") == 2, "both are lost", never)
        looks = record(stand)["call"]["looks"]
        wait(lambda: record(stand)["call"]["looks"] > looks + 1, "it is looked at again", never)
        assert len(stand.simulator.admin.calls("create_api_key")) == 1
        assert record(stand)["phase"] == "lost"


NOTHING_LOST = {
    "cut-before": fault("cut-before", "roll_api_key"),
    "500 before": fault("500-before", "roll_api_key"),
    "a web page before": fault("503", "roll_api_key"),
    "garbled by a notice": fault("notice-before", "roll_api_key"),
    "not quite HTTP": fault("bad-header", "roll_api_key"),
    "an error status": replace(fault("cut-after", "roll_api_key"), cut=False, wrong=(("success", False),)),
    "without its id": fault("without-key-id", "roll_api_key"),
    "refused": fault("400", "roll_api_key"),
    "too many": fault("429", "roll_api_key"),
}


@pytest.mark.parametrize("ordered", NOTHING_LOST.values(), ids=NOTHING_LOST)
def test_nothing_is_lost_by_what_else_can_happen_to_the_answer(bench: Bench, ordered: Fault) -> None:
    name = f"roll-{list(NOTHING_LOST.values()).index(ordered)}"
    with working(bench, name) as stand:
        before = in_vault(stand)
        stand.simulator.admin.order(ordered)
        roll(stand).wait(60)
        wait(lambda: rests(stand), "rest", never)
        keys = stand.simulator.admin.api_keys()
        assert sum(key.works for key in keys) == 1
        assert (in_vault(stand) == before) == (len(keys) == 1)
        rotates(stand, "after-it")
        assert "api_key.lost" not in events(stand)


def test_a_roll_on_schedule(bench: Bench) -> None:
    with working(bench, "roll-schedule", replace(PACE, hostup='api_key_every = "4s"')) as stand:
        wait(lambda: events(stand).count("api_key.rolled") >= 2, "two rolls by themselves", never)
        rotates(stand, "after-it")
        assert json.loads(record(stand)["history"][0])["trigger"] == "schedule"


Prepared = Callable[[Bench, str], AbstractContextManager[Stand]]
"""A stand on which the command is about to be run."""

Struck = tuple[Step, Moment]


def struck_steps(bench: Bench, name: str, prepared: Prepared, *command: str) -> list[Struck]:
    """The requests of the command in a run that nobody strikes, counted from its beginning, each before and after.

    To be killed before one that changes nothing is to be killed after the one before.
    """
    with prepared(bench, name) as stand:
        before = len(stand.script.trace())
        assert roll(stand, *command).wait(60) == 0
        counted: Counter[tuple[str, str, str]] = Counter()
        struck = []
        for seen in stand.script.trace()[before:]:
            kind = (seen.service, seen.method, seen.path)
            counted[kind] += 1
            if seen.service != "redis":
                moments = (Moment.AFTER,) if seen.method in ("GET", "HEAD") else (Moment.BEFORE, Moment.AFTER)
                struck += [(Step(*kind, counted[kind]), moment) for moment in moments]
        return struck


@contextmanager
def plain(bench: Bench, name: str) -> Iterator[Stand]:
    """The key is about to be rolled."""
    with idle(bench, name, PACE) as (stand, _):
        yield stand


@contextmanager
def garbled(bench: Bench, name: str) -> Iterator[Stand]:
    """The key is about to be rolled, and the answer will be in no documented form: it is kept beside, and tried out."""
    with plain(bench, name) as stand:
        stand.simulator.admin.order(fault("notice-before", "roll_api_key"))
        yield stand


@contextmanager
def told_lost(bench: Bench, name: str) -> Iterator[Stand]:
    """The key was lost and that was told; a person has put another one into Vault, and no worker has seen it yet."""
    with idle(bench, name, PACE) as (stand, _):
        stand.simulator.admin.order(fault("cut-after", "roll_api_key"))
        assert roll(stand).wait(60) == 75
        worker = stand.worker(bench.nursery, beat=True)
        try:
            wait(lambda: record(stand)["phase"] == "lost", "a worker finds out that it was lost", never)
        finally:
            worker.kill()
        stand.put_api_key(stand.simulator.admin.add_api_key("by hand", "sandbox:keys", "sandbox:object-storage"))
        yield stand


@contextmanager
def idle(bench: Bench, name: str, pace: Pace) -> Iterator[tuple[Stand, WorkerProcess]]:
    """A target with a key, and the worker that made it gone."""
    with bench.stand(name, pace) as stand:
        worker = stand.worker(bench.nursery)
        try:
            stand.send("rotator.tick")
            wait(lambda: at_rest(stand), "the first rotation", never)
        finally:
            worker.kill()
        yield stand, worker


OF_THE_KEY = ("/api/keys", "/_api_key", "/hostup", "/_api_key_rescued")


def recovery(bench: Bench, name: str) -> list[Step]:
    """What a worker writes, and asks of HostUp, from the lost answer until the bootstrap key has made another one."""
    with lost(bench, name) as stand:
        before = len(stand.script.trace())
        worker = stand.worker(bench.nursery, beat=True)
        try:
            wait(lambda: rests(stand), "another key is made", never)
        finally:
            worker.kill()
        counted: Counter[tuple[str, str, str]] = Counter()
        steps = []
        for seen in stand.script.trace()[before:]:
            kind = (seen.service, seen.method, seen.path)
            counted[kind] += 1
            if seen.method == "POST" and seen.path.endswith(OF_THE_KEY):
                steps.append(Step(*kind, counted[kind]))
        return steps


@contextmanager
def lost(bench: Bench, name: str) -> Iterator[Stand]:
    """The answer to a roll was lost, and no worker has looked at it yet."""
    with idle(bench, name, WITH_BOOTSTRAP) as (stand, _):
        stand.simulator.admin.order(fault("cut-after", "roll_api_key"))
        assert roll(stand).wait(60) == 75
        yield stand


def test_a_kill_at_any_step_of_the_bootstrap_makes_one_more_key_at_most(bench: Bench) -> None:
    struck = [(step, moment) for step in recovery(bench, "boot-clean") for moment in (Moment.BEFORE, Moment.AFTER)]
    assert any(step.path == "/api/keys" for step, _ in struck)
    with ThreadPoolExecutor(LANES) as lanes:
        found = list(lanes.map(lambda each: kill_recovery(bench, each[0], *each[1]), enumerate(struck)))
    assert "\n".join(line for lines in found for line in lines) == ""


def kill_recovery(bench: Bench, number: int, step: Step, moment: Moment) -> list[str]:
    """What is wrong after the worker was killed there, and another one has gone on."""
    with lost(bench, f"boot-kill-{number}") as stand:
        worker = stand.worker(bench.nursery, beat=True)
        stand.script.add(Rule.at(step, moment, actions.kill(lambda: worker.pid)))
        wait(lambda: not worker.alive, f"{step} is met", never)
        stand.script.clear()
        other = stand.worker(bench.nursery, concurrency=2, beat=True)
        try:
            wait(lambda: rests(stand) or is_lost_for_good(stand), "rest", never)
            return [f"{moment} {step}: {each}" for each in judge_recovery(stand)]
        finally:
            other.kill()


def is_lost_for_good(stand: Stand) -> bool:
    return record(stand).get("phase") == "lost" and bool(record(stand).get("tried_create"))


def judge_recovery(stand: Stand) -> Iterator[str]:
    """The second key may be lost with its answer only, is never asked for twice, and its loss is told."""
    created = stand.simulator.admin.calls("create_api_key")
    if len(created) > 1:
        yield f"HostUp was asked {len(created)} times"
    if works(stand):
        rotates(stand, "after-the-kill")
    elif events(stand).count("api_key.lost") != 2:
        yield f"the key was lost, and that was told {events(stand).count('api_key.lost')} times"
    yield from (str(broken) for broken in check(stand.evidence()))


WAYS: dict[str, tuple[Prepared, tuple[str, ...], str]] = {
    "plain": (plain, (), "/roll"),
    "garbled": (garbled, (), "/_api_key_rescued"),
    "settle": (told_lost, ("--settle",), "/_api_key"),
}
"""What is killed: how it begins, the command, and the end of a path that it comes to."""


@pytest.mark.parametrize("way", WAYS)
def test_a_kill_at_any_step_of_it_loses_no_key_but_one_whose_answer_died_with_it(bench: Bench, way: str) -> None:
    prepared, command, path = WAYS[way]
    struck = struck_steps(bench, f"{way}-clean", prepared, *command)
    assert any(step.path.endswith(path) and step.method != "GET" for step, _ in struck)
    with ThreadPoolExecutor(LANES) as lanes:
        found = list(lanes.map(lambda each: kill(bench, way, each[0], *each[1]), enumerate(struck)))
    assert "\n".join(line for lines in found for line in lines) == ""


def kill(bench: Bench, way: str, number: int, step: Step, moment: Moment) -> list[str]:
    """What is wrong after the command was killed there, and a worker has gone on."""
    prepared, command, _ = WAYS[way]
    with prepared(bench, f"{way}-kill-{number}") as stand:
        doing: list[subprocess.Popen[bytes]] = []
        stand.script.add(Rule.at(step, moment, actions.kill(lambda: doing[0].pid)))
        doing.append(roll(stand, *command))
        wait(lambda: doing[0].poll() is not None, f"{step} is met", never)
        stand.script.clear()
        worker = stand.worker(bench.nursery, concurrency=2, beat=True)
        try:
            is_settled = way == "settle"
            wait(lambda: rests(stand) or (not is_settled and record(stand).get("phase") == "lost"), "rest", never)
            return [f"{moment} {step}: {each}" for each in (judge_settled if is_settled else judge)(stand)]
        finally:
            worker.kill()


def judge_settled(stand: Stand) -> Iterator[str]:
    """The key that the person put there stays, works, and is the only one in use."""
    if in_vault(stand)["key_id"] != record(stand)["key_id"]:
        yield "another key is on record than the one in Vault"
    if (told := events(stand).count("api_key.lost")) != 1:
        yield f"the loss was told {told} times"
    rotates(stand, "after-the-kill")
    yield from (str(broken) for broken in check(stand.evidence()))


def judge(stand: Stand) -> Iterator[str]:
    """A key may be lost with its answer only, and then it is told."""
    rolled = stand.simulator.admin.calls("roll_api_key")
    if len(rolled) > 1:
        yield f"HostUp was asked {len(rolled)} times"
    lost = not works(stand)
    if lost and "api_key.lost" not in events(stand):
        yield "the key was lost, and nobody was told"
    if lost and any("api_key.received" in event for event in events(stand)):
        yield "the key was lost, although its answer had been put on record"
    if not lost and record(stand).get("phase") == "lost":
        yield "the key works, and is said to be lost"
    died_with_it = bool(rolled) and not in_vault(stand).get("call")
    if lost and not died_with_it:
        yield "the key was lost, although it was written to Vault"
    if lost and stand.mount.record("_api_key_rescued"):
        yield "the key was lost, although it was kept beside its record"
    if not lost:
        rotates(stand, "after-the-kill")
    yield from (str(broken) for broken in check(stand.evidence()))
