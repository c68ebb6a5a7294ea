"""Whatever is wrong with Vault, or with the place where the last good key is kept, is told in words.

No command ends in a traceback, shows a secret, or writes anywhere but where it was told.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.servers import VaultServer, start_vault

PATH = "apps/a/s3"
SECRET = "canary-of-trouble"
COMMANDS = ("credentials", "render", "run")
KEEPING = ("credentials", "run")
FULL = 64
"""Bytes that a file may have: less than a key takes."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with start_vault(tmp_path_factory.mktemp("vault")) as running:
        yield running


@pytest.fixture(autouse=True)
def root(server: VaultServer) -> Any:
    client = hvac.Client(url=server.address, token=server.root_token)
    client.secrets.kv.v2.create_or_update_secret(path=PATH, secret={"access_key": "AK1", "secret_key": SECRET})
    return client


def _run(
    server: VaultServer, folder: Path, command: str, path: str = PATH, *, full: bool = False, token: str = ""
) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": os.environ["PATH"],
        "XDG_RUNTIME_DIR": str(folder),
        "VAULT_ADDR": server.address,
        "VAULT_TOKEN": token or server.root_token,
    }
    rest = {
        "credentials": ["--format", "mc"],
        "render": ["--once", "--to", str(folder / "key")],
        "run": ["--on-change", "nothing", "--", "sh", "-c", "echo $AWS_ACCESS_KEY_ID"],
    }
    done = subprocess.run(
        [sys.executable, "-B", "-m", "worker.cli", command, "--path", path, *rest[command]],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, FULL))) if full else None,
    )
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
    return done


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("path", "token", "says"),
    [
        (PATH, "wrong", "The token or login has expired, was revoked"),
        ("apps/none", "", "there is no secret at secret/data/apps/none"),
    ],
)
def test_a_wrong_token_and_a_wrong_path(
    server: VaultServer, tmp_path: Path, command: str, path: str, token: str, says: str
) -> None:
    done = _run(server, tmp_path, command, path, token=token)
    assert (done.returncode, done.stdout, says in done.stderr) == (1, "", True), done.stderr
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_deleted_secret(server: VaultServer, root: Any, tmp_path: Path, command: str) -> None:
    root.secrets.kv.v2.delete_latest_version_of_secret(path=PATH)
    done = _run(server, tmp_path, command)
    assert (done.returncode, done.stdout, "vault kv undelete" in done.stderr) == (1, "", True), done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_sealed_vault(server: VaultServer, root: Any, tmp_path: Path, command: str) -> None:
    root.sys.seal()
    try:
        done = _run(server, tmp_path, command)
    finally:
        root.sys.submit_unseal_key(server.unseal_key)
    assert (done.returncode, done.stdout, "Vault is sealed. Unseal it" in done.stderr) == (75, "", True), done.stderr


def _open_to_others(folder: Path) -> None:
    (folder / "hostup-rotator").mkdir(mode=0o755)


def _of_another_user(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    (folder / "hostup-rotator").mkdir(mode=0o700)
    os.chown(folder / "hostup-rotator", 12345, 12345)


def _a_link(folder: Path) -> None:
    (folder / "elsewhere").mkdir(mode=0o700)
    (folder / "hostup-rotator").symlink_to(folder / "elsewhere")


def _a_dangling_link(folder: Path) -> None:
    (folder / "hostup-rotator").symlink_to(folder / "elsewhere")


def _a_file(folder: Path) -> None:
    (folder / "hostup-rotator").write_text("precious")


@pytest.mark.parametrize("command", KEEPING)
@pytest.mark.parametrize("spoil", [_open_to_others, _of_another_user, _a_link, _a_dangling_link, _a_file])
def test_a_place_for_the_last_good_key_that_cannot_be_used(
    server: VaultServer, tmp_path: Path, command: str, spoil: Callable[[Path], None]
) -> None:
    spoil(tmp_path)
    before = _tree(tmp_path)
    done = _run(server, tmp_path, command)
    assert (done.returncode, "AK1" in done.stdout) == (0, True), done.stderr
    assert f"the cache in {tmp_path}/hostup-rotator" in done.stderr
    assert "--no-cache" in done.stderr
    assert _tree(tmp_path) == before


@pytest.mark.parametrize("command", KEEPING)
def test_a_kept_key_that_others_could_have_written(server: VaultServer, tmp_path: Path, command: str) -> None:
    assert _run(server, tmp_path, command).returncode == 0
    (kept,) = (tmp_path / "hostup-rotator").iterdir()
    kept.chmod(0o666)
    kept.write_text(kept.read_text().replace("AK1", "EVIL"))
    done = _run(server, tmp_path, command)
    assert ("AK1" in done.stdout, "EVIL" in done.stdout, "others can read it" in done.stderr) == (True, False, True)


@pytest.mark.parametrize("command", KEEPING)
def test_a_full_disk_is_told_and_the_key_handed_out(server: VaultServer, tmp_path: Path, command: str) -> None:
    done = _run(server, tmp_path, command, full=True)
    assert (done.returncode, "AK1" in done.stdout) == (0, True), done.stderr
    assert f"the cache in {tmp_path}/hostup-rotator cannot be used" in done.stderr
    assert list((tmp_path / "hostup-rotator").iterdir()) == []


def test_a_full_disk_leaves_the_file_that_is_there(server: VaultServer, root: Any, tmp_path: Path) -> None:
    assert _run(server, tmp_path, "render").returncode == 0
    before = (tmp_path / "key").read_text()
    root.secrets.kv.v2.create_or_update_secret(path=PATH, secret={"access_key": "AK2", "secret_key": SECRET})
    done = _run(server, tmp_path, "render", full=True)
    assert (done.returncode, f"{tmp_path}/key cannot be written" in done.stderr) == (1, True), done.stderr
    assert _tree(tmp_path) == {tmp_path / "key": before}


def _tree(folder: Path) -> dict[Path, str]:
    """All that is below a folder: the content of files, and where links lead."""
    found = {}
    for each in folder.rglob("*"):
        found[each] = str(each.readlink()) if each.is_symlink() else each.read_text() if each.is_file() else ""
    return found
