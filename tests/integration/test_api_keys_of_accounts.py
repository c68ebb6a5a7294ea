"""Two accounts, each with its API key in Vault: one is rolled while both rotate, and neither is held up by the other.

Two simulators, a real worker, a real Vault and a real Valkey.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.service import Service, Worker, sandbox_with_users, start_second_account
from tests.acceptance.test_metrics import get, listen
from tests.forms import fits
from tests.sandbox import wait_until
from tests.scrape import value
from worker.sandbox.run import Sandbox
from worker.sandbox.simulator.controls import KnownApiKey, SimulatorAdmin
from worker.sandbox.simulator.faults import fault

ROTATIONS = 2
"""Of each account, before and after what a test does."""


@dataclass
class Two:
    """A service with a target on each account; ``admins`` are those of the accounts' simulators."""

    service: Service
    admins: dict[str, SimulatorAdmin]
    hostup_of_media: str

    def configure(self, default: str = "", media: str = "") -> None:
        """With these lines more under each account."""
        self.service.hostup = f'api_key_path = "{self.path("default")}"\n{default}'
        self.service.tables = (
            f'[[account]]\nname = "media"\nbase_url = "{self.hostup_of_media}"\n'
            f'api_key_path = "{self.path("media")}"\n{media}\n'
            f'[[target]]\nname = "films"\npath = "{self.service.path}-films"\n'
            'every = "3s"\ngrace = "1s"\naccount = "media"\n'
        )

    def path(self, account: str) -> str:
        return f"keys-{self.service.target}/{account}"

    def in_vault(self, path: str) -> dict[str, Any] | None:
        try:
            found = self.service.vault.secrets.kv.v2.read_secret_version(path=path, raise_on_deleted_version=True)
        except Exception as error:
            if type(error).__name__ == "InvalidPath":
                return None
            raise
        return dict(found["data"]["data"])

    def api_key(self, account: str) -> str:
        held = self.in_vault(self.path(account))
        assert held
        return str(held["api_key"])

    def put(self, account: str) -> KnownApiKey:
        """The newest working key of an account into Vault, as a person does."""
        key = next(each for each in reversed(self.admins[account].api_keys()) if each.works)
        content = {"api_key": key.api_key, "key_id": key.key_id}
        self.service.vault.secrets.kv.v2.create_or_update_secret(path=self.path(account), secret=content)
        return key

    def creates(self, account: str) -> int:
        return sum(1 for call in self.admins[account].calls("create") if call.effect)

    def rotate_for_a_while(self) -> None:
        """Until each account has had a few rotations more."""
        before = {name: self.creates(name) for name in self.admins}
        wait_until(
            lambda: all(self.creates(name) >= before[name] + ROTATIONS for name in self.admins),
            "rotations on both accounts",
        )


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox_with_users(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def two(sandbox: Sandbox, tmp_path: Path) -> Iterator[Two]:
    second, _ = start_second_account(tmp_path / "second")
    service = Service(sandbox, tmp_path, 4, every="3s", grace="1s", lease="1m", more={"HOSTUP_API_KEY_FILE": ""})
    made = Two(service, {"default": sandbox.simulator.admin, "media": second.admin}, second.hostup)
    for name in made.admins:
        made.put(name)
    made.configure()
    yield made
    second.admin.clear()
    service.end()
    second.stop()


def events_of(worker: Worker, name: str, account: str) -> list[dict[str, Any]]:
    return [event for event in worker.events(name) if event.get("account") == account]


def _has_taken_up(worker: Worker, account: str) -> bool:
    at = "" if account == "default" else f" (account {account})"
    return any(event["variable"] == f"api_key_path{at}" for event in worker.events("credential.renewed"))


def test_one_is_rolled_while_both_rotate(two: Two) -> None:
    worker, second = two.service.start(), two.service.start()
    two.rotate_for_a_while()
    before = {name: two.api_key(name) for name in two.admins}
    done = two.service.rotator("roll-api-key", "media", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    fits(answer, "roll-api-key")
    assert (answer["account"], answer["outcome"]) == ("media", "rolled")
    both = (worker, second)  # one that calls nothing of the account needs no key of it
    wait_until(lambda: any(_has_taken_up(each, "media") for each in both), "a worker has the new key")
    assert not any(_has_taken_up(each, "default") for each in both)
    two.rotate_for_a_while()
    assert two.api_key("default") == before["default"]
    assert two.api_key("media") != before["media"]
    assert not any(key.works for key in two.admins["media"].api_keys() if key.api_key == before["media"])
    assert [len(two.admins[name].calls("roll_api_key")) for name in ("default", "media")] == [0, 1]
    record = two.in_vault(f"{two.service.state}/_api_key/media")
    assert record
    assert (record["account"], record["phase"]) == ("media", "idle")
    assert two.in_vault(f"{two.service.state}/_api_key") is None, "the other account has nothing to tell"
    for each in both:
        assert each.events("circuit.opened") == []
        log = each.log.read_text("utf-8")
        assert not any(two.api_key(name) in log or before[name] in log for name in two.admins)


def test_the_silence_of_one_holds_up_no_roll_of_the_other(two: Two) -> None:
    two.configure(default='api_key_every = "4s"', media='api_key_every = "1s"')
    two.admins["media"].order(fault("timeout-before", "roll_api_key", times=-1))
    worker = two.service.start()
    wait_until(lambda: bool(events_of(worker, "api_key.rolling", "media")), "a roll that is not answered")
    before = len(events_of(worker, "api_key.rolled", "default"))
    wait_until(lambda: len(events_of(worker, "api_key.rolled", "default")) >= before + 2, "rolls of the other account")
    assert not events_of(worker, "api_key.doubtful", "media"), "that one waits for its answer yet"
    two.rotate_for_a_while()


def _waits(url: str) -> dict[str, float | None]:
    text = get(url, "/metrics").text
    name = "account_api_key_waits_for_person"
    return {account: value(text, f'{name}{{account="{account}"}}') for account in ("default", "media")}


def test_a_lost_key_is_told_and_settled_for_its_account(two: Two) -> None:
    url = listen(two.service)
    worker = two.service.start()
    worker.wait_for("metrics.served")
    worker.wait_for("rotation.succeeded", 2)
    wait_until(lambda: _waits(url) == {"default": 0, "media": 0}, "both keys are well")
    two.admins["media"].order(fault("cut-after", "roll_api_key"))
    rolled = two.service.rotator("roll-api-key", "media", "--yes", "--json")
    assert (rolled.returncode, json.loads(rolled.stdout)["outcome"]) == (75, "in doubt")
    wait_until(lambda: bool(events_of(worker, "api_key.lost", "media")), "a worker finds out")
    wait_until(lambda: _waits(url) == {"default": 0, "media": 1}, "the metrics say so")
    command = "rotator roll-api-key media --settle"
    waiting = json.loads(two.service.rotator("inbox", "--json").stdout)["waiting"]
    assert [each["command"] for each in waiting if each["kind"] == "api key"] == [command]
    assert "(account media)" in two.service.rotator("status").stderr
    checks = {each["check"]: each for each in json.loads(two.service.rotator("check", "--no-keys", "--json").stdout)}
    assert checks["API key (account media)"]["state"] == "failed"
    assert checks["API key"]["state"] == "ok"
    assert two.service.rotator("roll-api-key", "--yes").returncode == 0, (
        "the other account's key is rolled all the same"
    )
    two.admins["media"].add_api_key("by hand", "sandbox:object-storage")
    two.put("media")
    settled = two.service.rotator("roll-api-key", "media", "--settle", "--json")
    assert settled.returncode == 0, settled.stderr
    two.rotate_for_a_while()


def test_an_account_that_is_not_there_is_named(two: Two) -> None:
    refused = two.service.rotator("roll-api-key", "medai", "--yes")
    assert refused.returncode == 2
    assert "Did you mean media? There are: default, media." in refused.stderr
