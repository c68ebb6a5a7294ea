"""The container credentials endpoint hands keys to programs of this machine that know the token, and to nobody else."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.servers import VaultServer, start_vault
from worker.credentials.endpoint import Address, Endpoint, address_from, token_in
from worker.credentials.environment import Given, Place, Server
from worker.credentials.keeper import Keeper
from worker.credentials.login import Session
from worker.credentials.vault import Vault
from worker.errors import ConfigurationError
from worker.secret import Secret

TOKEN = "a-token-of-the-test-and-long"
NAME, OTHER = "apps/a", "apps/b"
ANY_PORT = Address("127.0.0.1", 0)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with start_vault(tmp_path_factory.mktemp("vault")) as server:
        yield server


@contextmanager
def _endpoint(vault: VaultServer, address: Address | Path = ANY_PORT) -> Iterator[httpx.Client]:
    session = Session(Vault(Server(vault.address)), Given(Secret(vault.root_token)))
    keepers = {name: _keeper(session, name) for name in (NAME, OTHER)}
    server = Endpoint(address, Secret(TOKEN), keepers)
    for keeper in keepers.values():
        keeper.start()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with httpx.Client(base_url=server.url, headers={"Authorization": TOKEN}, trust_env=False) as client:
            yield client
    finally:
        server.shutdown()
        server.server_close()
        for keeper in keepers.values():
            keeper.end()


def _keeper(session: Session, name: str) -> Keeper:
    place, hour = Place(name, "secret", name), timedelta(hours=1)
    return Keeper(session.read, place, hour, lambda _: None, on_change=lambda _: None, broke=lambda: None)


def _write(vault: VaultServer, access_key: str, name: str = NAME) -> None:
    data = {"access_key": access_key, "secret_key": "canary", "grace_seconds": 600}
    headers = {"X-Vault-Token": vault.root_token}
    url = f"{vault.address}/v1/secret/data/{name}"
    httpx.post(url, headers=headers, json={"data": data}, trust_env=False).raise_for_status()


def test_a_program_gets_the_key_and_the_next_one_after_a_refusal(vault: VaultServer) -> None:
    _write(vault, "AK1")
    with _endpoint(vault) as client:
        answer = client.get(f"/{NAME}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() | {"Expiration": ""} == {
            "Version": 1,
            "AccessKeyId": "AK1",
            "SecretAccessKey": "canary",
            "Expiration": "",
            "Token": "",
        }
        _write(vault, "AK2")
        assert client.post("/refresh").status_code == 200
        assert client.get(f"/{NAME}").json()["AccessKeyId"] == "AK2"


def test_each_secret_has_a_path_of_its_own_and_is_looked_at_by_itself(vault: VaultServer) -> None:
    _write(vault, "A1")
    _write(vault, "B1", OTHER)
    with _endpoint(vault) as client:
        assert [_key(client.get(f"/{name}")) for name in (NAME, OTHER)] == ["A1", "B1"]
        _write(vault, "A2")
        _write(vault, "B2", OTHER)
        assert _key(client.post(f"/refresh/{OTHER}")) == "B2"
        assert [_key(client.get(f"/{name}")) for name in (NAME, OTHER)] == ["A1", "B2"]
        assert client.post("/refresh").json() == {"status": "ok"}
        assert [_key(client.get(f"/{name}")) for name in (NAME, OTHER)] == ["A2", "B2"]


@pytest.mark.parametrize("path", ["/refresh", f"/refresh/{NAME}", "/none"])
@pytest.mark.parametrize("token", [TOKEN, "another"])
def test_a_client_is_told_that_the_connection_ends_after_a_post(vault: VaultServer, path: str, token: str) -> None:
    _write(vault, "A1")
    with _endpoint(vault) as client:
        assert "connection" not in client.get(f"/{NAME}").headers
        answer = client.post(path, content=b"not read", headers={"Authorization": token})
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/", "/apps/a", "/refreshing", "/refresh/apps/none", "/refresh/apps/a/x"])
def test_there_is_nothing_else_to_post_to(vault: VaultServer, path: str) -> None:
    _write(vault, "A1")
    with _endpoint(vault) as client:
        assert client.post(path).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "wrong"}, 401),
        ({"Authorization": TOKEN + "x"}, 401),
        ({"Authorization": "t\xf6ken"}, 401),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_else_gets_anything(vault: VaultServer, headers: dict[str, str], status: int, method: str) -> None:
    _write(vault, "AK1")
    with _endpoint(vault) as client:
        path = f"/{NAME}" if method == "GET" else f"/refresh/{NAME}"
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = client.request(method, path, headers=raw)
        assert answer.status_code == status
        assert "canary" not in answer.text


def _key(answer: httpx.Response) -> str:
    return str(answer.json()["AccessKeyId"])


@pytest.mark.parametrize("path", ["/", "/apps", f"/{NAME}/x", f"/..%2f{NAME}", "/x%00"])
def test_another_path_is_not_there(vault: VaultServer, path: str) -> None:
    with _endpoint(vault) as client:
        assert client.get(path).status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_no_address_is_answered(vault: VaultServer, method: str) -> None:
    with (
        _endpoint(vault) as client,
        socket.create_connection((client.base_url.host, client.base_url.port or 0)) as line,
    ):
        host = client.base_url.netloc.decode()
        line.sendall(f"{method} http://[ HTTP/1.1\r\nHost: {host}\r\nAuthorization: {TOKEN}\r\n\r\n".encode())
        assert b" 404 " in line.makefile("rb").readline()


def test_health_needs_no_token_and_tells_nothing(vault: VaultServer) -> None:
    with _endpoint(vault) as client:
        assert client.get("/healthz", headers={"Authorization": ""}).json() == {"status": "ok"}


@pytest.mark.parametrize(
    "text", ["0.0.0.0:1", "192.168.1.1:80", "[::]:1", "example.com:1", "127.0.0.1", "", "127.0.0.1:x"]
)
def test_it_listens_on_loopback_only(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--listen"):
        address_from(text)


@pytest.mark.parametrize("text", ["127.0.0.1:1", "127.0.0.2:1", "localhost:1", "[::1]:1"])
def test_any_loopback_address_will_do(text: str) -> None:
    address = address_from(text)
    assert isinstance(address, Address)
    assert address.port == 1


@pytest.mark.parametrize("text", ["unix:", "unix:keys.sock", f"unix:/{'x' * 107}"])
def test_a_socket_needs_a_whole_path(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no path of a socket"):
        address_from(text)


def test_a_unix_socket_is_its_owners_and_needs_the_token_too(vault: VaultServer, tmp_path: Path) -> None:
    _write(vault, "AK1")
    path = tmp_path / "keys.sock"
    with _endpoint(vault, address_from(f"unix:{path}")) as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with httpx.Client(base_url=server.base_url, transport=httpx.HTTPTransport(uds=str(path))) as client:
            assert client.get(f"/{NAME}", headers={"Authorization": TOKEN}).json()["AccessKeyId"] == "AK1"
            assert client.get(f"/{NAME}").status_code == 401
            assert client.get(f"/{NAME}", headers={"Host": "evil", "Authorization": TOKEN}).status_code == 403


def test_a_socket_that_was_left_behind_makes_place_and_nothing_else_does(vault: VaultServer, tmp_path: Path) -> None:
    path = tmp_path / "keys.sock"
    for _ in range(2):
        with _endpoint(vault, path), pytest.raises(ConfigurationError, match="there already"), _endpoint(vault, path):
            pass
    path.unlink()
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="there already"), _endpoint(vault, path):
        pass
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="there already"), _endpoint(vault, path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_the_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = token_in(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token_in(file) == token
    assert len(token.reveal()) >= 32


@pytest.mark.parametrize(
    "content", ["short", "with an end of line, which botocore refuses\n", "sp ace sp ace sp ace", ""]
)
def test_a_token_that_programs_could_not_show_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="token-file"):
        token_in(file)


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token_in(file)
    for mode in (0o604, 0o620, 0o602):
        file.chmod(mode)
        with pytest.raises(ConfigurationError, match="others cannot read"):
            token_in(file)


def test_a_token_as_kubernetes_mounts_it_is_taken(tmp_path: Path) -> None:
    file, link = tmp_path / "token", tmp_path / "link"
    token = token_in(file)
    file.chmod(0o440)
    link.symlink_to(file)
    assert token_in(link) == token


def test_a_token_is_not_made_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nothing")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        token_in(link)
    assert not (tmp_path / "nothing").exists()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from worker.credentials.endpoint import token_in
from worker.errors import ConfigurationError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, most))
try:
    token_in(Path(sys.argv[1]))
except ConfigurationError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
token_in(Path(sys.argv[1]))
"""


def test_a_full_disk_leaves_no_part_of_a_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(file)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "--token-file" in done.stdout
    assert "cannot be made" in done.stdout
    assert [each.name for each in tmp_path.iterdir()] == ["token"], "nothing unfinished is left"


def test_endpoints_that_start_at_once_have_one_token(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        tokens = [each.reveal() for each in pool.map(lambda _: token_in(tmp_path / "token"), range(32))]
    assert len(set(tokens)) == 1
    assert len(list(tmp_path.iterdir())) == 1
