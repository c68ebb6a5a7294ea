"""What apps' helpers read from a real Vault, and what they say where they cannot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.servers import VaultServer, start_vault
from worker import errors
from worker.credentials import botocore, read
from worker.credentials.environment import Given, Server
from worker.credentials.login import Session
from worker.credentials.vault import Vault
from worker.secret import Secret

PATH = "apps/a/s3"
POLICY = f'path "secret/data/{PATH}" {{ capabilities = ["read"] }}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with start_vault(tmp_path_factory.mktemp("vault")) as running:
        yield running


@pytest.fixture
def root(server: VaultServer) -> Any:
    client = hvac.Client(url=server.address, token=server.root_token)
    client.secrets.kv.v2.create_or_update_secret(path=PATH, secret={"access_key": "AK", "secret_key": "canary"})
    client.sys.create_or_update_policy("app", POLICY)
    return client


def _session(server: VaultServer, given: Given, address: str = "") -> Session:
    return Session(Vault(Server(address or server.address)), given)


def _approle(root: Any) -> Given:
    if "approle/" not in root.sys.list_auth_methods()["data"]:
        root.sys.enable_auth_method("approle")
    root.auth.approle.create_or_update_approle("app", token_policies=["app"], token_no_default_policy=False)
    role_id = root.auth.approle.read_role_id("app")["data"]["role_id"]
    secret_id = root.auth.approle.generate_secret_id("app")["data"]["secret_id"]
    return Given(role_id=role_id, secret_id=Secret(secret_id), mount="approle")


def test_a_token_reads_its_secret(server: VaultServer, root: Any) -> None:
    fields, version = _session(server, Given(Secret(root.token))).read("secret", PATH)
    assert (fields, version > 0) == ({"access_key": "AK", "secret_key": "canary"}, True)


def test_a_login_by_approle_leaves_no_token_behind(server: VaultServer, root: Any) -> None:
    given = _approle(root)
    before = _tokens(root)
    session = _session(server, given)
    assert session.read("secret", PATH)[0]["access_key"] == "AK"
    assert len(_tokens(root)) == len(before) + 1
    session.end()
    assert _tokens(root) == before


def test_programs_in_python_name_the_mount_of_their_login(
    server: VaultServer, root: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.sys.enable_auth_method("approle", path="elsewhere")
    role = {"token_policies": ["app"], "mount_point": "elsewhere"}
    root.auth.approle.create_or_update_approle("app", **role)
    role_id = root.auth.approle.read_role_id("app", mount_point="elsewhere")["data"]["role_id"]
    secret_id = root.auth.approle.generate_secret_id("app", mount_point="elsewhere")["data"]["secret_id"]
    for name, value in (("ADDR", server.address), ("ROLE_ID", role_id), ("SECRET_ID", secret_id)):
        monkeypatch.setenv(f"VAULT_{name}", value)
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    assert read(PATH, auth_mount="elsewhere").access_key == "AK"
    assert botocore.session(PATH, auth_mount="elsewhere").get_credentials().access_key == "AK"
    with pytest.raises(errors.VaultLoginFailed):
        read(PATH)


def test_a_login_that_has_ended_is_followed_by_a_new_one(server: VaultServer, root: Any) -> None:
    session = _session(server, _approle(root))
    before = _tokens(root)
    session.read("secret", PATH)
    for accessor in _tokens(root) - before:
        root.auth.token.revoke_accessor(accessor)
    assert session.read("secret", PATH)[0]["access_key"] == "AK"
    session.end()


def test_a_token_file_is_read_anew(server: VaultServer, root: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("gone\n")
    session = _session(server, Given(token_file=file))
    with pytest.raises(errors.VaultLoginFailed):
        session.read("secret", PATH)
    file.write_text(f"{root.token}\n")
    assert session.read("secret", PATH)[0]["access_key"] == "AK"


def test_another_path_is_denied_by_the_policy(server: VaultServer, root: Any) -> None:
    session = _session(server, _approle(root))
    with pytest.raises(errors.VaultDenied, match="does not let this token read"):
        session.read("secret", "apps/b/s3")
    session.end()


def test_a_deleted_and_a_missing_secret_are_told(server: VaultServer, root: Any) -> None:
    session = _session(server, Given(Secret(root.token)))
    root.secrets.kv.v2.delete_latest_version_of_secret(path=PATH)
    for path in (PATH, "nothing/here"):
        with pytest.raises(errors.CredentialsMissing, match="undelete"):
            session.read("secret", path)


@pytest.mark.parametrize("content", ["", "two words", "caf\xe9", "x" * 20_000])
def test_a_token_file_without_a_token_is_told_without_its_content(
    server: VaultServer, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "token"
    file.write_text(content, encoding="latin-1")
    with pytest.raises(errors.VaultLoginFailed) as raised:
        _session(server, Given(token_file=file)).read("secret", PATH)
    assert not content or content not in str(raised.value)


def test_nothing_there_and_no_way_to_log_in(server: VaultServer) -> None:
    with pytest.raises(errors.VaultUnavailable, match="cannot be reached"):
        _session(server, Given(Secret("t")), "http://127.0.0.1:1").read("secret", PATH)
    with pytest.raises(errors.VaultLoginFailed, match="no way to log in"):
        _session(server, Given()).read("secret", PATH)


def test_a_sealed_vault_is_told(tmp_path: Path) -> None:
    with start_vault(tmp_path) as server:
        hvac.Client(url=server.address, token=server.root_token).sys.seal()
        with pytest.raises(errors.VaultSealed):
            _session(server, Given(Secret(server.root_token))).read("secret", PATH)


def test_one_file_does_all_of_it_on_a_machine_without_this_project(
    server: VaultServer, root: Any, tmp_path: Path
) -> None:
    repository = Path(__file__).parents[3]
    archive = repository / "dist" / "rotator-app.pyz"
    made = []
    for _ in range(2):
        archive.unlink(missing_ok=True)
        subprocess.run(["make", "app"], cwd=repository, check=True, capture_output=True)
        made.append(archive.read_bytes())
    assert made[0] == made[1]
    env = {"VAULT_ADDR": server.address, "VAULT_TOKEN": root.token, "XDG_RUNTIME_DIR": str(tmp_path)}
    commands = {
        ("credentials",): '"SecretAccessKey": "canary"',
        ("render", "--once", "--to", "key", "--exec", "cat key"): "",
        ("run", "--", "sh", "-c", "echo $AWS_SECRET_ACCESS_KEY"): "canary\n",
    }
    for (name, *rest), expected in commands.items():
        command = [sys.executable, "-I", "-S", str(archive), name, "--path", PATH, *rest]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, expected in done.stdout) == (0, True), done.stderr
    assert "aws_secret_access_key = canary" in (tmp_path / "key").read_text()


def _tokens(root: Any) -> set[str]:
    return set(root.auth.token.list_accessors()["data"]["keys"])
