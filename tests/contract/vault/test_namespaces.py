"""A login in another namespace than that of the secrets, on a server that has namespaces."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac  # type: ignore[import-untyped]  # hvac ships no types
import pytest

from tests.contract.vault.answers import document, login, token
from tests.contract.vault.conftest import Connect, SteppedClock
from tests.servers import VaultServer, wait_until
from tests.wire import Wire, answer
from worker.adapters.vault.kv import VaultStore
from worker.errors import VaultDenied, VaultLoginFailed
from worker.secret import Secret


@dataclass(frozen=True, slots=True)
class Inner:
    """A namespace with a KV version 2 mount ``kv``, and an AppRole in the one around it that may work in there."""

    outer: str | None
    namespace: str
    role_id: str
    secret_id: str


def within(server: VaultServer, namespace: str | None) -> Any:
    return hvac.Client(url=server.address, token=server.root_token, namespace=namespace)


def made(server: VaultServer, outer: str | None) -> Inner:
    name = f"ns-{uuid.uuid4()}"
    around = within(server, outer)
    try:
        around.adapter.post(f"/v1/sys/namespaces/{name}")
    except hvac.exceptions.InvalidPath:
        pytest.skip("this server has no namespaces")
    namespace = f"{outer}/{name}" if outer else name
    inside = within(server, namespace)
    inside.sys.enable_secrets_engine("kv", path="kv", options={"version": "2"})
    policy = (
        f'path "{name}/kv/*" {{ capabilities = ["create", "read", "update", "delete", "list"] }}\n'
        'path "auth/token/lookup-self" { capabilities = ["read"] }\n'
        'path "auth/token/renew-self" { capabilities = ["update"] }\n'
        'path "auth/token/revoke-self" { capabilities = ["update"] }\n'
        f'path "{name}/sys/capabilities-self" {{ capabilities = ["update"] }}\n'
        f'path "{name}/sys/internal/ui/mounts/kv" {{ capabilities = ["read"] }}'
    )
    around.sys.create_or_update_policy(name, policy)
    if "approle/" not in around.sys.list_auth_methods()["data"]:
        around.sys.enable_auth_method("approle")
    around.auth.approle.create_or_update_approle(
        name, token_policies=[name], token_ttl="1h", token_no_default_policy=True
    )
    role_id = around.auth.approle.read_role_id(name)["data"]["role_id"]
    secret_id = around.auth.approle.generate_secret_id(name)["data"]["secret_id"]
    return Inner(outer, namespace, role_id, secret_id)


def opened(connected: Connect, inner: Inner, **access: Any) -> VaultStore:
    """A store of the inner namespace."""
    by_role = {"role_id": inner.role_id, "secret_id": Secret(inner.secret_id), "namespace": inner.namespace}
    return connected(mount="kv", **{**by_role, **access})


def ready(store: VaultStore, path: str) -> None:
    def is_ready() -> bool:
        return not store.missing_capabilities({f"kv/data/{path}": ("read",)})

    wait_until(is_ready, "the new mount is ready")


@pytest.mark.parametrize("named", ["root", "/"])
def test_a_login_in_the_root_namespace(
    connected: Connect, server: VaultServer, root: Any, path: str, named: str
) -> None:
    inner = made(server, None)
    store = opened(connected, inner, auth_namespace=named)
    ready(store, path)
    assert store.write(path, {"n": 1}, 0).version == 1
    assert store.read(path).version == 1
    found = within(server, inner.namespace).secrets.kv.v2.read_secret_version(
        path=path, mount_point="kv", raise_on_deleted_version=True
    )
    assert found["data"]["data"] == {"n": 1}
    accessor = store.check().accessor
    assert accessor in root.auth.token.list_accessors()["data"]["keys"]
    store.leave()
    assert accessor not in root.auth.token.list_accessors()["data"]["keys"]


def test_a_login_in_the_namespace_around_that_is_renewed_and_replaced(
    connected: Connect, server: VaultServer, clock: SteppedClock, path: str
) -> None:
    outer = made(server, None).namespace
    inner = made(server, outer)
    store = opened(connected, inner, auth_namespace=outer)
    ready(store, path)
    assert store.write(path, {"n": 1}, 0).version == 1
    first = store.check().accessor
    clock.seconds += 2600
    store.keep_alive()
    facts = store.check()
    assert (facts.accessor, facts.method) == (first, "AppRole")
    within(server, outer).auth.token.revoke_accessor(first)
    assert store.read(path).version == 1
    assert store.check().accessor != first


def test_without_it_the_login_is_in_the_namespace_of_the_secrets(
    connected: Connect, server: VaultServer, path: str
) -> None:
    inner = made(server, None)
    with pytest.raises(VaultLoginFailed) as caught:
        opened(connected, inner).read(path)
    assert "VAULT_AUTH_NAMESPACE" in caught.value.hint


def test_a_wrapped_secret_id_and_a_token_file(
    connected: Connect, server: VaultServer, tmp_path: Path, path: str
) -> None:
    inner = made(server, None)
    around = within(server, None)
    role = inner.namespace
    wrapped = around.auth.approle.generate_secret_id(role, wrap_ttl="300s")["wrap_info"]["token"]
    store = opened(connected, inner, auth_namespace="root", secret_id=Secret(wrapped), secret_id_wrapped=True)
    ready(store, path)
    assert store.read(path).version == 0
    file = tmp_path / "token"
    file.write_text(around.auth.token.create(policies=[role], ttl="1h")["auth"]["client_token"])
    by_file = connected(mount="kv", namespace=inner.namespace, auth_namespace="root", token_file=file)
    assert by_file.read(path).version == 0
    with pytest.raises(VaultDenied):
        connected(mount="secret", token_file=file).read(path)


def test_a_token_is_looked_after_where_it_was_had(connected: Connect, clock: SteppedClock) -> None:
    """OpenBao takes such calls in a namespace below, too; whether every server does is not known."""
    nothing = answer(204)
    with Wire(login("s.token", 100), document(), login("s.token", 100), token(100), nothing) as wire:
        access = {"namespace": "team/app", "auth_namespace": "team"}
        store = connected(wire.url, role_id="role", secret_id=Secret("secret-id"), **access)
        store.read("app")
        clock.seconds += 70
        store.keep_alive()
        store.check()
        store.leave()
        heard = [(each.target.removeprefix("/v1/"), each.headers["x-vault-namespace"]) for each in wire.heard]
    assert heard == [
        ("auth/approle/login", "team"),
        ("secret/data/app", "team/app"),
        ("auth/token/renew-self", "team"),
        ("auth/token/lookup-self", "team"),
        ("auth/token/revoke-self", "team"),
    ]
