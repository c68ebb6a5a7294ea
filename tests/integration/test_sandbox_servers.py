"""The real servers that the sandbox starts: their data, their restarts, and their end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.sandbox import PATIENCE, is_running, wait_until
from worker.errors import ConfigurationError, RotatorError, VaultRefused
from worker.sandbox.binaries import vault_binary
from worker.sandbox.files import replace_private
from worker.sandbox.servers import ValkeyServer, VaultServer, start_valkey, start_vault
from worker.sandbox.simulator.process import start_simulator
from worker.sandbox.texts import MOUNT, STATE_PATH, policy
from worker.sandbox.vault_admin import VaultAdmin
from worker.selftest.proxy import HttpProxy
from worker.selftest.script import Script

ROOT = Path(__file__).parents[2]
SECRET = "secret/data/a/b"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    server = start_valkey(tmp_path / "valkey")
    yield server
    server.stop()


def connected(server: ValkeyServer) -> Any:
    return redis.Redis.from_url(server.url.reveal(), decode_responses=True)


def test_valkey_wants_its_password(valkey: ValkeyServer) -> None:
    host, port = valkey.address.split(":")
    stranger = redis.Redis(host, int(port), retry=Retry(NoBackoff(), 0))
    with stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert valkey.password.reveal() not in Path(f"/proc/{valkey.pid}/cmdline").read_text()
    assert valkey.password.reveal() not in repr(valkey)


def test_valkey_keeps_its_data_over_a_kill(valkey: ValkeyServer) -> None:
    with connected(valkey) as client:
        client.set("fact", "kept")
    valkey.kill()

    again = valkey.restart()

    try:
        assert (again.port, again.url) == (valkey.port, valkey.url)
        assert again.pid != valkey.pid
        with connected(again) as client:
            assert client.get("fact") == "kept"
    finally:
        again.stop()


def test_a_port_that_is_taken_is_an_error(valkey: ValkeyServer, tmp_path: Path) -> None:
    with pytest.raises(RotatorError, match="Valkey ended"):
        start_valkey(tmp_path / "other", password="another", port=valkey.port)


def test_vault_in_memory(tmp_path: Path) -> None:
    vault = start_vault(tmp_path / "vault")
    try:
        written = vault.admin.call("POST", SECRET, {"data": {"x": "1"}, "options": {"cas": 0}})
        assert written["data"]["version"] == 1
        with pytest.raises(VaultRefused, match="400"):
            vault.admin.call("POST", SECRET, {"data": {"x": "2"}, "options": {"cas": 0}})

        vault.seal()
        assert vault.admin.health() == 503
        with pytest.raises(VaultRefused, match="503"):
            vault.admin.call("GET", SECRET)

        vault.unseal()
        assert vault.admin.call("GET", SECRET)["data"]["data"] == {"x": "1"}
        with pytest.raises(RotatorError, match="memory"):
            vault.restart()
        shown = repr(vault) + (tmp_path / "vault" / "vault.log").read_text()
        assert vault.root_token.reveal() not in shown
        assert vault.unseal_key.reveal() not in shown
    finally:
        vault.stop()
    assert vault.admin.health() is None


def test_a_port_that_another_vault_has_is_an_error_and_that_one_is_left_alone(
    vault: VaultServer, tmp_path: Path
) -> None:
    with pytest.raises(RotatorError) as caught:
        start_vault(tmp_path / "second", port=vault.port)
    assert type(caught.value) is RotatorError, "so that another port is tried where the port is not given"
    assert vault.admin.health() == 200


def test_a_persistent_vault_keeps_its_data_over_a_kill(tmp_path: Path) -> None:
    vault = start_vault(tmp_path / "vault", persistent=True)
    again = vault
    try:
        vault.admin.call("POST", SECRET, {"data": {"x": "1"}})
        vault.kill()
        again = vault.restart()
        assert again.address == vault.address
        assert again.admin.call("GET", SECRET)["data"]["data"] == {"x": "1"}
    finally:
        again.stop()


def test_the_simulators_ledger_survives_a_kill(tmp_path: Path) -> None:
    simulator = start_simulator(tmp_path, replace_private(tmp_path / "api_key", "any"))
    key = simulator.admin.add_key("by hand")
    simulator.kill()

    assert f'"access_key":"{key.access_key}"' in (tmp_path / "ledger.jsonl").read_text("utf-8")


def test_a_simulator_that_cannot_start_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(RotatorError, match="simulator did not start") as caught:
        start_simulator(tmp_path, tmp_path / "missing")

    assert str(tmp_path / "simulator.log") in caught.value.hint
    assert "missing" in (tmp_path / "simulator.log").read_text("utf-8")


def test_a_named_server_that_is_missing_is_a_clear_error() -> None:
    with pytest.raises(ConfigurationError, match=r"VAULT_BIN.*hostup-rotator\[sandbox\]"):
        vault_binary({"VAULT_BIN": "/no/such/vault", "PATH": ""})


@pytest.mark.parametrize("name", ["vault_binary", "valkey_binary"])
def test_without_the_extra_the_error_names_it(name: str) -> None:
    """An interpreter without any packages, and no server on its PATH."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from worker.sandbox.binaries import {name}; {name}({{}})"
    environment = {"PATH": ""}

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert "ConfigurationError" in done.stderr
    assert "hostup-rotator[sandbox]" in done.stderr


OWNER = """
import sys, time
from pathlib import Path
from worker.selftest.proxy import HttpProxy
from worker.selftest.script import Script
from worker.sandbox.servers import start_valkey, start_vault
folder = Path(sys.argv[1])
print(start_valkey(folder / "valkey").pid, start_vault(folder / "vault").pid, flush=True)
time.sleep(3600)
"""


def test_servers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as owner:
        assert owner.stdout
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(pids) == 2
        assert all(is_running(pid) for pid in pids)
        owner.send_signal(signal.SIGKILL)
        owner.wait(PATIENCE)

    wait_until(lambda: not any(is_running(pid) for pid in pids), "no server is left")


def test_the_policy_is_the_one_that_operators_get() -> None:
    text = (ROOT / "config" / "vault" / "rotator-policy.hcl").read_text("utf-8")
    app = "apps/media/object-storage"
    for name, value in (("MOUNT", MOUNT), ("STATE_PATH", STATE_PATH), ("APP_PATH", app)):
        text = text.replace(f"${{{name}}}", value)
    stanzas = re.findall(r'^path "([^"]+)" \{\s*capabilities = \[([^\]]*)\]', text, re.MULTILINE)

    shipped = {path: sorted(re.findall(r"\w+", capabilities)) for path, capabilities in stanzas}

    assert shipped == {path: sorted(capabilities) for path, capabilities in policy([app]).items()}


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    server = start_vault(tmp_path_factory.mktemp("vault"))
    yield server
    server.stop()


def test_calls_without_an_answer_are_os_errors(vault: VaultServer) -> None:
    assert VaultAdmin(vault.address).health() == 200
    with pytest.raises(OSError, match="refused"):
        VaultAdmin("http://127.0.0.1:9").call("GET", "sys/mounts")


def test_vault_answers_through_the_proxy_as_it_does_directly(vault: VaultServer) -> None:
    script = Script({"media": "{target}"})
    with HttpProxy("vault", vault.address, script) as proxy:
        through = VaultAdmin(proxy.url, vault.root_token)
        assert through.call("POST", "secret/data/x/media", {"data": {"x": "1"}})["data"]["version"] == 1
        assert through.call("GET", "secret/data/x/media?version=1")["data"]["data"] == {"x": "1"}
        assert through.call("LIST", "secret/metadata/x")["data"] == {"keys": ["media"]}
        assert through.ask("PUT", "secret/destroy/x/media", {"versions": [1]}) == (204, {})
        assert through.health() == 200
        long = "x" * 300_000
        through.call("POST", "secret/data/x/media", {"data": {"long": long}})
        assert through.call("GET", "secret/data/x/media")["data"]["data"] == {"long": long}

    assert [(seen.method, seen.path, seen.status) for seen in script.trace()][:4] == [
        ("POST", "/v1/secret/data/x/{target}", 200),
        ("GET", "/v1/secret/data/x/{target}?version", 200),
        ("LIST", "/v1/secret/metadata/x", 200),
        ("PUT", "/v1/secret/destroy/x/{target}", 204),
    ]
