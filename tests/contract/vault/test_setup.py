"""``rotator vault setup`` on a real server: what it makes is enough, no more than that, and stays as it is."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from tests.contract.vault.conftest import CANARY, Connect, administrator
from tests.servers import VaultServer, start_vault
from worker.errors import VaultDenied
from worker.secret import Secret

CONFIG = """
[vault]
mount = "{mount}"
[[target]]
name = "media"
path = "apps/media/object-storage"
every = "30d"
[[target]]
name = "mail"
path = "apps/mail"
every = "30d"
"""


@dataclass(frozen=True, slots=True)
class Setup:
    """The command, against one server."""

    server: VaultServer
    folder: Path

    def run(
        self,
        *arguments: str,
        mount: str = "rotated",
        token: str = "",
        stdin: int = subprocess.DEVNULL,
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.CompletedProcess[str]:
        config = self.folder / "rotator.toml"
        config.write_text(CONFIG.format(mount=mount))
        return subprocess.run(
            [sys.executable, "-m", "worker.cli", "vault", "setup", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "ROTATOR_CONFIG": str(config),
                "REDIS_URL": "redis://127.0.0.1:9/0",
                "VAULT_ADDR": self.server.address,
                "VAULT_TOKEN": token or self.server.root_token,
                **env,
            },
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def document(self, *arguments: str, mount: str = "rotated") -> dict[str, Any]:
        done = self.run(*arguments, "--json", mount=mount)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    """A server of its own for each test: what is there belongs to all."""
    with start_vault(tmp_path / "vault") as running:
        yield Setup(running, tmp_path)


def names(document: dict[str, Any]) -> list[str]:
    return [f"{change['kind']} {change['name']}" for change in document["changes"]]


@pytest.mark.parametrize(
    "login",
    [
        {"VAULT_ROLE_ID": "the worker's", "VAULT_SECRET_ID": "its own"},
        {"VAULT_ROLE_ID_FILE": "role-id", "VAULT_SECRET_ID_FILE": "secret-id", "VAULT_SECRET_ID_WRAPPED": "true"},
        {"VAULT_AUTH_METHOD": "kubernetes", "VAULT_AUTH_ROLE": "hostup-rotator", "VAULT_JWT_FILE": "token"},
    ],
    ids=["AppRole", "files", "Kubernetes"],
)
def test_the_administrators_token_goes_before_the_workers_login(setup: Setup, login: dict[str, str]) -> None:
    done = setup.run("--dry-run", env=login)
    assert done.returncode == 0, done.stderr
    assert "hostup-rotator" in done.stdout


def test_it_shows_what_is_missing_and_changes_nothing_unless_it_is_told_to(setup: Setup) -> None:
    for arguments in ((), ("--dry-run",)):
        document = setup.document(*arguments)
        assert names(document) == [
            "secrets engine rotated",
            "way to log in approle",
            "policy hostup-rotator",
            "policy hostup-app-media",
            "policy hostup-app-mail",
            "role hostup-rotator",
            "role hostup-app-media",
            "role hostup-app-mail",
        ]
        assert (document["done"], document["handed_out"]) == (False, [])
    shown = setup.run()
    assert "policy hostup-rotator: missing" in shown.stdout
    assert '  +path "rotated/data/apps/mail" {' in shown.stdout
    assert "Nothing was changed. With --yes it is done." in shown.stdout


@pytest.mark.parametrize(("answer", "done"), [(b"n\n", False), (b"\n", False), (b"y\n", True)])
def test_a_person_at_a_terminal_is_asked(setup: Setup, answer: bytes, *, done: bool) -> None:
    terminal, stdin = pty.openpty()
    try:
        os.write(terminal, answer)
        shown = setup.run(stdin=stdin)
    finally:
        os.close(terminal)
        os.close(stdin)
    assert shown.returncode == 0
    assert "Make these changes? [y/N]" in shown.stderr
    assert ("8 changes were made." in shown.stdout) is done
    assert (setup.document()["changes"] == []) is done


def test_it_is_done_once_and_hands_out_what_it_made_once(setup: Setup) -> None:
    first = setup.document("--yes")
    assert first["done"]
    assert [each["for"] for each in first["handed_out"]] == ["the worker", "the app of media", "the app of mail"]
    again = setup.document("--yes")
    assert (again["changes"], again["done"], again["handed_out"]) == ([], False, [])
    assert "nothing to do" in setup.run("--yes").stdout


def test_the_worker_can_do_what_it_needs_and_nothing_else(setup: Setup, connected: Connect) -> None:
    worker = setup.document("--yes")["handed_out"][0]
    with administrator(setup.server) as root:
        root.secrets.kv.v2.create_or_update_secret("apps/other", {"secret_key": CANARY}, mount_point="rotated")
    login = {"role_id": worker["role_id"], "secret_id": Secret(worker["wrapped_secret_id"]), "secret_id_wrapped": True}
    store = connected(setup.server, mount="rotated", **login)
    record, app = "hostup-rotator/state/media", "apps/media/object-storage"
    store.prepare_record(record)
    store.write(record, {"n": 1}, 0)
    store.write(app, {"n": 1}, 0)
    store.write(app, {"n": 2}, 1)
    store.destroy(app, 1)
    assert store.list("hostup-rotator/state") == ("media",)
    assert store.read(f"hostup-rotator/receipts/{app}").data is None
    facts = store.check()
    assert facts.policies == ("hostup-rotator",)
    assert facts.renewable
    others: tuple[Callable[[], object], ...] = (
        lambda: store.read("apps/other"),
        lambda: store.write("apps/other", {"n": 1}, 1),
        lambda: store.read(f"{app}/below"),
        lambda: store.destroy(record, 1),
        lambda: store.list("apps"),
        lambda: store.write(f"hostup-rotator/receipts/{app}", {"forged": "yes"}, 0),
    )
    for ask in others:
        with pytest.raises(VaultDenied):
            ask()


def test_an_app_reads_its_own_secret_and_nothing_else(setup: Setup, connected: Connect) -> None:
    handed = {each["for"]: each for each in setup.document("--yes")["handed_out"]}
    with administrator(setup.server) as root:
        for path in ("apps/media/object-storage", "apps/mail", "hostup-rotator/state/media"):
            root.secrets.kv.v2.create_or_update_secret(path, {"access_key": path}, mount_point="rotated")
    app = handed["the app of mail"]
    opened = _unwrap(setup, app["wrapped_secret_id"])
    assert opened.status_code == 200
    assert _unwrap(setup, app["wrapped_secret_id"]).status_code == 400, "it is opened once"
    secret_id = Secret(opened.json()["data"]["secret_id"])
    store = connected(setup.server, mount="rotated", role_id=app["role_id"], secret_id=secret_id)
    assert store.read("apps/mail").data == {"access_key": "apps/mail"}
    store.write("hostup-rotator/receipts/apps/mail", {"web-1 endpoint": "x"}, 0)
    assert store.check().policies == ("hostup-app-mail",)
    others: tuple[Callable[[], object], ...] = (
        lambda: store.write("apps/mail", {"access_key": "mine"}, 1),
        lambda: store.destroy("apps/mail", 1),
        lambda: store.read("apps/media/object-storage"),
        lambda: store.read("hostup-rotator/state/media"),
        lambda: store.read("hostup-rotator/receipts/apps/media/object-storage"),
        lambda: store.write("hostup-rotator/receipts/apps/media/object-storage", {"forged": "yes"}, 0),
        lambda: store.list("apps"),
    )
    for ask in others:
        with pytest.raises(VaultDenied):
            ask()


def test_a_policy_that_differs_is_shown_as_a_diff_before_it_is_replaced(setup: Setup) -> None:
    setup.document("--yes")
    wide = 'path "rotated/*" {\n  capabilities = ["read"]\n}'
    with administrator(setup.server) as root:
        root.sys.create_or_update_policy("hostup-app-mail", wide)
        root.auth.approle.create_or_update_approle("hostup-app-mail", token_policies=["root-like"])
        shown = setup.run()
        assert "policy hostup-app-mail: differs" in shown.stdout
        assert '  -path "rotated/*" {' in shown.stdout
        assert '  +path "rotated/data/apps/mail" {' in shown.stdout
        assert '  -token_policies = ["root-like"]' in shown.stdout
        assert root.sys.read_policy("hostup-app-mail")["data"]["rules"].strip() == wide
        document = setup.document("--yes")
        assert names(document) == ["policy hostup-app-mail", "role hostup-app-mail"]
        assert document["handed_out"] == [], "who logs in by this role has a secret_id already"
        assert "rotated/*" not in root.sys.read_policy("hostup-app-mail")["data"]["rules"]
    assert setup.document()["changes"] == []


def test_roles_for_kubernetes(setup: Setup) -> None:
    document = setup.document("--yes", "--kubernetes", "apps")
    assert "way to log in kubernetes" in names(document)
    assert document["handed_out"] == []
    with administrator(setup.server) as root:
        role = root.read("auth/kubernetes/role/hostup-app-media")["data"]
    assert (role["bound_service_account_namespaces"], role["bound_service_account_names"]) == (["apps"], ["media"])
    assert (role["token_policies"], role["token_period"]) == (["hostup-app-media"], 3600)
    assert role["audience"] == "vault"
    assert setup.document("--kubernetes", "apps")["changes"] == []
    theirs = setup.document("--yes", "--kubernetes", "apps", "--audience", "")
    assert names(theirs) == [name for name in names(document) if name.startswith("role")]
    assert setup.document("--kubernetes", "apps", "--audience", "")["changes"] == []
    wrong = setup.run("--kubernetes", "*")
    assert (wrong.returncode, "is no namespace" in wrong.stderr) == (2, True)


def test_a_mount_of_the_wrong_kind_is_left_as_it_is(setup: Setup) -> None:
    with administrator(setup.server) as root:
        root.sys.enable_secrets_engine("kv", path="old", options={"version": "1"})
        root.sys.enable_secrets_engine("transit", path="other")
        root.sys.enable_auth_method("userpass", path="approle")
    old = setup.run("--yes", mount="old")
    assert (old.returncode, old.stdout) == (1, "")
    assert "the mount old is KV version 1" in old.stderr
    assert "vault kv enable-versioning old" in old.stderr
    other = setup.run("--yes", mount="other")
    assert other.returncode == 1
    assert "is of type transit" in other.stderr
    taken = setup.run("--yes")
    assert taken.returncode == 1
    assert "at auth/approle is the way to log in called userpass" in taken.stderr
    with administrator(setup.server) as root:
        assert "rotated/" not in root.sys.list_mounted_secrets_engines()["data"]
        assert "hostup-rotator" not in root.sys.list_policies()["data"]["policies"]


def test_a_token_that_may_not_is_told_what_it_lacks(setup: Setup) -> None:
    with administrator(setup.server) as root:
        token = root.auth.token.create(policies=["default"], ttl="1h")["auth"]["client_token"]
    done = setup.run("--yes", token=token)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Run this with the token of an administrator" in done.stderr
    assert "sys/mounts" in done.stderr
    assert token not in done.stderr


def test_a_sealed_vault_is_to_be_tried_again(setup: Setup) -> None:
    with administrator(setup.server) as root:
        root.sys.seal()
    done = setup.run("--yes")
    assert done.returncode == 75
    assert "sealed" in done.stderr


def test_two_orders_that_contradict_each_other(setup: Setup) -> None:
    done = setup.run("--yes", "--dry-run")
    assert (done.returncode, "contradict" in done.stderr) == (2, True)


def _unwrap(setup: Setup, token: str) -> httpx.Response:
    url = f"{setup.server.address}/v1/sys/wrapping/unwrap"
    return httpx.post(url, headers={"X-Vault-Token": token}, trust_env=False)
