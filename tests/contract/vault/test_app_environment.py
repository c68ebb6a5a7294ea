"""How apps' helpers log in, as their environment tells it, and how they know a target by its name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.vault.conftest import policy_text
from tests.contract.vault.issuer import Issuer, not_vouched_for, service_account, vouched_for
from tests.contract.vault.test_jwt_login import certificate_of
from tests.servers import VaultServer
from tests.wire import LOOPBACK_PEM, Wire
from worker.credentials import read
from worker.credentials.environment import SERVICE_ACCOUNT_TOKEN, login_from, names_from, server_from
from worker.credentials.login import Session
from worker.credentials.vault import Vault
from worker.errors import ConfigurationError, CredentialsUnusable, UsageError, VaultDenied, VaultLoginFailed
from worker.targets.fields import PRESETS


@dataclass(frozen=True, slots=True)
class App:
    """An app with a secret and a policy of its own; ``env`` says where Vault is, ``mount`` where it logs in."""

    path: str
    policy: str
    env: Mapping[str, str]
    mount: str

    def session(self, mount: str | None = None, **env: str) -> Session:
        given = login_from({**self.env, **env}, self.mount if mount is None else mount)
        return Session(Vault(server_from(self.env)), given)


@pytest.fixture
def app(server: VaultServer, root: Any, path: str, tmp_path: Path) -> App:
    name = f"app-{uuid.uuid4()}"
    root.secrets.kv.v2.create_or_update_secret(path=path, secret={"access_key": "AK1", "secret_key": "canary"})
    root.sys.create_or_update_policy(name, policy_text("app-policy.hcl", MOUNT="secret", APP_PATH=path))
    return App(path, name, {"VAULT_ADDR": server.address, "HOME": str(tmp_path)}, f"login/{name}")


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
def kubernetes(root: Any, app: App) -> Iterator[Wire]:
    """Kubernetes' part of it; by its role ``media`` the service account of that name logs in at the app's mount."""
    with Wire(not_vouched_for(), tls=True) as wire:
        root.sys.enable_auth_method("kubernetes", path=app.mount)
        config = {
            "kubernetes_host": wire.url,
            "kubernetes_ca_cert": certificate_of(LOOPBACK_PEM),
            "disable_local_ca_jwt": True,
            "disable_iss_validation": True,
        }
        root.adapter.post(f"/v1/auth/{app.mount}/config", json=config)
        bound = {"bound_service_account_names": ["media"], "bound_service_account_namespaces": ["apps"]}
        root.adapter.post(f"/v1/auth/{app.mount}/role/media", json={**bound, "token_policies": [app.policy]})
        yield wire


@pytest.fixture
def by_jwt(root: Any, app: App, issuer: Issuer) -> None:
    """By its role ``media``, which need not be named, a token of the issuer's logs in at the app's mount."""
    root.sys.enable_auth_method("jwt", path=app.mount)
    config = {"jwt_validation_pubkeys": [issuer.public_key], "default_role": "media"}
    root.adapter.post(f"/v1/auth/{app.mount}/config", json=config)
    role = {"role_type": "jwt", "bound_audiences": ["vault"], "user_claim": "sub", "token_policies": [app.policy]}
    root.adapter.post(f"/v1/auth/{app.mount}/role/media", json=role)


def _tokens(root: Any) -> set[str]:
    return set(root.auth.token.list_accessors()["data"]["keys"])


def _reads_its_own_alone(root: Any, session: Session, app: App) -> None:
    """And leaves no token behind that was not there before."""
    before = _tokens(root)
    assert session.read("secret", app.path)[0]["access_key"] == "AK1"
    with pytest.raises(VaultDenied):
        session.read("secret", f"{app.path}/below")
    session.end()
    assert _tokens(root) == before


@pytest.mark.parametrize("way", ["VAULT_TOKEN", "VAULT_TOKEN_FILE", "what `vault login` left"])
def test_a_token(root: Any, app: App, tmp_path: Path, way: str) -> None:
    token = root.auth.token.create(policies=[app.policy], ttl="1h")["auth"]["client_token"]
    file = tmp_path / ("token" if way == "VAULT_TOKEN_FILE" else ".vault-token")
    file.write_text("of somebody else\n" if way == "VAULT_TOKEN" else f"{token}\n")
    env = {"VAULT_TOKEN": {"VAULT_TOKEN": token}, "VAULT_TOKEN_FILE": {"VAULT_TOKEN_FILE": str(file)}}.get(way, {})
    _reads_its_own_alone(root, app.session(**env), app)


def _approle(root: Any, app: App, **settings: Any) -> dict[str, str]:
    """The variables of an AppRole of the app's."""
    approle = root.auth.approle
    approle.create_or_update_approle(app.policy, token_policies=[app.policy], **settings)
    role_id = approle.read_role_id(app.policy)["data"]["role_id"]
    if settings.get("bind_secret_id") is False:
        return {"VAULT_ROLE_ID": role_id}
    secret_id = approle.generate_secret_id(app.policy)["data"]["secret_id"]
    return {"VAULT_ROLE_ID": role_id, "VAULT_SECRET_ID": secret_id}


def _in_files(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    for name, value in env.items():
        (folder / name).write_text(f"{value}\n")
    return {f"{name}_FILE": str(folder / name) for name in env}


@pytest.mark.parametrize("by_file", [False, True])
def test_approle(root: Any, app: App, tmp_path: Path, *, by_file: bool) -> None:
    values = _approle(root, app)
    env = _in_files(tmp_path, values) if by_file else values
    _reads_its_own_alone(root, app.session("", **env), app)


def test_approle_without_a_secret_id(root: Any, app: App) -> None:
    env = _approle(root, app, bind_secret_id=False, token_bound_cidrs=["127.0.0.1/32"])
    _reads_its_own_alone(root, app.session("", **env), app)


@pytest.mark.parametrize("mount", ["approle", "not/enabled"])
def test_a_wrong_login_is_told_without_the_secret_id(root: Any, app: App, mount: str) -> None:
    env = _approle(root, app)
    if mount == "approle":
        env["VAULT_SECRET_ID"] = str(uuid.uuid4())
    with pytest.raises(VaultLoginFailed) as raised:
        app.session(mount, **env).read("secret", app.path)
    assert "secret id (used up, expired?)" in str(raised.value)
    assert f"auth/{mount} (--auth-mount)" in str(raised.value)
    assert env["VAULT_SECRET_ID"] not in str(raised.value)


def test_a_file_of_the_secret_id_is_read_anew_at_each_login(root: Any, app: App, tmp_path: Path) -> None:
    env = _in_files(tmp_path, _approle(root, app))
    (tmp_path / "VAULT_SECRET_ID").write_text(str(uuid.uuid4()))
    session = app.session("", **env)
    with pytest.raises(VaultLoginFailed):
        session.read("secret", app.path)
    (tmp_path / "VAULT_SECRET_ID").write_text(_approle(root, app)["VAULT_SECRET_ID"])
    _reads_its_own_alone(root, session, app)


def test_a_file_of_the_role_id_that_is_missing_is_named(app: App, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"VAULT_ROLE_ID_FILE: .*nothing cannot be read"):
        app.session(VAULT_ROLE_ID_FILE=str(tmp_path / "nothing"))


@pytest.mark.usefixtures("by_jwt")
@pytest.mark.parametrize("named", [{"VAULT_AUTH_ROLE": "media"}, {}])
def test_a_json_web_token(root: Any, app: App, issuer: Issuer, tmp_path: Path, named: dict[str, str]) -> None:
    file = tmp_path / "jwt"
    file.write_text(issuer.token(aud="vault", sub="a job") + "\n")
    session = app.session(VAULT_AUTH_METHOD="jwt", VAULT_JWT_FILE=str(file), **named)
    _reads_its_own_alone(root, session, app)


@pytest.mark.usefixtures("by_jwt")
def test_a_json_web_token_is_read_anew_at_each_login(root: Any, app: App, issuer: Issuer, tmp_path: Path) -> None:
    file = tmp_path / "jwt"
    refused = issuer.token(aud="vault", sub="a job", seconds=-600)
    file.write_text(refused)
    session = app.session(VAULT_AUTH_METHOD="jwt", VAULT_JWT_FILE=str(file))
    with pytest.raises(VaultLoginFailed) as raised:
        session.read("secret", app.path)
    assert "VAULT_AUTH_ROLE, and the token in" in str(raised.value)
    assert refused not in str(raised.value)
    file.write_text(issuer.token(aud="vault", sub="a job"))
    before = _tokens(root)
    assert session.read("secret", app.path)[0]["access_key"] == "AK1"
    (ours,) = _tokens(root) - before
    root.auth.token.revoke_accessor(ours)
    assert session.read("secret", app.path)[0]["access_key"] == "AK1"
    session.end()


def test_a_service_account_of_kubernetes(root: Any, app: App, issuer: Issuer, kubernetes: Wire, tmp_path: Path) -> None:
    uid = str(uuid.uuid4())
    file = tmp_path / "token"
    file.write_text(issuer.token(**service_account("media", uid)))
    session = app.session(VAULT_AUTH_METHOD="kubernetes", VAULT_AUTH_ROLE="media", VAULT_JWT_FILE=str(file))
    with pytest.raises(VaultLoginFailed):
        session.read("secret", app.path)
    kubernetes.script(vouched_for("media", uid))
    _reads_its_own_alone(root, session, app)
    assert kubernetes.heard[0].target == "/apis/authentication.k8s.io/v1/tokenreviews"


def test_the_token_of_a_service_account_lies_where_each_pod_has_it() -> None:
    assert login_from({"VAULT_AUTH_METHOD": "kubernetes"}).jwt_file == SERVICE_ACCOUNT_TOKEN
    assert login_from({"VAULT_JWT_FILE": "/jwt"}).jwt_file is None  # VAULT_AUTH_METHOD says what it is


@pytest.mark.parametrize(
    ("env", "mount"),
    [
        ({"VAULT_ROLE_ID": "r"}, "roles"),
        ({"VAULT_AUTH_METHOD": "kubernetes"}, "cluster"),
        ({"VAULT_AUTH_METHOD": "jwt", "VAULT_JWT_FILE": "/jwt"}, "jwt"),
        ({"VAULT_AUTH_METHOD": "kubernetes", "VAULT_ROLE_ID": "r"}, "roles"),
    ],
)
def test_each_way_is_enabled_where_the_configuration_says(env: dict[str, str], mount: str) -> None:
    mounts = {"approle": "roles", "kubernetes": "cluster"}
    assert login_from(env, "", mounts).mount == mount
    assert login_from(env, "said", mounts).mount == "said"


@pytest.mark.parametrize(
    "fields", ["access_key=S3_KEY,secret_key=S3_SECRET", " access_key = S3_KEY, secret_key=S3_SECRET"]
)
def test_names_of_ones_own_are_told(fields: str) -> None:
    names = names_from(fields)
    assert names is not None
    told = [names.name_of(each) for each in ("access_key", "secret_key", "endpoint", "grace_seconds")]
    assert told == ["S3_KEY", "S3_SECRET", "endpoint", "grace_seconds"]


@pytest.mark.parametrize("fields", ["", *PRESETS])
def test_names_of_a_kind_are_told_by_its_name(fields: str) -> None:
    assert names_from(fields) == PRESETS.get(fields)


@pytest.mark.parametrize(
    "fields",
    [
        "plains",
        "access_key",
        "access_key=",
        "=S3_KEY",
        "acces_key=S3_KEY",
        "access_key=A,access_key=B",
        "access_key=A,",
        "=",
    ],
)
def test_fields_that_say_nothing_are_refused(fields: str) -> None:
    with pytest.raises(UsageError, match="names no fields"):
        names_from(fields)


@pytest.fixture
def own_names(root: Any, app: App) -> App:
    """The app's secret has a key under names that nobody could guess."""
    secret = {"S3_KEY": "AK2", "S3_SECRET": "canary", "endpoint": "https://s3.example", "region": "eu-north-1"}
    root.secrets.kv.v2.create_or_update_secret(path=app.path, secret=secret)
    return app


FIELDS = "access_key=S3_KEY,secret_key=S3_SECRET"


def test_a_program_in_python_reads_its_key(root: Any, own_names: App, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**own_names.env, **_approle(root, own_names)}.items():
        monkeypatch.setenv(name, value)
    before = _tokens(root)
    key = read(own_names.path, fields=FIELDS)
    assert (key.access_key, key.secret_key.reveal(), key.endpoint) == ("AK2", "canary", "https://s3.example")
    assert (key.region, key.version) == ("eu-north-1", 2)
    assert "canary" not in repr(key)
    assert read(f"secret/{own_names.path}/", fields=FIELDS) == key
    with pytest.raises(CredentialsUnusable, match="--fields"):
        read(own_names.path)
    with pytest.raises(VaultDenied):
        read(f"{own_names.path}/below")
    with pytest.raises(UsageError):
        read("../other")
    assert _tokens(root) == before


def test_without_vault_a_program_in_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    with pytest.raises(ConfigurationError, match="VAULT_ADDR"):
        read("apps/a")


@pytest.mark.parametrize("way", ["credentials", "render", "run"])
def test_each_command_takes_names_of_ones_own(root: Any, own_names: App, tmp_path: Path, way: str) -> None:
    machine = Machine(tmp_path, {"PATH": os.environ["PATH"], **own_names.env, "VAULT_TOKEN": root.token})
    more = {
        "credentials": ["--format", "env", "--no-cache"],
        "render": ["--once", "--to", "key", "--exec", "cat key"],
        "run": ["--no-cache", "--", "sh", "-c", "echo $AWS_ACCESS_KEY_ID"],
    }[way]
    code, out, said = machine.run(way, "--path", own_names.path, "--fields", FIELDS, *more)
    assert (code, "AK2" in out + said) == (0, True), said
    code, out, said = machine.run(way, "--path", own_names.path, *more)
    assert (code, out, "canary" in said) == (1, "", False)
    assert "It holds S3_KEY, S3_SECRET, endpoint, region" in said


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with a rotator.toml, where nothing is where it usually is; both targets' apps may log in by ``env``."""

    folder: Path
    env: Mapping[str, str]

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "worker.cli", *words],
            env=self.env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        with self.start(*words) as process:
            out, said = process.communicate(timeout=60)
        assert "Traceback" not in said
        return process.returncode, out, said

    @contextmanager
    def serving(self, *words: str) -> Iterator[list[str]]:
        """The endpoint, with the lines that it says of two secrets."""
        with self.start("serve-credentials", "--listen", "127.0.0.1:0", *words) as process:
            try:
                assert process.stdout is not None
                yield [process.stdout.readline().strip() for _ in range(6)]
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0
            finally:
                process.kill()


@pytest.fixture
def machine(server: VaultServer, root: Any, tmp_path: Path) -> Machine:
    mount, login, policy = f"kv-{uuid.uuid4()}", f"roles/{uuid.uuid4()}", f"policy-{uuid.uuid4()}"
    root.sys.enable_secrets_engine("kv", path=mount, options={"version": "2"})
    media = {"S3_KEY": "AK-media", "S3_SECRET": "canary", "region": "eu-north-1"}
    backup = {"access_key_id": "AK-backup", "secret_access_key": "canary"}
    for path, secret in (("apps/media", media), ("apps/backup", backup)):
        root.secrets.kv.v2.create_or_update_secret(path=path, secret=secret, mount_point=mount)
    root.sys.create_or_update_policy(policy, f'path "{mount}/data/apps/*" {{ capabilities = ["read"] }}')
    root.sys.enable_auth_method("approle", path=login)
    approle = root.auth.approle
    approle.create_or_update_approle("apps", token_policies=[policy], mount_point=login)
    (tmp_path / "rotator.toml").write_text(f"""
[vault]
mount = "{mount}"
approle_mount = "{login}"
[[target]]
name = "media"
path = "apps/media"
every = "30d"
grace = "1h"
fields = {{ access_key = "S3_KEY", secret_key = "S3_SECRET" }}
[[target]]
name = "backup"
path = "apps/backup"
every = "30d"
grace = "1h"
fields = "rclone"
[[target]]
name = "nowhere"
""")
    env = {
        "PATH": os.environ["PATH"],
        "XDG_RUNTIME_DIR": str(tmp_path),
        "VAULT_ADDR": server.address,
        "VAULT_ROLE_ID": approle.read_role_id("apps", mount_point=login)["data"]["role_id"],
        "VAULT_SECRET_ID": approle.generate_secret_id("apps", mount_point=login)["data"]["secret_id"],
    }
    return Machine(tmp_path, {**env, "ROTATOR_CONFIG": str(tmp_path / "rotator.toml")})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("credentials", "media"), '"AccessKeyId": "AK-media"'),
        (("credentials", "backup", "--format", "env"), "AWS_ACCESS_KEY_ID=AK-backup"),
        (("render", "media", "--to", "key", "--once", "--exec", "cat key"), ""),
        (("run", "backup", "--", "sh", "-c", "echo $AWS_ACCESS_KEY_ID"), "AK-backup\n"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_target_is_known_by_its_name(machine: Machine, words: tuple[str, ...], expected: str) -> None:
    code, out, said = machine.run(*words)
    assert (code, expected in out) == (0, True), said
    if words[0] == "render":
        assert "aws_access_key_id = AK-media" in (machine.folder / "key").read_text()


def test_the_endpoint_serves_each_target_at_its_name(machine: Machine) -> None:
    with machine.serving("media", "backup") as lines:
        assert [lines[0], lines[3]] == ["# media", "# backup"]
        token = (machine.folder / "hostup-rotator" / "endpoint-token").read_text()
        for name, line in (("media", lines[1]), ("backup", lines[4])):
            url = line.removeprefix("AWS_CONTAINER_CREDENTIALS_FULL_URI=")
            assert url.endswith(f"/{name}")
            answer = httpx.get(url, headers={"Authorization": token}, trust_env=False)
            assert answer.json()["AccessKeyId"] == f"AK-{name}"


@pytest.mark.parametrize(
    "words", [("--config", "rotator.toml", "credentials"), ("credentials", "--config", "rotator.toml")]
)
def test_the_configuration_is_named_before_or_behind_the_command(machine: Machine, words: tuple[str, ...]) -> None:
    code, out, said = Machine(machine.folder, {**machine.env, "ROTATOR_CONFIG": "nothing"}).run(*words, "media")
    assert (code, '"AK-media"' in out) == (0, True), said


def test_where_to_log_in_can_be_said_besides(machine: Machine) -> None:
    code, out, said = machine.run("credentials", "media", "--auth-mount", "elsewhere")
    assert (code, out) == (1, "")
    assert "auth/elsewhere/login" in said


@pytest.mark.parametrize("name", ["other", "nowhere"])
def test_a_target_that_is_not_there_is_told(machine: Machine, name: str) -> None:
    code, out, said = machine.run("credentials", name)
    assert (code, out) == (2, "")
    assert f"there is no target '{name}' in {machine.folder}/rotator.toml" in said


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), ("[[target", "cannot be read"), ("target = 3", "there is no target")]
)
def test_a_configuration_without_targets_is_told(machine: Machine, content: str | None, says: str) -> None:
    file = machine.folder / "rotator.toml"
    file.unlink()
    if content is not None:
        file.write_text(content)
    code, out, said = machine.run("credentials", "media")
    assert (code in {2, 78}, out, says in said) == (True, "", True), said


def test_without_a_configuration_a_name_says_nothing(machine: Machine) -> None:
    nowhere = Machine(machine.folder, {name: value for name, value in machine.env.items() if name != "ROTATOR_CONFIG"})
    code, out, said = nowhere.run("credentials", "media")
    assert (code, out) == (2, "")
    assert "ROTATOR_CONFIG" in said


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("media", "--path", "apps/media"), "two ways to name one secret"),
        ((), "no secret is named"),
    ],
)
def test_a_secret_is_named_in_one_way(machine: Machine, more: tuple[str, ...], says: str) -> None:
    code, out, said = machine.run("credentials", *more)
    assert (code, out, says in said) == (2, "", True), said
