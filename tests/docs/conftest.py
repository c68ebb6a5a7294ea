"""What a reader of the README has before the first rotation: a Vault with nothing in it, a Redis, and an account.

The account is a simulated one; Vault and Valkey are real.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from tests.docs.pages import README, ROOT
from tests.docs.session import Session, shell
from worker.sandbox.binaries import vault_binary
from worker.sandbox.run import start_sandbox
from worker.sandbox.servers import start_vault
from worker.sandbox.texts import SandboxOptions

CONFIG = Path("config/rotator.toml")

STAMPS = (".created", ".packages", ".project")
"""The Makefile's, in the order in which it makes them."""

ENVSUBST = f"""#!{sys.executable}
import os, re, sys
sys.stdout.write(re.sub(r"\\$\\{{(\\w+)\\}}", lambda found: os.environ.get(found[1], ""), sys.stdin.read()))
"""
"""GNU's, of the package gettext-base, as far as the pages use it; for machines that have none."""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Session]:
    """A shell in a folder that looks like a checkout, with the README's configuration in it."""
    vault = start_vault(tmp_path / "vault")
    bare = {"PATH": os.environ["PATH"], "VAULT_ADDR": vault.address}
    try:
        with start_sandbox(tmp_path / "sandbox", SandboxOptions(spread=0.0, linger=0.0), bare) as sandbox:
            home = tmp_path / "home"
            home.mkdir()
            (home / ".vault-token").write_text(vault.root_token.reveal())  # what `vault login` leaves there
            (home / "bin").mkdir()
            (home / "bin" / "vault").symlink_to(vault_binary())
            if shutil.which("envsubst") is None:
                (home / "bin" / "envsubst").write_text(ENVSUBST)
                (home / "bin" / "envsubst").chmod(0o700)
            environment = {
                "HOME": str(home),
                "PATH": f"{home / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
                "VAULT_ADDR": vault.address,
                **{name: sandbox.environment[name] for name in ("HOSTUP_API_KEY_FILE", "REDIS_URL_FILE")},
            }
            vault.admin.enable_approle()
            checkout = _checkout(tmp_path / "checkout", sandbox.simulator.hostup)
            with shell(checkout, environment) as session:
                yield session
    finally:
        vault.stop()


def _checkout(folder: Path, hostup: str) -> Path:
    folder.mkdir()
    _link_all(ROOT, folder, but=(".git", ".venv", "config"))
    shutil.copytree(ROOT / "config", folder / "config")
    (least,) = [code.text for code in README.code if code.language == "toml"]
    (folder / CONFIG).write_text(f'{least}\n[hostup]\nbase_url = "{hostup}"\n')
    # an environment of its own, made a moment ago: `make` must not install this folder into that of the tests
    (folder / ".venv").mkdir()
    _link_all(Path(sys.prefix), folder / ".venv", but=STAMPS)
    for stamp in STAMPS:
        (folder / ".venv" / stamp).touch()
    return folder


def _link_all(source: Path, folder: Path, but: Collection[str]) -> None:
    for entry in source.iterdir():
        if entry.name not in but:
            (folder / entry.name).symlink_to(entry)
