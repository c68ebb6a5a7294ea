"""What a rotation costs in calls, connections and bytes: counts, which do not depend on the machine.

Times are measured by ``make bench``. A number that changes here is a decision, not an accident.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.counting import Relay
from worker.rotation.claiming import claim_all
from worker.rotation.decide import HISTORY_LIMIT
from worker.rotation.reconcile import accept
from worker.rotation.record import Record, Request, encode
from worker.rotation.survey import survey
from worker.sandbox.run import Sandbox, start_sandbox
from worker.sandbox.texts import SandboxOptions
from worker.selftest.proxy import HttpProxy
from worker.selftest.redis_proxy import RedisProxy
from worker.selftest.script import Script
from worker.service.assemble import Runtime, build
from worker.service.look import look_while_due, watch_while_nothing_is_due
from worker.settings.environment import Need
from worker.settings.settings import load

ROTATIONS = 50
RECORD = "/v1/secret/data/hostup-rotator/state/{target}"
KEY = "/v1/secret/data/hostup-rotator/state/_keys/{key}"
SECRET = "/v1/secret/data/apps/{target}/object-storage"

VAULT_CALLS = {
    f"GET {RECORD}": 1,
    "POST /v1/sys/capabilities-self": 1,
    f"GET {SECRET}": 1,
    f"POST {KEY}": 1,
    f"POST {RECORD}": 4,
    f"POST {SECRET}": 1,
}
"""Of one rotation: the record is read, the app's secret looked at; the new key is claimed; intent, staged, verified and
published are recorded; the app's secret is written."""

RETIREMENT_CALLS = {
    f"GET {RECORD}": 1,
    f"GET {SECRET}": 1,
    f"GET {SECRET}?version": 1,
    f"GET {KEY}": 2,
    f"POST {RECORD}": 2,
    "POST /v1/secret/destroy/apps/{target}/object-storage": 1,
    f"POST {KEY}": 1,
}
"""Of the key before, once its grace is over: the record is read; the app's secret and whose the key is are looked at,
and the delete is recorded; then the old version is looked at and destroyed, and its death is noted, and recorded."""

STORAGE_CALLS = 3
"""Of a rotation and the retirement: one to verify, one that is refused, and one that shows that that counts."""

REDIS_COMMANDS = {
    "EVALSHA rotator:lock:{target}": 1,
    "EVALSHA rotator:circuit": 1,
    "EXISTS rotator:circuit": 1,
    "HINCRBY rotator:count": 1,
    "ZREM rotator:creates": 1,
    "EVALSHA rotator:summary": 1,
    "EVALSHA rotator:due": 1,
}
"""Of one rotation, without what Celery does to bring the message. In five round trips: the hold;
circuit, place and count; what was made; index and release; what is due next."""

WATCH_COMMANDS = 5
"""Of one watch, in four round trips: the hold; index and release; how it was seen (2); what is next."""

OF_CONNECTIONS = ("HELLO", "AUTH", "CLIENT", "SELECT", "PING")

LONGEST_RECORD = 24 * 1024
"""Bytes of a record in Vault, with as much history as it ever holds."""

REOPENED = 5
"""How often a kept connection may have been idle for too long, on a machine that stands still for seconds."""


@dataclass(frozen=True)
class Stand:
    """The service's parts, with something that counts before each server."""

    runtime: Runtime
    sandbox: Sandbox
    script: Script
    relays: dict[str, Relay]

    def rotate(self, target: str) -> None:
        """Put a request on record, and look: the request itself costs a read and a write."""
        services, found = self.runtime.services, self.runtime.settings.targets[target]
        accept(services, found, Request(id=str(uuid.uuid4()), reason="", at=self.runtime.clock.now()))
        self.look(target)

    def look(self, target: str) -> None:
        look_while_due(self.runtime, target)

    def record(self, target: str) -> Record:
        return self.runtime.services.store.load(target, "").record

    def connections(self) -> Counter[str]:
        return Counter({name: relay.connections for name, relay in self.relays.items()})

    def calls(self, service: str) -> Counter[str]:
        seen = [each for each in self.script.trace() if each.service == service]
        return Counter(f"{each.method} {each.path}" for each in seen if each.method not in OF_CONNECTIONS)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    options = SandboxOptions(targets=ROTATIONS + 2, every="400d", grace="200d", spread=0.0, linger=0.0)
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), options, {}) as running:
        yield running


@contextmanager
def _standing(sandbox: Sandbox, folder: Path, target: str) -> Iterator[Stand]:
    assert sandbox.vault is not None
    assert sandbox.valkey is not None
    shown = {key.format(target=target): key for key in ("rotator:lock:{target}", "rotator:woken:{target}")}
    script = Script({target: "{target}", **shown})
    upstreams = {"hostup": urlsplit(sandbox.simulator.hostup).port, "s3": urlsplit(sandbox.simulator.s3).port}
    with ExitStack() as stack:
        upstreams["vault"] = stack.enter_context(HttpProxy("vault", sandbox.vault.address, script)).port
        upstreams["redis"] = stack.enter_context(RedisProxy(("127.0.0.1", sandbox.valkey.port), script)).port
        relays = {name: stack.enter_context(Relay(("127.0.0.1", port or 0))) for name, port in upstreams.items()}
        runtime = build(load(_config(sandbox, folder, relays), _environment(sandbox, relays), Need.HOSTUP | Need.VAULT))
        stack.callback(runtime.close)
        yield Stand(runtime, sandbox, script, relays)


def _config(sandbox: Sandbox, folder: Path, relays: dict[str, Relay]) -> Path:
    text = Path(sandbox.environment["ROTATOR_CONFIG"]).read_text("utf-8")
    storage = f'\n[storage]\nendpoint = "{_at(relays["s3"])}"\nregion = "eu-north-1"\n'
    config = folder / "rotator.toml"
    config.write_text(text.replace(sandbox.simulator.hostup, _at(relays["hostup"])) + storage, "utf-8")
    return config


def _environment(sandbox: Sandbox, relays: dict[str, Relay]) -> dict[str, str]:
    assert sandbox.valkey is not None
    password = sandbox.valkey.password.reveal()
    own = {
        "VAULT_ADDR": _at(relays["vault"]),
        "REDIS_URL": f"redis://:{password}@127.0.0.1:{relays['redis'].port}/0",
    }
    return {name: value for name, value in sandbox.environment.items() if name != "REDIS_URL_FILE"} | own


def _at(relay: Relay) -> str:
    return f"http://127.0.0.1:{relay.port}"


def test_the_calls_of_one_rotation(sandbox: Sandbox, tmp_path: Path) -> None:
    target = sandbox.targets[0].name
    with _standing(sandbox, tmp_path, target) as stand:
        stand.look(target)  # logs in, notes the baseline, and makes the first key
        stand.look(target)  # loads the scripts that the first look had no time left for
        services, found = stand.runtime.services, stand.runtime.settings.targets[target]
        accept(services, found, Request(id="a request", reason="", at=stand.runtime.clock.now()))
        vault, redis, ledger = stand.calls("vault"), stand.calls("redis"), len(sandbox.simulator.admin.ledger())
        stand.look(target)
        assert stand.calls("vault") - vault == VAULT_CALLS
        assert stand.calls("redis") - redis == REDIS_COMMANDS
        entries = sandbox.simulator.admin.ledger(ledger)
        assert [each["operation"] for each in entries if each["kind"] in ("call", "s3")] == ["create", "GET service"]
        current = stand.record(target).current
        assert current is not None
        assert current.vault_version == 2


def test_the_calls_of_one_retirement(sandbox: Sandbox, tmp_path: Path) -> None:
    target = sandbox.targets[0].name
    with _standing(sandbox, tmp_path, target) as stand:
        stand.look(target)
        stand.rotate(target)
        store, now = stand.runtime.services.store, stand.runtime.clock.now()
        loaded = store.load(target, "")
        over = tuple(replace(key, retire_after=now, next_look_at=now) for key in loaded.record.retiring[-1:])
        store.change(loaded, lambda record: replace(record, retiring=over))
        services = stand.runtime.services
        claim_all(services, survey(services, stand.runtime.settings.targets))  # as the first delete of all does
        vault, ledger = stand.calls("vault"), len(sandbox.simulator.admin.ledger())
        stand.look(target)
        made = stand.calls("vault") - vault
        entries = sandbox.simulator.admin.ledger(ledger)
        assert made == RETIREMENT_CALLS
        operations = [each["operation"] for each in entries if each["kind"] in ("call", "s3")]
        assert operations == ["status", "delete", "status", *["GET service"] * (STORAGE_CALLS - 1)]


def test_a_look_with_nothing_to_do_reads_the_record_and_no_more(sandbox: Sandbox, tmp_path: Path) -> None:
    target = sandbox.targets[0].name
    with _standing(sandbox, tmp_path, target) as stand:
        stand.look(target)
        vault, ledger = stand.calls("vault"), len(sandbox.simulator.admin.ledger())
        stand.look(target)
        assert stand.calls("vault") - vault == {f"GET {RECORD}": 1}
        assert sandbox.simulator.admin.ledger(ledger) == []


def test_the_calls_of_a_watch_of_a_healthy_target(sandbox: Sandbox, tmp_path: Path) -> None:
    target = sandbox.targets[0].name
    with _standing(sandbox, tmp_path, target) as stand:
        stand.look(target)
        watch_while_nothing_is_due(stand.runtime, target)  # loads the scripts
        vault, redis, ledger = stand.calls("vault"), stand.calls("redis"), len(sandbox.simulator.admin.ledger())
        watch_while_nothing_is_due(stand.runtime, target)
        assert stand.calls("vault") - vault == {f"GET {RECORD}": 1, f"GET {SECRET}": 1}
        assert sum((stand.calls("redis") - redis).values()) == WATCH_COMMANDS
        entries = sandbox.simulator.admin.ledger(ledger)
        assert [each["operation"] for each in entries] == ["GET service"]


def test_the_connections_of_many_rotations(sandbox: Sandbox, tmp_path: Path) -> None:
    first, *targets = [target.name for target in sandbox.targets[: ROTATIONS + 1]]
    with _standing(sandbox, tmp_path, first) as stand:
        stand.look(first)  # notes the baseline, for which several threads read all records
        ledger, before = len(sandbox.simulator.admin.ledger()), stand.connections()
        for target in targets:
            stand.look(target)
        calls = Counter(each["operation"] for each in sandbox.simulator.admin.ledger(ledger) if each["kind"] == "call")
        opened = stand.connections() - before
        assert calls["create"] == ROTATIONS
        # each create has a connection of its own, so that none meets one that the server is just closing
        assert ROTATIONS <= opened.pop("hostup") <= ROTATIONS + calls["status"]
        assert max(opened.values(), default=0) <= REOPENED


def test_a_record_does_not_grow_for_ever(sandbox: Sandbox, tmp_path: Path) -> None:
    target = sandbox.targets[-1].name
    with _standing(sandbox, tmp_path, target) as stand:
        sizes = []
        while not stand.runtime.vault.list(f"{stand.runtime.settings.vault.state_path}/_archive"):
            stand.rotate(target)
            record = stand.record(target)
            sizes.append(len(json.dumps(encode(record))))
            assert len(record.history) <= HISTORY_LIMIT
        assert max(sizes) < LONGEST_RECORD
        assert sizes[-1] < max(sizes)
