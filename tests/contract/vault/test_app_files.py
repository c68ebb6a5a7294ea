"""Recipes of config/apps that can run here: Vault Agent's two, and the files of the one for Compose."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml

from tests.servers import VaultServer, start_vault, stop, vault_binary, wait_until

APPS = Path(__file__).parents[3] / "config" / "apps"
PATH = "apps/media/object-storage"
POLICY = (Path(__file__).parents[3] / "config" / "vault" / "app-policy.hcl").read_text("utf-8")
NAMES = {
    "plain": ("access_key", "secret_key", "endpoint", "region"),
    "aws-env": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3", "AWS_REGION"),
}


@dataclass(frozen=True, slots=True)
class App:
    """An app's machine: a folder in the place of the recipe's, with a login that may read its secret alone."""

    server: VaultServer
    client: Any
    folder: Path

    def write(self, access_key: str, fields: str) -> None:
        values = (access_key, "canary", "https://s3.example", "eu-north-1")
        secret = dict(zip(NAMES[fields], values, strict=True))
        self.client.secrets.kv.v2.create_or_update_secret(path=PATH, secret=secret)

    def recipe(self, name: str, **instead: str) -> Path:
        """The recipe, with what a reader adapts, and a look every second."""
        text = (APPS / name).read_text("utf-8")
        changes = {
            "https://vault.example.com:8200": self.server.address,
            '"/etc/media/': f'"{self.folder}/',
            '"/run/media-key/': f'"{self.folder}/',
            'static_secret_render_interval = "1m"': 'static_secret_render_interval = "1s"',
            **instead,
        }
        for old, new in changes.items():
            text = text.replace(old, new)
        adapted = self.folder / name
        adapted.write_text(text)
        return adapted

    @contextmanager
    def agent(self, recipe: Path) -> Iterator[None]:
        command = [vault_binary(), "agent", "-config", str(recipe)]
        with (self.folder / "agent.log").open("wb") as log:
            child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder)
        try:
            yield
        finally:
            stop(child)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with start_vault(tmp_path_factory.mktemp("vault")) as running:
        yield running


@pytest.fixture
def app(server: VaultServer, tmp_path: Path) -> App:
    client: Any = hvac.Client(url=server.address, token=server.root_token)
    if "approle/" not in client.sys.list_auth_methods()["data"]:
        client.sys.enable_auth_method("approle")
    client.sys.create_or_update_policy("app", POLICY.replace("${MOUNT}", "secret").replace("${APP_PATH}", PATH))
    client.auth.approle.create_or_update_approle("app", token_policies=["app"])
    role_id = client.auth.approle.read_role_id("app")["data"]["role_id"]
    secret_id = client.auth.approle.generate_secret_id("app")["data"]["secret_id"]
    (tmp_path / "vault-role-id").write_text(role_id)
    (tmp_path / "vault-secret-id").write_text(secret_id)
    return App(server, client, tmp_path)


def test_vault_agent_starts_a_program_anew(app: App) -> None:
    log = app.folder / "log"
    program = f'"sh", "-c", "echo $AWS_ACCESS_KEY_ID $AWS_ENDPOINT_URL_S3 >> {log}; exec sleep 600"'
    app.write("AK1", "aws-env")
    with app.agent(app.recipe("vault-agent.hcl", **{'"/usr/local/bin/media"': program})):
        wait_until(lambda: _lines(log) == ["AK1 https://s3.example"], "the program runs with the first key")
        app.write("AK2", "aws-env")
        wait_until(lambda: "AK2 https://s3.example" in _lines(log), "the program runs with the second key")


def test_vault_agent_writes_a_file_and_runs_a_command(app: App) -> None:
    log = app.folder / "log"
    told = f'"sh", "-c", "grep access_key_id {app.folder}/credentials >> {log}"'
    app.write("AK1", "plain")
    recipe = app.recipe("vault-agent-template.hcl", **{'"systemctl", "try-reload-or-restart", "media.service"': told})
    with app.agent(recipe):
        wait_until(lambda: _lines(log) == ["aws_access_key_id = AK1"], "the first key is told")
        assert _lines(app.folder / "credentials") == [
            "[default]",
            "aws_access_key_id = AK1",
            "aws_secret_access_key = canary",
        ]
        app.write("AK2", "plain")
        wait_until(lambda: _lines(log)[-1:] == ["aws_access_key_id = AK2"], "the second key is told")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount something")
def test_the_folder_that_compose_mounts_shows_the_next_key_and_a_file_would_not(app: App) -> None:
    services = yaml.safe_load((APPS / "compose.yml").read_text("utf-8"))["services"]
    (mounted,) = services["backup"]["volumes"]
    assert mounted == "files:/run/keys:ro"
    assert services["backup"]["environment"]["AWS_SHARED_CREDENTIALS_FILE"].startswith("/run/keys/")
    keys, folder, file = (app.folder / name for name in ("keys", "folder", "file"))
    keys.mkdir()
    folder.mkdir()
    file.touch()
    command = [word.replace("/run/keys", str(keys)) for word in services["backup-keys"]["command"]]
    env = {"PATH": os.environ["PATH"], "VAULT_ADDR": app.server.address, "VAULT_TOKEN": app.server.root_token}

    def render(access_key: str) -> None:
        app.write(access_key, "plain")
        words = [sys.executable, "-m", "worker.cli", *command, "--once"]
        subprocess.run(words, env=env, check=True, capture_output=True, timeout=60)

    render("AK1")
    container = f"mount --bind {keys} {folder} && mount --bind {keys}/credentials {file} && echo there && read next"
    look = f"grep -h access_key_id {folder}/credentials {file}"
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f"{container} && {look}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "there\n"
        render("AK2")
        seen, _ = reader.communicate("next\n", timeout=60)
    assert seen.splitlines() == ["aws_access_key_id = AK2", "aws_access_key_id = AK1"]


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines() if file.exists() else []
