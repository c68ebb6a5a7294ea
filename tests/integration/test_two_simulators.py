"""One account fails in every way while the other's rotations go on as when it is alone: two simulators, a real worker.

With two threads only: without a place of its own, each account would wait for what the other's calls wait for. Nothing
is timed for itself; what is compared are the calls in the simulators' ledgers, of the same worker, with and without the
other account's trouble.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.acceptance.service import Service, Worker, sandbox_with_users, start_second_account
from tests.sandbox import PATIENCE, wait_until
from worker.sandbox.files import replace_private
from worker.sandbox.run import Sandbox
from worker.sandbox.simulator.controls import SimulatorAdmin
from worker.sandbox.simulator.faults import CATALOGUE, Fault, fault
from worker.sandbox.simulator.ledger import Call
from worker.sandbox.simulator.process import SimulatorProcess

FAULTS = ("timeout-before", "401", "429", "500-before", "502")
"""Nothing at all, refused, asked to wait, broken, and a gateway's page of HTML; first the one that takes longest."""

ROTATIONS = 3
"""Of each target, in each of the times that are compared."""

TOGETHER = 8
"""So many kinds of fault are met in one of those times: each once, then one of them at each call."""

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

    def met(self) -> set[str | None]:
        """The faults that the second account's API has answered with."""
        return {call.fault for call in self.second.admin.calls()}

    def has_met(self, names: set[str]) -> bool:
        return self.met() >= names

    def rotate_for_a_while(self, until: Callable[[], bool] = lambda: True) -> Pace:
        """Until each target of the first account has been rotated a few times, and until that holds."""
        since = self.seen()
        wait_until(
            lambda: all(len(of) > ROTATIONS for of in self._creates(since).values()) and until(),
            "rotations of the first",
            within=5 * PATIENCE,  # each kind of fault is met in its turn, and some of them take their time
        )
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
    others = [_target(service, "web", "default"), *(_target(service, name, "media") for name in MEDIA)]
    service.tables = account + "".join(others)
    made = Two(service, second)
    yield made
    second.admin.clear()
    service.end()
    second.stop()


def _target(service: Service, name: str, account: str) -> str:
    where = f'name = "{name}"\npath = "{service.path}-{name}"'
    return f'[[target]]\n{where}\nevery = "3s"\ngrace = "1s"\naccount = "{account}"\n'


def _published(two: Two, name: str) -> str:
    secret = two.service.vault.secrets.kv.v2.read_secret_version(
        path=f"{two.service.path}-{name}", raise_on_deleted_version=True
    )
    return str(secret["data"]["data"]["access_key"])


def _is_as_alone(alone: Pace, found: Mapping[str, Pace]) -> None:
    for name, pace in found.items():
        assert pace.gap <= alone.gap + SLACK, f"rotations waited for the other account ({name}): {found}"
        assert pace.calls <= 1.5 * alone.calls, f"more calls than alone ({name}): {found}"


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
    wait_until(lambda: two.met() >= set(FAULTS), "all were met, and what hung was noted at its end")
    _is_as_alone(well, found)
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
    assert f'"target": "{two.service.target}"' not in only.stdout
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


def test_a_key_that_leaked_dies_on_the_account_where_it_lies_and_the_new_one_is_made_there(two: Two) -> None:
    two.worker = two.service.start()
    two.worker.wait_for("rotation.succeeded", 5)
    leaked = _published(two, "films")
    done = two.service.rotator("rotate", "films", "--leaked", "--wait", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    there = two.second.admin.keys()
    assert not there[leaked].exists
    assert there[told["access_key"]].label.startswith("films ")
    assert {*told["dead_seconds"]} <= {name for name, key in there.items() if not key.exists}
    assert not {leaked, told["access_key"], *told["dead_seconds"]} & {*two.first.keys()}
    found = two.service.rotator("find", leaked, "--json")
    assert json.loads(found.stdout)["account"] == "media"


def _in_turn(names: Sequence[str]) -> Iterator[Fault]:
    """For every call, whatever it is for: each of these once, and from then on one of them."""
    yield from (fault(name, "*") for name in names)
    for number, name in enumerate(names):
        yield replace(fault(name, "*", times=-1), probability=1 / (len(names) - number), seed=number)


def _is_noted_late(name: str) -> bool:
    """The ledger has it when it is through."""
    slow = CATALOGUE[name]
    return any((slow.wait, slow.interval, slow.effect_after))


def test_the_one_goes_on_as_alone_while_the_other_meets_every_fault_of_the_list(two: Two) -> None:
    two.worker = two.service.start()
    two.worker.wait_for("rotation.succeeded", 5)
    well = two.rotate_for_a_while()
    found: dict[str, Pace] = {}
    for first in range(0, len(CATALOGUE), TOGETHER):
        names = tuple(CATALOGUE)[first : first + TOGETHER]
        for each in _in_turn(names):
            two.second.admin.order(each)
        soon = {name for name in names if not _is_noted_late(name)}
        found[", ".join(names)] = two.rotate_for_a_while(partial(two.has_met, soon))
        two.second.admin.clear()
    _is_as_alone(well, found)


def test_the_one_goes_on_as_alone_while_the_storage_of_the_other_is_silent(two: Two) -> None:
    two.worker = two.service.start()
    two.worker.wait_for("rotation.succeeded", 5)
    well = two.rotate_for_a_while()
    two.second.admin.order(fault("timeout-before", "s3", times=-1))
    first = two.rotate_for_a_while()  # a verify that was under way may have ended yet
    published = [_published(two, name) for name in MEDIA]
    found = {"at first": first, "later": two.rotate_for_a_while()}
    assert [_published(two, name) for name in MEDIA] == published, "no new key can be verified"
    two.second.admin.clear()
    _is_as_alone(well, found)


def test_targets_that_move_off_a_silent_account_leave_the_other_as_it_is_and_their_old_keys_die_later(two: Two) -> None:
    """A worker's two threads are not held by the deletes that wait for the account they moved from."""
    two.worker = two.service.start()
    two.worker.wait_for("rotation.succeeded", 5)
    well = two.rotate_for_a_while()
    assert two.worker.stop() == 0
    left = {name for name, key in two.second.admin.keys().items() if key.exists and key.label.startswith(MEDIA)}
    assert left
    two.second.admin.order(fault("timeout-before", "*", times=-1))
    two.service.tables = two.service.tables.replace('account = "media"', 'account = "default"')
    two.worker = two.service.start()
    found = two.rotate_for_a_while()
    assert found.gap <= well.gap + SLACK, f"rotations waited for the other account: {found}"
    wait_until(lambda: {_published(two, name) for name in MEDIA} <= set(two.first.keys()), "all are moved")
    assert left <= {name for name, key in two.second.admin.keys().items() if key.exists}, "their old keys wait"
    two.second.admin.clear()
    wait_until(lambda: not any(two.second.admin.keys()[name].exists for name in left), "they die where they lay")


def test_a_key_in_a_file_is_read_again_when_it_changes(two: Two, tmp_path: Path) -> None:
    """And the other account's calls are made by its own key all the while."""
    two.worker = two.service.start()
    two.worker.wait_for("rotation.succeeded", 5)
    old = next(key for key in two.second.admin.api_keys() if key.works)
    new = two.second.admin.add_api_key("the next one", *old.scopes)
    replace_private(tmp_path / "second" / "api-key", new.api_key)
    assert two.second.admin.end_api_key(old.key_id)
    made = len(two.second.admin.calls("create"))
    wait_until(lambda: sum(bool(c.effect) for c in two.second.admin.calls("create")[made:]) > 2, "the new key is used")
    renewed = {event["variable"] for event in two.worker.events("credential.renewed")}
    assert renewed == {"api_key_file of account media"}
    assert two.worker.events("circuit.opened") == []
    assert new.api_key not in two.worker.log.read_text("utf-8")
