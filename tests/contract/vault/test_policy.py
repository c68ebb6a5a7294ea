"""The policies in ``config/vault`` are enough for what the rotator and an app do, and no more than that."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.vault.conftest import CANARY, Connect, Role, everything_told, policy_text
from worker.adapters.vault.kv import MountSettings, VaultStore
from worker.errors import VaultDenied, VaultMountMissing
from worker.rotation.ports import DocumentSettings
from worker.secret import Secret

MakeRole = Callable[..., Role]


@pytest.fixture
def app() -> str:
    return f"apps/{uuid.uuid4()}/object-storage"


@pytest.fixture
def state() -> str:
    return f"state-{uuid.uuid4()}/records"


def by(connected: Connect, made: Role) -> VaultStore:
    return connected(role_id=made.role_id, secret_id=Secret(made.secret_id()))


def printed(folder: Path, state: str, app: str, *arguments: str) -> str:
    """What `rotator vault policy` prints for one target."""
    config = folder / "rotator.toml"
    config.write_text(f"""
vault = {{ address = "https://vault.example", state_path = "{state}" }}
redis = {{ url = "redis://127.0.0.1:9/0" }}
target = [{{ name = "media", path = "{app}", every = "30d", grace = "1h" }}]
""")
    command = [sys.executable, "-m", "worker.cli", "vault", "policy", *arguments]
    environment = {"PATH": os.environ["PATH"], "ROTATOR_CONFIG": str(config)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture(params=["the file", "the command", "the command --json"])
def rotator(
    request: pytest.FixtureRequest, tmp_path: Path, connected: Connect, role: MakeRole, app: str, state: str
) -> VaultStore:
    """With the rights that the file in config/ gives, and those that the command prints."""
    text = policy_text("rotator-policy.hcl", MOUNT="secret", STATE_PATH=state, APP_PATH=app)
    if request.param != "the file":
        text = printed(tmp_path, state, app, *request.param.split()[2:])
    return by(connected, role(text, token_no_default_policy=True, token_ttl="1h"))


def test_the_rotators_policy_allows_all_that_a_rotation_does(rotator: VaultStore, app: str, state: str) -> None:
    record = f"{state}/media"
    rotator.prepare_record(record)
    rotator.write(record, {"n": 1}, rotator.read(record).version)
    rotator.write(record, {"n": 2}, rotator.read(record).version)
    assert rotator.list(state) == ("media",)
    rotator.write(app, {"n": 1}, 0)
    rotator.write(app, {"n": 2}, 1)
    rotator.destroy(app, 1)
    assert rotator.read(f"hostup-rotator/receipts/{app}").data is None
    assert rotator.read(app).data == {"n": 2}
    assert rotator.mount_settings() == MountSettings(None, 0)
    assert rotator.settings_of(record) == DocumentSettings(None, 1)
    assert rotator.settings_of(app) == DocumentSettings(None, 0)
    facts = rotator.check()
    assert facts.accessor
    assert "default" not in facts.policies


def test_the_rotators_policy_lacks_nothing_of_what_is_checked(rotator: VaultStore, app: str, state: str) -> None:
    wanted: dict[str, tuple[str, ...]] = {
        f"secret/data/{state}/media": ("create", "read", "update"),
        f"secret/metadata/{state}/media": ("create", "read", "update"),
        f"secret/metadata/{app}": ("read",),
        f"secret/metadata/{state}": ("list",),
        f"secret/data/{app}": ("create", "read", "update"),
        f"secret/destroy/{app}": ("update",),
        f"secret/undelete/{app}": ("update",),
        "secret/config": ("read",),
        "auth/token/lookup-self": ("read",),
        "auth/token/renew-self": ("update",),
        "auth/token/revoke-self": ("update",),
    }
    # what it does lack is asked for as well: it may ask, then
    assert rotator.missing_capabilities({**wanted, "secret/data/other": ("read",)}) == {"secret/data/other": ("read",)}


def test_the_rotators_policy_allows_nothing_else(rotator: VaultStore, app: str, state: str) -> None:
    other: tuple[Callable[[], object], ...] = (
        lambda: rotator.read("apps/other/object-storage"),
        lambda: rotator.write("apps/other/object-storage", {"secret_key": CANARY}, 0),
        lambda: rotator.destroy("apps/other/object-storage", 1),
        lambda: rotator.read(f"{app}/below"),
        lambda: rotator.prepare_record(app),
        lambda: rotator.destroy(f"{state}/media", 1),
        lambda: rotator.list("apps"),
        lambda: rotator.write(f"hostup-rotator/receipts/{app}", {"forged": CANARY}, 0),
        lambda: rotator.read("hostup-rotator/receipts/apps/other/object-storage"),
    )
    for ask in other:
        with pytest.raises(VaultDenied) as caught:
            ask()
        assert CANARY not in everything_told(caught.value)


def test_a_denial_names_the_line_that_the_policy_lacks(rotator: VaultStore) -> None:
    with pytest.raises(VaultDenied) as caught:
        rotator.destroy("apps/other", 3)
    assert 'path "secret/destroy/apps/other" { capabilities = ["update"] }' in caught.value.hint
    assert (caught.value.operation, caught.value.status) == ("destroy", 403)


def test_what_is_missing_is_told_by_path(connected: Connect, role: MakeRole, app: str) -> None:
    store = by(connected, role(f'path "secret/data/{app}" {{ capabilities = ["read"] }}'))
    wanted = {f"secret/data/{app}": ("create", "read", "update"), f"secret/metadata/{app}": ("list",)}
    assert store.missing_capabilities(wanted) == {
        f"secret/data/{app}": ("create", "update"),
        f"secret/metadata/{app}": ("list",),
    }


def test_of_very_many_paths_none_is_left_out(connected: Connect, role: MakeRole, app: str) -> None:
    store = by(connected, role(f'path "secret/data/{app}/*" {{ capabilities = ["read"] }}'))
    wanted: dict[str, tuple[str, ...]] = {f"secret/data/{app}/{number}": ("read",) for number in range(1001)}
    assert store.missing_capabilities({**wanted, "secret/data/other": ("read",)}) == {"secret/data/other": ("read",)}


def test_root_lacks_nothing(store: VaultStore, app: str) -> None:
    assert store.missing_capabilities({f"secret/data/{app}": ("create", "list")}) == {}


def test_a_token_that_may_not_ask_is_not_said_to_lack_anything(connected: Connect, role: MakeRole, app: str) -> None:
    text = f'path "secret/data/{app}" {{ capabilities = ["read"] }}'
    store = by(connected, role(text, token_no_default_policy=True))
    assert store.missing_capabilities({f"secret/data/{app}": ("create",)}) == {}
    facts = store.check()
    assert facts.accessor
    with pytest.raises(VaultDenied):
        store.write(app, {"n": 1}, 0)


def test_a_token_that_may_not_look_itself_up_still_works(
    connected: Connect, role: MakeRole, root: Any, app: str
) -> None:
    made = role(f'path "secret/data/{app}" {{ capabilities = ["read"] }}')
    made_token = root.auth.token.create(policies=[made.name], no_default_policy=True, ttl="1h")["auth"]
    store = connected(token=Secret(made_token["client_token"]))
    assert store.read(app).version == 0
    facts = store.check()
    assert (facts.ttl, facts.accessor) == (None, None)


def test_without_any_right_in_the_mount_it_looks_missing(connected: Connect, role: MakeRole) -> None:
    store = by(connected, role('path "secret-not/*" { capabilities = ["read"] }'))
    with pytest.raises(VaultMountMissing, match="or the token has no right at all in it"):
        store.missing_capabilities({"secret/data/x": ("read",)})


@pytest.mark.parametrize("source", ["the file", "the command"])
def test_an_apps_policy_reads_its_own_secret_and_nothing_else(
    tmp_path: Path, connected: Connect, role: MakeRole, store: VaultStore, app: str, state: str, source: str
) -> None:
    store.write(app, {"access_key": "A"}, 0)
    store.write(f"{state}/media", {"secret_key": CANARY}, 0)
    text = policy_text("app-policy.hcl", MOUNT="secret", APP_PATH=app)
    reader = by(connected, role(text if source == "the file" else printed(tmp_path, state, app, "--app", "media")))
    assert reader.read(app).data == {"access_key": "A"}
    reader.write(f"hostup-rotator/receipts/{app}", {"web-1 endpoint": "one"}, 0)
    reader.write(f"hostup-rotator/receipts/{app}", {"web-1 endpoint": "two"}, 1)
    assert reader.read(f"hostup-rotator/receipts/{app}").version == 2
    lacking = reader.missing_capabilities({f"secret/metadata/{app}": ("read", "update")})
    assert lacking == {f"secret/metadata/{app}": ("update",)}
    refused: tuple[Callable[[], object], ...] = (
        lambda: reader.write(app, {"access_key": "B"}, 1),
        lambda: reader.read(f"{state}/media"),
        lambda: reader.destroy(app, 1),
        lambda: reader.read(f"{app}/below"),
        lambda: reader.read("hostup-rotator/receipts/apps/other/object-storage"),
        lambda: reader.write("hostup-rotator/receipts/apps/other/object-storage", {"forged": "yes"}, 0),
        lambda: reader.write(f"hostup-rotator/receipts/{app}/below", {"forged": "yes"}, 0),
    )
    for ask in refused:
        with pytest.raises(VaultDenied):
            ask()
