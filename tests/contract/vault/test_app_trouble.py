"""Whatever is wrong with Vault, or with the place where the last good key is kept, is told in words.

No command ends in a traceback, shows a secret, or writes anywhere but where it was told.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
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


def _env(server: VaultServer, folder: Path, token: str = "") -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "XDG_RUNTIME_DIR": str(folder),
        "VAULT_ADDR": server.address,
        "VAULT_TOKEN": token or server.root_token,
    }


def _run(
    server: VaultServer, folder: Path, command: str, path: str = PATH, *, full: bool = False, token: str = ""
) -> subprocess.CompletedProcess[str]:
    rest = {
        "serve-credentials": ["--listen", "127.0.0.1:0"],
        "credentials": ["--format", "mc"],
        "render": ["--once", "--to", str(folder / "key")],
        "run": ["--on-change", "nothing", "--", "sh", "-c", "echo $AWS_ACCESS_KEY_ID"],
    }
    done = subprocess.run(
        [sys.executable, "-B", "-m", "worker.cli", command, "--path", path, *rest[command]],
        env=_env(server, folder, token),
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


@contextmanager
def _serving(server: VaultServer, folder: Path, path: str = PATH, token: str = "") -> Iterator[httpx.Client]:
    """The endpoint; whatever is wrong with Vault, it stays, says so, and ends when it is told to."""
    command = [sys.executable, "-B", "-m", "worker.cli", "serve-credentials", "--listen", "127.0.0.1:0", "--path", path]
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen(
            command, env=_env(server, folder, token), stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"# {path}\n", (folder / "said").read_text()
            url, file = (process.stdout.readline().strip().partition("=")[2] for _ in range(2))
            with httpx.Client(headers={"Authorization": Path(file).read_text()}, trust_env=False) as client:
                client.base_url = url.removesuffix(path)
                yield client
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
    told = (folder / "said").read_text()
    assert "Traceback" not in told
    assert SECRET not in told


def _refused(client: httpx.Client, path: str, says: str) -> None:
    """A program gets an error in the form that SDKs show; what it says is on stderr, too."""
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"], says in answer.json()["message"]) == (503, "RotatorError", True)


@pytest.mark.parametrize(
    ("path", "token", "says"),
    [
        (PATH, "wrong", "The token or login has expired, was revoked"),
        ("apps/none", "", "there is no secret at secret/data/apps/none"),
    ],
)
def test_the_endpoint_says_what_is_wrong_with_its_login_or_its_path(
    server: VaultServer, tmp_path: Path, path: str, token: str, says: str
) -> None:
    with _serving(server, tmp_path, path, token) as client:
        _refused(client, path, says)
        assert client.get("/healthz").json() == {"status": "ok"}
    assert (tmp_path / "said").read_text().count(says) == 1


def test_the_endpoint_of_a_deleted_secret_goes_on_when_it_is_back(
    server: VaultServer, root: Any, tmp_path: Path
) -> None:
    root.secrets.kv.v2.delete_latest_version_of_secret(path=PATH)
    version = root.secrets.kv.v2.read_secret_metadata(path=PATH)["data"]["current_version"]
    with _serving(server, tmp_path) as client:
        _refused(client, PATH, "vault kv undelete")
        root.secrets.kv.v2.undelete_secret_versions(path=PATH, versions=[version])
        assert client.post(f"/refresh/{PATH}").json()["AccessKeyId"] == "AK1"
        root.secrets.kv.v2.delete_latest_version_of_secret(path=PATH)
        assert client.post(f"/refresh/{PATH}").json()["AccessKeyId"] == "AK1"  # the last good key
    assert "the last good key stays in use" in (tmp_path / "said").read_text()


def test_the_endpoint_serves_the_last_good_key_while_vault_is_sealed(
    server: VaultServer, root: Any, tmp_path: Path
) -> None:
    with _serving(server, tmp_path) as client:
        assert client.get(PATH).json()["AccessKeyId"] == "AK1"
        root.sys.seal()
        try:
            assert client.post("/refresh").status_code == 200
            assert client.get(PATH).json()["AccessKeyId"] == "AK1"
        finally:
            root.sys.submit_unseal_key(server.unseal_key)
    assert "Vault is sealed" in (tmp_path / "said").read_text()


def test_the_endpoint_that_finds_vault_sealed_has_a_key_when_it_is_not(
    server: VaultServer, root: Any, tmp_path: Path
) -> None:
    root.sys.seal()
    try:
        with _serving(server, tmp_path) as client:
            _refused(client, PATH, "Vault is sealed. Unseal it")
            root.sys.submit_unseal_key(server.unseal_key)
            assert client.post(f"/refresh/{PATH}").json()["AccessKeyId"] == "AK1"
    finally:
        root.sys.submit_unseal_key(server.unseal_key)


@pytest.mark.parametrize("spoil", [_open_to_others, _of_another_user, _a_link, _a_dangling_link, _a_file])
def test_a_place_for_the_token_that_cannot_be_used_ends_the_endpoint(
    server: VaultServer, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """It would be in vain, and a token that others can read worse than none; `--token-file` names another place."""
    spoil(tmp_path)
    before = _tree(tmp_path)
    done = _run(server, tmp_path, "serve-credentials")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"the folder {tmp_path}/hostup-rotator" in done.stderr
    assert "--token-file" in done.stderr
    assert _tree(tmp_path) == before


def _tree(folder: Path) -> dict[Path, str]:
    """All that is below a folder: the content of files, and where links lead."""
    found = {}
    for each in folder.rglob("*"):
        found[each] = str(each.readlink()) if each.is_symlink() else each.read_text() if each.is_file() else ""
    return found
