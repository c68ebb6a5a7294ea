"""The API key of the first account, which lies in Vault: rolled by command, and put right by a person once it is lost.

Workers roll it by themselves as well (``api_key_every``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.chaos_run.accounts import ACCOUNTS
from tests.chaos_run.harm import Harm
from tests.chaos_run.texts import API_KEY_PATH
from tests.chaos_run.world import World, person_environment
from worker.rotation.api_key.record import Phase
from worker.rotation.api_key.tend import settle
from worker.sandbox.simulator.controls import KnownApiKey, SimulatorAdmin
from worker.sandbox.simulator.faults import CATALOGUE, FaultAnswer
from worker.sandbox.simulator.ledger import Call
from worker.sandbox.texts import MOUNT
from worker.selftest.checker import BrokenPromise, Case
from worker.selftest.evidence import Evidence, Json
from worker.service.assemble import Runtime

OPERATION = "roll_api_key"
RECORD = "_api_key"
WHO = "the person of the chaos run"

_WITH_THE_KEY = frozenset({FaultAnswer.HONEST, FaultAnswer.NOTICE, FaultAnswer.BAD_HEADER})

IN_HANDS = timedelta(seconds=10)
"""So long an answer may be in the hands of whoever asked, while Vault is away or he is frozen, and die with him."""


@dataclass(slots=True)
class Roller:
    """Runs ``rotator roll-api-key``; ``kills`` are the moments (seconds since the epoch) at which one was killed.

    ``took`` is how many seconds the last one took that was not killed.
    """

    world: World
    kills: list[float] = field(default_factory=list)
    asked: int = 0
    took: float = 2.0
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def ask(self) -> subprocess.Popen[bytes]:
        """Begin; it ends by itself."""
        environment = {**person_environment(self.world), "PATH": os.environ.get("PATH", "")}
        command = [sys.executable, "-m", "worker.cli", "roll-api-key", "--yes", "--json"]
        with (self.world.folder / "roll-api-key.log").open("ab") as output:
            running = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        self.asked += 1
        threading.Thread(target=self._measure, args=(running, time.monotonic()), daemon=True).start()
        self._running = [*(each for each in self._running if each.poll() is None), running]
        return running

    def _measure(self, running: subprocess.Popen[bytes], began: float) -> None:
        if running.wait() >= 0:
            self.took = time.monotonic() - began

    def kill(self, running: subprocess.Popen[bytes]) -> bool:
        """Kill -9; whether it was still at it."""
        if running.poll() is not None:
            return False
        self.kills.append(time.time())
        running.kill()
        running.wait()
        return True

    def end(self) -> None:
        """Wait for all of them."""
        for running in self._running:
            try:
                running.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill(running)


@dataclass(slots=True)
class ApiKeyOwner:
    """A person who puts a working key into Vault where the one there works no longer and nobody goes on by himself.

    ``gone`` are the ids of the living keys that he found in the panel then, and whose value nobody had any more.
    """

    world: World
    gone: list[str] = field(default_factory=list)
    settled: int = 0
    _seen_dead: str = ""
    _unsettled: bool = False

    def look(self, runtime: Runtime) -> None:
        """Look once. Raises RotatorError or OSError where Vault or HostUp is away."""
        desk, admin = runtime.desks[ACCOUNTS[0]], self._admin
        record = desk.store.load().record
        held, panel = desk.place.read(), admin.api_keys()
        if not any(key.works and key.api_key == held.api_key.reveal() for key in panel):
            forgotten = record.phase is Phase.IDLE and self._seen_dead == held.mark  # Vault was set back
            self._seen_dead = held.mark
            if not (record.needs_person or forgotten):
                return
            kept = {each.reveal() for each in desk.store.rescued().keys}
            self._replace(panel, kept, held.version)
            self._unsettled = True
        self._seen_dead = ""
        stray = record.phase is Phase.IDLE and bool(desk.store.rescued().keys)
        if self._unsettled or stray or record.phase is Phase.LOST:
            for key in panel:
                if key.works and key.api_key != held.api_key.reveal() and stray:
                    admin.end_api_key(key.key_id)
            settle(desk, WHO)
            self.settled += self._unsettled
            self._unsettled = False

    @property
    def _admin(self) -> SimulatorAdmin:
        return self.world.simulators[ACCOUNTS[0]].admin

    def _replace(self, panel: Iterable[KnownApiKey], kept: set[str], version: int) -> None:
        """As the worker's hint says: another key with the same scopes; the lost one is deleted in the panel."""
        left = [key for key in panel if key.works]
        made = self._admin.add_api_key("by hand", *next(iter(panel)).scopes)
        content = {"api_key": made.api_key, "key_id": made.key_id}
        body = {"data": content, "options": {"cas": version}}
        self.world.vault.admin.call("POST", f"{MOUNT}/data/{API_KEY_PATH}", body)
        for key in left:
            self._admin.end_api_key(key.key_id)
            if key.api_key not in kept:
                self.gone.append(key.key_id)


def unrest_of_api_key(world: World) -> str:
    """What still has to be done about the API key, in words; empty when it is at rest and works."""
    record = world.mount.record(RECORD) or {}
    held = world.mount.data(API_KEY_PATH) or {}
    panel = world.simulators[ACCOUNTS[0]].admin.api_keys()
    living = {key.api_key for key in panel if key.works}
    phase = str(record.get("phase", "idle"))
    found = ["" if phase == "idle" else phase]
    found += ["" if held.get("api_key") in living else "HostUp refuses it"]
    found += ["another one lives" if living - {held.get("api_key")} else ""]
    return ", ".join(filter(None, found))


@dataclass(frozen=True, slots=True)
class Rolls:
    """What became of the API key. ``made`` are the rolls that HostUp carried out, ``asked`` those by command.

    ``lost`` are the keys that nobody had any more, each with the call that made it; ``forgotten`` those of them that a
    set-back Vault forgot.
    """

    made: int
    asked: int
    lost: dict[str, Call]
    forgotten: int
    findings: tuple[BrokenPromise, ...]


def judge_rolls(evidence: Evidence, roller: Roller, gone: Iterable[str], kills: Iterable[float], harm: Harm) -> Rolls:
    """A key may be lost with its answer, with the one who had that in his hands, or in a set-back Vault; no other way.

    ``kills`` are the moments (seconds since the epoch) at which workers were killed.
    """
    by_number = {call.number: call for call in Case(evidence).calls}
    made = {str(each["key_id"]): by_number[int(each["call"])] for each in _effects(evidence)}
    theirs = {key_id: made[key_id] for key_id in gone if key_id in made}
    forgotten = {key_id for key_id, call in theirs.items() if harm.covers(call.effect_at or call.at)}
    lost = {key_id: call for key_id, call in theirs.items() if key_id not in forgotten}
    workers, commands = _moments(kills), _moments(roller.kills)
    findings = (
        BrokenPromise(3, key_id, f"an API key whose answer arrived is lost (requestId {call.request_id})")
        for key_id, call in lost.items()
        if call.delivered
        and shows_the_key(call.fault)
        and not _died_with(call, commands if _by_command(evidence, call) else workers)
    )
    return Rolls(len(made), roller.asked, lost, len(forgotten), tuple(findings))


def shows_the_key(name: str | None) -> bool:
    """Whether an answer with this fault, as the ledger calls it, still holds the new API key as it is."""
    if name is None:
        return True
    fault = CATALOGUE.get(name.rpartition(": ")[2])
    if fault is None or not fault.effect or fault.cut or fault.keep is not None:
        return False
    spoiled = {*fault.without, *(field for field, _ in fault.wrong)}
    return fault.answer in _WITH_THE_KEY and not spoiled & {"data", "data.key"}


def _moments(seconds: Iterable[float]) -> list[datetime]:
    return [datetime.fromtimestamp(each, UTC) for each in seconds]


def _died_with(call: Call, kills: Iterable[datetime]) -> bool:
    return any(call.at <= kill <= call.at + IN_HANDS for kill in kills)


def _by_command(evidence: Evidence, call: Call) -> bool:
    """Whether a person asked: what the last intent says that was on record before the call."""
    told = map(json.loads, evidence.documents.get(RECORD, {}).get("history", []))
    intents = (each for each in told if each["event"] == "api_key.rolling")
    before = [each for each in intents if datetime.fromisoformat(each["at"]) <= call.at]
    return bool(before and before[-1].get("by"))


def _effects(evidence: Evidence) -> Iterator[Json]:
    return (e for e in evidence.entries if e["kind"] == "effect" and e["operation"] == OPERATION and "call" in e)
