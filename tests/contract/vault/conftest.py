"""A real Vault for these tests, an administrator's client, and stores that log in as the worker does."""

from __future__ import annotations

import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any, Protocol

import hvac  # type: ignore[import-untyped]  # hvac ships no types
import pytest

from tests.servers import VaultServer, start_vault
from tests.wire import LOOPBACK_PEM
from worker.adapters.http.trust import TlsFiles
from worker.adapters.vault.kv import VaultAccess, VaultStore, connect
from worker.secret import Secret

POLICIES = Path(__file__).parents[3] / "config" / "vault"
CANARY = "canary-5a1f0e9b-secret"
ANYTHING = 'path "secret/*" { capabilities = ["create", "read", "update", "delete", "list"] }'


class SteppedClock:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> bool:
        self.sleep(seconds)
        return False

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with start_vault(tmp_path_factory.mktemp("vault")) as running:
        with administrator(running) as root:
            root.sys.enable_auth_method("approle")
        yield running


@pytest.fixture
def root(server: VaultServer) -> Iterator[Any]:
    with administrator(server) as client:
        yield client


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def path() -> str:
    """A path that no other test uses."""
    return f"tests/{uuid.uuid4()}/secret"


class Connect(Protocol):
    def __call__(self, at: VaultServer | str | None = None, /, *, mount: str = "secret", **access: Any) -> VaultStore:
        """A store; by the root token of the server for these tests unless told otherwise."""
        ...


@pytest.fixture
def connected(server: VaultServer, clock: SteppedClock) -> Iterator[Connect]:
    opened: list[VaultStore] = []

    def make(at: VaultServer | str | None = None, /, *, mount: str = "secret", **access: Any) -> VaultStore:
        where = at or server
        # one certificate is quicker to load than all of the system's
        trusted = LOOPBACK_PEM
        settings: dict[str, Any] = {"deadline": 30.0, "token": Secret(server.root_token)}
        if isinstance(where, VaultServer):
            settings |= {"address": where.address, "token": Secret(where.root_token)}
            trusted = where.ca_file or LOOPBACK_PEM
        else:
            settings["address"] = where
        if access.keys() & {"token_file", "role_id", "jwt"}:
            settings["token"] = None
        settings |= {"tls": TlsFiles(str(trusted))} | access
        deadline = settings.pop("deadline")
        opened.append(connect(VaultAccess(**settings), mount, clock, deadline=deadline))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(connected: Connect) -> VaultStore:
    """What the root token may do: everything."""
    return connected()


@dataclass(frozen=True, slots=True)
class Role:
    name: str
    role_id: str
    secret_id: Callable[[], str]
    wrapped_secret_id: Callable[[], str]


@pytest.fixture
def role(root: Any) -> Callable[..., Role]:
    """Makes an AppRole with the given policy text and settings."""

    def make(policy: str, **settings: Any) -> Role:
        name = f"role-{uuid.uuid4()}"
        root.sys.create_or_update_policy(name, policy)
        root.auth.approle.create_or_update_approle(name, token_policies=[name], **settings)
        role_id = root.auth.approle.read_role_id(name)["data"]["role_id"]

        def secret_id() -> str:
            return str(root.auth.approle.generate_secret_id(name)["data"]["secret_id"])

        def wrapped() -> str:
            answer = root.auth.approle.generate_secret_id(name, wrap_ttl="300s")
            return str(answer["wrap_info"]["token"])

        return Role(name, role_id, secret_id, wrapped)

    return make


@contextmanager
def administrator(server: VaultServer) -> Iterator[Any]:
    client = hvac.Client(url=server.address, token=server.root_token, verify=str(server.ca_file or True))
    yield client
    client.adapter.close()


def policy_text(name: str, **values: str) -> str:
    return Template((POLICIES / name).read_text("utf-8")).substitute(values)


def everything_told(error: BaseException) -> str:
    """All that an error and those behind it could bring into a log."""
    told, seen = "".join(traceback.format_exception(error)), set[int]()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        told += f"{current!r} {current} {current.args} {getattr(current, '__dict__', {})}"
        pending += [current.__cause__, current.__context__]
    return told
