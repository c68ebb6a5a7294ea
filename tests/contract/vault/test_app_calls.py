"""A call of Vault by an app's helper ends in time and in words, whatever is sent to it or has to be sent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.vault.answers import document, login, told
from tests.http_proxy import ForwardProxy
from tests.wire import EXAMPLE_PEM, LOOPBACK_PEM, Step, Wire, drip, raw, silence
from worker.credentials.environment import Given, Server
from worker.credentials.login import Session
from worker.credentials.vault import Vault
from worker.errors import ConfigurationError, VaultLoginFailed, VaultUnavailable
from worker.secret import Secret

PAUSE, SHORT = 0.02, 0.5
SLOW = " " * 200
"""What takes eight times as long as there is time, and has no wait in it that is too long by itself."""


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    "step",
    [
        silence(),
        drip(raw(200, f"{SLOW}{{}}".encode()), PAUSE),
        drip(raw(200, b"{}", {"X-Slow": SLOW}), PAUSE),
        drip(raw(404, f"{SLOW}{{}}".encode(), {"X-Slow": SLOW}), PAUSE),
    ],
)
def test_what_comes_too_slowly_as_a_whole_is_given_up(step: Step, *, tls: bool) -> None:
    with Wire(step, tls=tls) as wire, pytest.raises(VaultUnavailable, match="timed out"):
        Vault(Server(wire.url, ca_file=str(LOOPBACK_PEM))).call("GET", "secret/data/a", None, seconds=SHORT)


def test_what_is_large_and_comes_in_time_is_read() -> None:
    with Wire(document(value="x" * 900_000)) as wire:
        assert len(str(Vault(Server(wire.url)).read("secret", "a", Secret("t"))[0]["value"])) == 900_000


@pytest.mark.parametrize("tls_name", ["", "vault.example"])
def test_calls_go_by_way_of_a_proxy(tls_name: str) -> None:
    with (
        Wire(document(), tls=True, pem=EXAMPLE_PEM) as wire,
        ForwardProxy({"vault.example": wire.port}) as proxy,
    ):
        there = "https://vault.example" if not tls_name else wire.url
        by = f"http://127.0.0.1:{proxy.port}" if not tls_name else ""
        server = Server(there, ca_file=str(EXAMPLE_PEM), tls_name=tls_name, proxy=by)
        assert Vault(server).read("secret", "a", Secret("t"))[1] == 1
        assert [asked.method for asked in proxy.asked] == ([] if tls_name else ["CONNECT"])


@pytest.mark.parametrize(
    "server",
    [
        Server("http://127.0.0.1:1", proxy="http://me:CANARY@proxy:eight"),
        Server("http://127.0.0.1:1", proxy="http://me:CANARY@proxy..example:1"),
        Server("http://127.0.0.1:1", proxy="http:CANARY"),
        Server("http://127.0.0.1:1", namespace="CANARY\n"),
    ],
)
def test_what_cannot_be_sent_is_told_without_what_it_holds(server: Server) -> None:
    with pytest.raises(ConfigurationError, match="Vault cannot be called with what VAULT_ADDR") as raised:
        Vault(server).read("secret", "a", Secret("t"))
    assert "CANARY" not in str(raised.value)
    assert raised.value.__context__ is None, "nothing that says it hangs on it"


@pytest.mark.parametrize("token", ["CANARY\n", "CANARY\u20ac", "", "CANARY 1"])
def test_a_login_that_gives_no_token_that_can_be_sent(token: str) -> None:
    with Wire(login(token, 60), document()) as wire:
        session = Session(Vault(Server(wire.url)), Given(role_id="role", mount="approle"))
        with pytest.raises(VaultLoginFailed, match="gave no token") as raised:
            session.read("secret", "a")
    assert "CANARY" not in str(raised.value)


@pytest.mark.parametrize("body", [None, {"auth": None}, {"auth": []}, []])
def test_what_answers_a_login_may_not_be_vault(body: object) -> None:
    with Wire(told(body)) as wire, pytest.raises((VaultLoginFailed, VaultUnavailable)):
        Session(Vault(Server(wire.url)), Given(role_id="role", mount="approle")).read("secret", "a")


@pytest.mark.parametrize("command", ["credentials", "serve-credentials", "render", "run"])
@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"VAULT_TOKEN": "CANARY\n"}, "VAULT_TOKEN"),
        ({"VAULT_TOKEN": "CANARY\u20ac"}, "VAULT_TOKEN"),
        ({"VAULT_NAMESPACE": "CANARY\n"}, "VAULT_NAMESPACE"),
        ({"VAULT_ADDR": "http://[::1"}, "VAULT_ADDR"),
        ({"VAULT_ADDR": "https://vault..example"}, "VAULT_ADDR"),
    ],
)
def test_every_command_names_what_is_wrong_in_the_environment(
    tmp_path: Path, command: str, more: dict[str, str], named: str
) -> None:
    rest = {"serve-credentials": ["--listen", "127.0.0.1:0"], "render": ["--to", str(tmp_path / "key")]}
    words = [command, "--path", "apps/a", *rest.get(command, []), *(["--", "true"] if command == "run" else [])]
    base = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(tmp_path), "VAULT_ADDR": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", *words],
        env=base | {"VAULT_TOKEN": "t"} | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, f"environment: {named}: " in done.stderr) == (78, True), done.stderr
    assert "CANARY" not in done.stderr
    assert "Traceback" not in done.stderr
