"""Logins by a JSON Web Token on a real server: of any issuer, and of Kubernetes, of which one answer is simulated."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.vault.conftest import ANYTHING, Connect, everything_told
from tests.contract.vault.issuer import Issuer, not_vouched_for, service_account, vouched_for
from tests.servers import VaultServer
from tests.unit.settings.configuring import TARGET, read
from tests.wire import LOOPBACK_PEM, Wire
from worker.adapters.vault.access import JWT, KUBERNETES, JwtAccess
from worker.adapters.vault.opening import open_vault
from worker.cli import check_vault
from worker.clock import SystemClock
from worker.errors import VaultLoginFailed
from worker.secret import Secret
from worker.service.assemble import build


@pytest.fixture
def policy(root: Any) -> str:
    name = f"policy-{uuid.uuid4()}"
    root.sys.create_or_update_policy(name, ANYTHING)
    return name


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


def role_with(policy: str, **more: object) -> dict[str, object]:
    role = {"role_type": "jwt", "bound_audiences": ["vault"], "user_claim": "sub", "token_policies": [policy]}
    return {**role, "token_ttl": "1h", **more}


@pytest.fixture
def mount(root: Any, policy: str, issuer: Issuer) -> str:
    """A mount of JWT with the role ``rotator``, which it takes where no other is named."""
    mount = f"jwt-{uuid.uuid4()}"
    root.sys.enable_auth_method("jwt", path=mount)
    config = {"jwt_validation_pubkeys": [issuer.public_key], "default_role": "rotator", "bound_issuer": "tests"}
    root.adapter.post(f"/v1/auth/{mount}/config", json=config)
    root.adapter.post(f"/v1/auth/{mount}/role/rotator", json=role_with(policy))
    return mount


def for_vault(issuer: Issuer, **more: Any) -> str:
    return issuer.token(**{"aud": "vault", "sub": "rotator", **more})


@pytest.mark.parametrize("role", ["rotator", ""])
def test_a_login_by_jwt(connected: Connect, issuer: Issuer, mount: str, tmp_path: Path, path: str, role: str) -> None:
    file = tmp_path / "jwt"
    file.write_text(for_vault(issuer) + "\n")
    store = connected(jwt=JwtAccess(JWT, file, mount, role))
    assert store.write(path, {"n": 1}, 0).version == 1
    assert store.check().method == "JWT"


def test_the_token_is_read_anew_at_every_login(
    connected: Connect, root: Any, issuer: Issuer, mount: str, tmp_path: Path, path: str
) -> None:
    file = tmp_path / "jwt"
    file.write_text(for_vault(issuer))
    seen: list[Secret] = []
    store = connected(jwt=JwtAccess(JWT, file, mount), on_new=seen.append)
    first = store.check().accessor
    renewed = for_vault(issuer)
    file.write_text(renewed)
    assert store.check().accessor == first  # a token that works is kept
    root.auth.token.revoke_accessor(first)
    assert store.read(path).version == 0
    assert seen[-1] == Secret(renewed)
    file.unlink()  # for a moment, as it is replaced
    root.auth.token.revoke_accessor(store.check().accessor)
    assert store.read(path).version == 0


def test_a_refused_token_is_named_and_a_new_one_is_taken_at_once(
    connected: Connect, issuer: Issuer, mount: str, tmp_path: Path, path: str
) -> None:
    file = tmp_path / "jwt"
    refused = for_vault(issuer, seconds=-600)
    file.write_text(refused)
    store = connected(jwt=JwtAccess(JWT, file, mount))
    with pytest.raises(VaultLoginFailed, match="refused the JWT login") as caught:
        store.read(path)
    assert str(file) in caught.value.hint
    assert refused not in everything_told(caught.value)
    file.write_text(for_vault(issuer))
    assert store.read(path).version == 0  # the clock stands still: it did not wait


@pytest.mark.parametrize("content", ["", "two words", None])
def test_a_file_without_a_token(
    connected: Connect, issuer: Issuer, mount: str, tmp_path: Path, path: str, content: str | None
) -> None:
    file = tmp_path / "jwt"
    if content is not None:
        file.write_text(content)
    store = connected(jwt=JwtAccess(JWT, file, mount))
    with pytest.raises(VaultLoginFailed, match="holds no token to log in with") as caught:
        store.read(path)
    assert "VAULT_JWT_FILE" in caught.value.hint
    file.write_text(for_vault(issuer))
    assert store.read(path).version == 0


def test_it_is_revoked_at_the_end(connected: Connect, root: Any, issuer: Issuer, mount: str, tmp_path: Path) -> None:
    file = tmp_path / "jwt"
    file.write_text(for_vault(issuer))
    store = connected(jwt=JwtAccess(JWT, file, mount))
    accessor = store.check().accessor
    assert accessor in root.auth.token.list_accessors()["data"]["keys"]
    store.leave()
    assert accessor not in root.auth.token.list_accessors()["data"]["keys"]


def test_a_token_that_cannot_be_renewed_is_no_worry_where_a_new_one_can_be_had(
    server: VaultServer, root: Any, issuer: Issuer, policy: str, mount: str, tmp_path: Path
) -> None:
    root.adapter.post(f"/v1/auth/{mount}/role/rotator", json=role_with(policy, token_type="batch"))
    file = tmp_path / "jwt"
    file.write_text(for_vault(issuer))
    env = {
        "VAULT_ADDR": server.address,
        "VAULT_TOKEN": None,
        "VAULT_AUTH_METHOD": JWT,
        "VAULT_JWT_FILE": str(file),
    }
    runtime = build(read(tmp_path, f'[vault]\njwt_mount = "{mount}"\n{TARGET}', env=env))
    (told,) = [verdict for verdict in check_vault.look(runtime) if verdict.check == "Vault login"]
    runtime.close()
    assert (told.state, told.detail.partition(",")[0]) == ("ok", "by JWT")


def certificate_of(pem: Path) -> str:
    _, begin, rest = pem.read_text("ascii").partition("-----BEGIN CERTIFICATE-----")
    return begin + rest


@pytest.fixture
def kubernetes() -> Iterator[Wire]:
    with Wire(not_vouched_for(), tls=True) as wire:
        yield wire


def test_a_login_by_kubernetes(
    server: VaultServer, root: Any, issuer: Issuer, policy: str, kubernetes: Wire, tmp_path: Path, path: str
) -> None:
    uid, mount = str(uuid.uuid4()), f"clusters/one-{uuid.uuid4()}"
    root.sys.enable_auth_method("kubernetes", path=mount)
    config = {
        "kubernetes_host": kubernetes.url,
        "kubernetes_ca_cert": certificate_of(LOOPBACK_PEM),
        "disable_local_ca_jwt": True,
        "disable_iss_validation": True,
    }
    root.adapter.post(f"/v1/auth/{mount}/config", json=config)
    role = {
        "bound_service_account_names": ["rotator"],
        "bound_service_account_namespaces": ["apps"],
        "token_policies": [policy],
    }
    root.adapter.post(f"/v1/auth/{mount}/role/hostup-rotator", json=role)
    file = tmp_path / "token"
    file.write_text(issuer.token(**service_account("rotator", uid)))
    env = {
        "VAULT_ADDR": server.address,
        "VAULT_TOKEN": None,
        "VAULT_AUTH_METHOD": KUBERNETES,
        "VAULT_AUTH_ROLE": "hostup-rotator",
        "VAULT_JWT_FILE": str(file),
    }
    settings = read(tmp_path, f'[vault]\nkubernetes_mount = "{mount}"\n{TARGET}', env=env)
    store = open_vault(settings, SystemClock())
    with pytest.raises(VaultLoginFailed, match="refused the Kubernetes login"):
        store.read(path)
    kubernetes.script(vouched_for("rotator", uid))
    file.write_text(issuer.token(**service_account("rotator", uid)))
    assert store.write(path, {"n": 1}, 0).version == 1
    assert (store.check().method, store.check().policies) == ("Kubernetes", ("default", policy))
    assert kubernetes.heard[0].target == "/apis/authentication.k8s.io/v1/tokenreviews"
    store.leave()
    store.close()
