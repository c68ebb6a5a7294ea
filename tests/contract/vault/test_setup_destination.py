"""``rotator vault setup --destination`` and ``rotator check`` on two real servers: enough rights, and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.vault.conftest import Connect, administrator
from tests.servers import VaultServer, start_vault
from worker.errors import VaultDenied
from worker.secret import Secret

CONFIG = """
[vault]
mount = "secret"
[[target]]
name = "media"
path = "apps/media"
also = ["apps/media-copy", "eu:apps/far"]
every = "30d"
[[destination]]
name = "eu"
mount = "copies"
address = "{eu}"
"""


@dataclass(frozen=True, slots=True)
class Two:
    """Two servers, and commands that know both."""

    home: VaultServer
    eu: VaultServer
    folder: Path

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        config = self.folder / "rotator.toml"
        config.write_text(CONFIG.format(eu=self.eu.address))
        return subprocess.run(
            [sys.executable, "-m", "worker.cli", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "ROTATOR_CONFIG": str(config),
                "REDIS_URL": "redis://127.0.0.1:9/0",
                "HOSTUP_API_KEY": "none",
                "VAULT_ADDR": self.home.address,
                "VAULT_TOKEN": self.home.root_token,
                "VAULT_TOKEN_EU": self.eu.root_token,
                **env,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def two(server: VaultServer, tmp_path: Path) -> Iterator[Two]:
    with start_vault(tmp_path / "eu") as running:
        yield Two(server, running, tmp_path)


def test_what_setup_makes_at_a_destination_is_enough_for_copies_and_for_nothing_else(
    two: Two, connected: Connect
) -> None:
    done = two.run("vault", "setup", "--destination", "eu", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [change["kind"] for change in document["changes"]] == [
        "secrets engine",
        "way to log in",
        "policy",
        "policy",
        "role",
        "role",
    ]
    role, app = document["handed_out"]
    assert [role["for"], app["for"]] == ["the worker at eu", "the app of media at eu"]
    store = connected(
        two.eu,
        mount="copies",
        role_id=role["role_id"],
        secret_id=Secret(role["wrapped_secret_id"]),
        secret_id_wrapped=True,
    )
    assert store.missing_capabilities({"copies/data/apps/far": ("create", "read", "update")}) == {}
    assert store.write("apps/far", {"n": 1}, 0).version == 1
    assert store.write("apps/far", {"n": 2}, 1).version == 2
    store.destroy("apps/far", 1)
    store.undelete("apps/far", 2)
    with pytest.raises(VaultDenied):
        store.read("apps/other")
    reader = connected(
        two.eu,
        mount="copies",
        role_id=app["role_id"],
        secret_id=Secret(app["wrapped_secret_id"]),
        secret_id_wrapped=True,
    )
    assert reader.read("apps/far").data == {"n": 2}
    for ask in (lambda: reader.read("apps/other"), lambda: reader.write("apps/far", {"n": 3}, 2)):
        with pytest.raises(VaultDenied):
            ask()
    again = json.loads(two.run("vault", "setup", "--destination", "eu", "--json").stdout)
    assert again["changes"] == []


def test_check_tells_of_each_destination(two: Two) -> None:
    with administrator(two.eu) as root:
        root.sys.enable_secrets_engine("kv", path="copies", options={"version": "2"})
        root.sys.create_or_update_policy("little", 'path "copies/data/apps/far" { capabilities = ["read"] }')
        token = root.auth.token.create(policies=["little"])["auth"]["client_token"]

    def line(**env: str) -> dict[str, str]:
        found = json.loads(two.run("check", "--json", **env).stdout)
        return next(each for each in found if each["check"] == "destination eu")

    well = line()
    assert (well["state"], "by a login of its own (token)" in well["detail"]) == ("ok", True)
    lacks = line(VAULT_TOKEN_EU=token)
    assert (lacks["state"], "create, update on copies/data/apps/far" in lacks["detail"]) == ("failed", True)
    with administrator(two.eu) as root:
        root.sys.seal()
    sealed = line()
    assert (sealed["state"], "sealed" in sealed["detail"]) == ("failed", True)
    variables = [each for each in json.loads(two.run("check", "--json").stdout) if each["check"] == "Vault variables"]
    assert variables == [], "those of a destination are read"


def test_each_app_reads_the_copies_of_its_key_where_it_is(two: Two, connected: Connect) -> None:
    here = json.loads(two.run("vault", "policy", "--app", "media", "--json").stdout)["path"]
    assert {path for path in here if path.startswith("secret/data/apps")} == {
        "secret/data/apps/media",
        "secret/data/apps/media-copy",
    }
    assert "secret/data/hostup-rotator/receipts/apps/media-copy" in here
    assert "far" not in str(here)
    there = json.loads(two.run("vault", "policy", "--app", "media", "--destination", "eu", "--json").stdout)["path"]
    assert {path for path in there if not path.startswith("auth/")} == {
        "copies/data/apps/far",
        "copies/metadata/apps/far",
    }
    assert {tuple(each["capabilities"]) for path, each in there.items() if not path.startswith("auth/")} == {("read",)}
    with administrator(two.home) as root:
        root.sys.create_or_update_policy("reader", json.dumps({"path": here}))
        token = root.auth.token.create(policies=["reader"], no_default_policy=True)["auth"]["client_token"]
        root.secrets.kv.v2.create_or_update_secret("apps/media-copy", {"access_key": "AK"})
    store = connected(two.home, token=Secret(token))
    assert store.read("apps/media-copy").data == {"access_key": "AK"}
    with pytest.raises(VaultDenied):
        store.write("apps/media-copy", {"access_key": "mine"}, 1)
    with pytest.raises(VaultDenied):
        store.read("apps/far")


def test_a_policy_at_a_destination_has_its_paths_alone(two: Two) -> None:
    printed = two.run("vault", "policy", "--destination", "eu").stdout
    assert 'path "copies/data/apps/far" {' in printed
    assert "apps/media" not in printed
    for app, why in (("media", "not configured"), ("other", "")):
        done = two.run("vault", "policy", "--app", app, "--destination", "us")
        assert (done.returncode, done.stdout, why in done.stderr) == (2, "", True)
