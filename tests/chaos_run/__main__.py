"""``python -m tests.chaos_run``: so many rotations by real workers, while everything around them fails at random.

Two accounts at a simulated HostUp each, with faults of every kind, and now and then one of them wholly down; the API
key of the first one lies in Vault and is rolled all the while; Vault paused, sealed, without rights; Redis restarted,
killed, flushed; workers killed, stopped, frozen until long after their lease; messages sent twice; strangers who delete
keys and secrets, write over them, and set Vault back; somebody who writes to Redis and means harm. Some targets have an
app that uses its key all the while, and a person settles what only a person can, by what HostUp's panel and Vault show.
Then there is calm, every target is asked for one more rotation, strangers strike once more in each way, and a checker
that knows nothing of the worker looks whether all promises were kept.

What is drawn from the seed is what strikes, when and whom; how processes take turns is not repeatable.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.chaos_run.accounts import judge_accounts
from tests.chaos_run.api_key import ApiKeyOwner, judge_rolls, unrest_of_api_key
from tests.chaos_run.apps import App
from tests.chaos_run.mending import strike_and_wait
from tests.chaos_run.person import Person, drift_by_audit
from tests.chaos_run.storm import Storm
from tests.chaos_run.texts import REST, Pace
from tests.chaos_run.verdict import Result, judge, lines
from tests.chaos_run.world import World, app_token, start_world
from worker.sandbox.vault_admin import VaultAdmin
from worker.selftest.checker import unrest

STALLED_SECONDS = 90.0
"""Without one rotation for so long, the storm is given up; the calm that follows tells what is stuck."""

REST_SECONDS = 180.0
SUCCEEDED = b'"rotation.succeeded"'


class Counter:
    """How many rotations the workers have told of in their log so far."""

    def __init__(self, log: Path) -> None:
        self._file = log.open("rb")
        self._rest = b""
        self.count = 0
        self.at = time.monotonic()

    def look(self) -> int:
        """Read on."""
        text = self._rest + self._file.read()
        whole, newline, self._rest = text.rpartition(b"\n")
        found = (whole + newline).count(SUCCEEDED)
        if found:
            self.count += found
            self.at = time.monotonic()
        return self.count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table, and return 0 if all is well."""
    options = _parser().parse_args(arguments)
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    _say(f"chaos: {options.rotations} rotations of {options.targets} targets, seed {seed}")
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with start_world(folder, options.targets, Pace()) as world:
            result = run(world, options.rotations, options.workers, random.Random(seed))
    for line in lines(result):
        _say(line)
    if not result.good:
        _say(f"FAILED. Again: python -m tests.chaos_run --rotations {options.rotations} --seed {seed} --keep FOLDER")
    return 0 if result.good else 1


def run(world: World, rotations: int, workers: int, dice: random.Random) -> Result:
    """The storm, the calm, and the verdict."""
    started = time.monotonic()
    storm = Storm(world, dice)
    owner = ApiKeyOwner(world)
    person = Person(world, storm.strangers.harm, owner)
    vault = VaultAdmin(world.vault.address, app_token(world))
    apps = [App(vault, target) for target in world.targets[::5]]
    for number in range(workers):
        world.start(f"worker-{number}")
    person.start()
    for app in apps:
        app.start()
    counter = Counter(world.log)
    storm.begin()
    storm.blow(until=_enough(counter, rotations))
    seconds = time.monotonic() - started
    storm.calm()
    restless = _come_to_rest(world)
    mended = strike_and_wait(world, storm.strangers)
    restless = {**restless, **_until_at_rest(world)}
    tallies = tuple(app.stop() for app in apps)
    person.stop()
    _stop_workers(world)
    drift, evidence = drift_by_audit(world), world.evidence()
    harm = storm.strangers.harm
    rolls = judge_rolls(evidence, storm.roller, owner.gone, storm.herd.kills, harm)
    findings = (
        *judge(evidence, storm.herd.kills, harm),
        *judge_accounts(evidence),
        *rolls.findings,
        *(found for each in mended for found in each.finding()),
    )
    return Result(
        evidence=evidence,
        struck=storm.struck,
        apps=tallies,
        harm=harm,
        mended=tuple(mended),
        settled=person.settled,
        restless=restless,
        rolls=rolls,
        outages=tuple(storm.hostup.outages),
        drift=drift,
        seconds=seconds,
        died=storm.herd.died,
        memory=storm.herd.memory,
        findings=findings,
    )


def _enough(counter: Counter, rotations: int) -> Callable[[], bool]:
    told = [time.monotonic()]

    def enough() -> bool:
        count = counter.look()
        if time.monotonic() - told[0] > 10:
            told[0] = time.monotonic()
            _say(f"  {count} rotations")
        return count >= rotations or time.monotonic() - counter.at > STALLED_SECONDS

    return enough


def _come_to_rest(world: World) -> Mapping[str, str]:
    """Let everything end: no more schedule, one more request for each target; tells which did not come to rest."""
    world.configure(REST)
    _stop_workers(world)
    world.start_all()
    world.ask_for([target.name for target in world.targets], "the last one")
    return _until_at_rest(world)


def _until_at_rest(world: World) -> Mapping[str, str]:
    deadline = time.monotonic() + REST_SECONDS
    while restless := _restless(world):
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return restless


def _restless(world: World) -> Mapping[str, str]:
    found = {target.name: unrest(world.mount.record(target.name)) for target in world.targets}
    found["the API key"] = unrest_of_api_key(world)
    return {name: why for name, why in found.items() if why}


def _stop_workers(world: World) -> None:
    for worker in (*world.workers.values(), *world.ended):
        worker.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos_run", description="Rotations in a storm of faults.")
    parser.add_argument("--rotations", type=int, default=2000)
    parser.add_argument("--seed", type=int, help="what strikes when; left out: any")
    parser.add_argument("--targets", type=int, default=40)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="keep logs and ledger in this folder")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
