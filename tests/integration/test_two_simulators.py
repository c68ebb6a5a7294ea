"""One account fails in every way while the other's rotations go on as when it is alone: two simulators, a real worker.

With two threads only: without a place of its own, each account would wait for what the other's calls wait for. Nothing
is timed for itself; what is compared are the calls in the simulators' ledgers, of the same worker, with and without the
other account's trouble.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.acceptance.service import Service, Worker, sandbox_with_users, start_second_account
from tests.sandbox import wait_until
from worker.sandbox.run import Sandbox
from worker.sandbox.simulator.controls import SimulatorAdmin
from worker.sandbox.simulator.faults import fault
from worker.sandbox.simulator.ledger import Call
from worker.sandbox.simulator.process import SimulatorProcess

FAULTS = ("timeout-before", "401", "429", "500-before", "502")
"""Nothing at all, refused, asked to wait, broken, and a gateway's page of HTML; first the one that takes longest."""

ROTATIONS = 3
"""Of each target, in each of the times that are compared."""

SLACK = timedelta(seconds=8)
"""A create of the silent account takes 20 s to fail; this machine may be busy."""

MEDIA = ("films", "music", "photos")


@dataclass
class Two:
    """A service with two targets on the first account and three on the second."""

    service: Service
    second: SimulatorProcess
    worker: Worker | None = None

    @property
    def first(self) -> SimulatorAdmin:
        return self.service.sandbox.simulator.admin

    @property
    def names(self) -> tuple[str, str]:
        return self.service.target, "web"

    def seen(self) -> int:
        """How many entries the first account's ledger has by now."""
        return len(self.first.ledger())

    def calls(self, since: int) -> tuple[Call, ...]:
        entries = {entry["call"] for entry in self.first.ledger(since) if entry["kind"] == "call"}
        return tuple(call for call in self.first.calls() if call.number in entries)

    def rotate_for_a_while(self) -> Pace:
        """Until each target of the first account has been rotated a few times."""
        since = self.seen()
        wait_until(lambda: all(len(of) > ROTATIONS for of in self._creates(since).values()), "rotations of the first")
        calls, creates = self.calls(since), self._creates(since)
        gaps = [later - earlier for of in creates.values() for earlier, later in pairwise(of)]
        return Pace(len(calls) / sum(map(len, creates.values())), max(gaps))

    def _creates(self, since: int) -> dict[str, list[datetime]]:
        found: dict[str, list[datetime]] = {name: [] for name in self.names}
        for call in self.calls(since):
            name = (call.label or "").split(" ")[0]
            if call.operation == "create" and call.effect and name in found:
                found[name].append(call.at)
        return found


@dataclass(frozen=True)
class Pace:
    """How many calls a rotation took, those of audits included, and the longest time between two rotations."""

    calls: float
    gap: timedelta


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox_with_users(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def two(sandbox: Sandbox, tmp_path: Path) -> Iterator[Two]:
    second, key = start_second_account(tmp_path / "second")
    second.admin.add_key("made by hand")
    account = (
        f'[[account]]\nname = "media"\nbase_url = "{second.hostup}"\napi_key_file = "{key}"\nparallel_creates = 8\n'
    )
    service = Service(sandbox, tmp_path, 3, every="3s", grace="1s", lease="1m", audit_every="5s", tables=account)
    service.settings = "concurrency = 2"
    others = [_target("web", "default"), *(_target(name, "media") for name in MEDIA)]
    service.tables = account + "".join(others)
    made = Two(service, second)
    yield made
    second.admin.clear()
    service.end()
    second.stop()


def _target(name: str, account: str) -> str:
    return f'[[target]]\nname = "{name}"\npath = "apps/{name}"\nevery = "3s"\ngrace = "1s"\naccount = "{account}"\n'


def _published(two: Two, name: str) -> str:
    secret = two.service.vault.secrets.kv.v2.read_secret_version(path=f"apps/{name}", raise_on_deleted_version=True)
    return str(secret["data"]["data"]["access_key"])


def test_the_one_goes_on_as_alone_while_the_other_fails_in_every_way(two: Two) -> None:
    two.worker = two.service.start()
    two.worker.wait_for("rotation.succeeded", 5)
    well = two.rotate_for_a_while()
    found: dict[str, Pace] = {}
    for name in FAULTS:
        for operation in ("create", "delete", "status"):
            two.second.admin.order(fault(name, operation, times=-1))
        found[name] = two.rotate_for_a_while()
        two.second.admin.clear()
    assert {call.fault for call in two.second.admin.calls()} >= set(FAULTS) - {"timeout-before"}, "all were met"
    for name, pace in found.items():
        assert pace.gap <= well.gap + SLACK, f"rotations waited for the other account ({name}): {found}"
        assert pace.calls <= 1.5 * well.calls, f"more calls than alone ({name}): {found}"
    living = {name for name, key in two.second.admin.keys().items() if key.exists}
    for name in MEDIA:
        assert _published(two, name) in living, "its current key stays as it is"
    opened = two.worker.events("circuit.opened")
    assert {event.get("account", "default") for event in opened} == {"media"}


def test_commands_tell_the_accounts_apart(two: Two) -> None:
    two.worker = two.service.start()
    two.worker.wait_for("rotation.succeeded", 5)
    for operation in ("create", "delete", "status"):
        two.second.admin.order(fault("401", operation, times=-1))
    two.worker.wait_for("circuit.opened")
    shown = two.service.rotator("status")
    assert "ACCOUNT" in shown.stdout
    assert "(account media) is held back" in shown.stderr
    only = two.service.rotator("status", "--account", "media", "--json")
    assert all(f'"target": "{name}"' in only.stdout for name in MEDIA)
    assert two.service.target not in only.stdout
    assert two.service.rotator("status", "--account", "medai").returncode == 2
    held = two.service.rotator("circuit", "--account", "media", "--json")
    assert '"account": "media"' in held.stdout
    assert '"held": []' in two.service.rotator("circuit", "--account", "default", "--json").stdout
    checked = two.service.rotator("check", "--no-keys")
    assert checked.returncode == 1
    assert "HostUp (account media)" in checked.stdout
    assert "ok       HostUp: " in checked.stdout
    two.second.admin.clear()
    assert two.service.rotator("circuit", "--close", "--account", "media").returncode == 0
    audited = two.service.rotator("audit", "--json")
    assert '"account": "media"' in audited.stdout
