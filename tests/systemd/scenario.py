"""What has to hold of the units in config/, in the hands of a real systemd; every check raises AssertionError."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.compose.podman import REPOSITORY
from tests.compose.scenario import until
from tests.systemd.machine import Machine, copy_checkout
from worker.sandbox.run import Sandbox
from worker.sandbox.vault_admin import VaultAdmin

WORKER, KEY, APP, ENDPOINT = "rotator.service", "media-key.service", "media.service", "rotator-endpoint.service"
CALLER = "caller"
"""A program of the user, started by hand."""

USER = "alice"
PATH = "apps/media/object-storage"
KEYS = 4
"""Of a target, until its apps have been through enough rotations."""

UNITS = REPOSITORY / "config"


@dataclass(frozen=True, slots=True)
class Scene:
    """The machine, and the servers beside it."""

    machine: Machine
    sandbox: Sandbox

    @property
    def target(self) -> str:
        return self.sandbox.targets[0].path

    @property
    def vault(self) -> VaultAdmin:
        assert self.sandbox.vault is not None
        return self.sandbox.vault.admin

    def write(self, file: str, text: str, mode: int = 0o644) -> None:
        self.machine.write(file, text, mode)

    def unit(self, file: str, to: str, **settings: str) -> None:
        """A unit of the repository for the sandbox's secret, with what a person would set by `systemctl edit`."""
        text = (UNITS / file).read_text("utf-8").replace(PATH, self.target)
        self.write(f"{to}/{Path(file).name}", text)
        lines = [f"{name}={value}" for name, value in settings.items()]
        if lines:
            self.write(f"{to}/{Path(file).name}.d/here.conf", "\n".join(["[Service]", *lines, ""]))


def install(scene: Scene) -> None:
    """As README.md says; and an environment of its own for the app."""
    copy_checkout(scene.machine, "/srv/hostup-rotator")
    inside = "cd /srv/hostup-rotator; . /opt/hostup-rotator/bin/activate; pip install --quiet"
    scene.machine.run("python3", "-m", "venv", "/opt/hostup-rotator")
    scene.machine.run("sh", "-ec", f"{inside} --require-hashes -r requirements/worker.txt; pip install --no-deps .")
    scene.machine.run("python3", "-m", "venv", "/opt/media")
    boto3 = "/srv/hostup-rotator/requirements/boto3.txt"
    scene.machine.run("/opt/media/bin/pip", "install", "--quiet", "--require-hashes", "-r", boto3)
    media = (REPOSITORY / "tests" / "systemd" / "media.py").read_text("utf-8")
    scene.write("/usr/local/bin/media", f"#!/opt/media/bin/python\n{media}", 0o755)


def start_the_app_first(scene: Scene) -> None:
    """Before there is a key: the app waits for it."""
    role = scene.vault.app_role("media", {"token_policies": "media", "token_period": "1h"})
    scene.vault.write_policy("media", {f"secret/data/{scene.target}": ["read"]})
    scene.write("/etc/media/vault-secret-id", role.secret_id.reveal(), 0o600)
    login = [f"VAULT_ADDR={_address(scene)}", f"VAULT_ROLE_ID={role.role_id}"]
    lines = [*login, "VAULT_SECRET_ID_FILE=/etc/media/vault-secret-id", ""]
    scene.write("/etc/media/vault.env", "\n".join(lines), 0o600)
    scene.unit("apps/systemd/media-key.service", "/etc/systemd/system", RestartSec="1")
    scene.unit("apps/systemd/media.service", "/etc/systemd/system", Environment=_storage(scene))
    scene.machine.run("systemctl", "daemon-reload")
    scene.machine.run("systemctl", "enable", "--now", "--no-block", KEY, APP)
    until("it was tried", lambda: "there is no secret" in scene.machine.journal(KEY))
    assert "works with" not in scene.machine.journal(APP)


def start_the_worker(scene: Scene) -> None:
    """Ready by its own word. ``systemctl start`` raises CommandFailed where that does not come."""
    given = scene.sandbox.environment
    scene.write("/etc/hostup-rotator/rotator.toml", Path(given["ROTATOR_CONFIG"]).read_text("utf-8"))
    for name in ("hostup_api_key", "vault_secret_id", "redis_url"):
        secret = Path(given[f"{name.upper()}_FILE"]).read_text("utf-8")
        scene.write(f"/etc/hostup-rotator/secrets/{name}", secret, 0o600)
    where = f"VAULT_ADDR={_address(scene)} VAULT_ROLE_ID={given['VAULT_ROLE_ID']}"
    scene.unit("systemd/rotator.service", "/etc/systemd/system", Environment=where, WatchdogSec="5")
    scene.machine.run("systemctl", "daemon-reload")
    scene.machine.run("systemctl", "enable", "--now", WORKER)
    assert scene.machine.property(WORKER, "ActiveState") == "active"
    until("there is a key", lambda: "rotation.succeeded" in scene.machine.journal(WORKER))


def check_confinement(scene: Scene) -> None:
    """A user of the moment, without rights, whose secrets nobody else reads, and that are not in its environment."""
    pid = scene.machine.property(WORKER, "MainPID")
    status = scene.machine.run("cat", f"/proc/{pid}/status")
    uid = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
    assert uid, status
    assert int(uid[1]) > 60_000, "a service with DynamicUser= has a user between 61184 and 65519"
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE), status
    environment = scene.machine.run("cat", f"/proc/{pid}/environ")
    names = ("HOSTUP_API_KEY_FILE", "VAULT_SECRET_ID_FILE", "REDIS_URL_FILE")
    secrets = [Path(scene.sandbox.environment[name]).read_text("utf-8").strip() for name in names]
    assert not [secret for secret in secrets if secret in environment]
    places = [f"/run/credentials/{WORKER}/hostup_api_key", f"/run/credentials/{APP}/object-storage"]
    for secret in (*places, "/run/media-key/credentials"):
        # the app waits for its first key, and is restarted for the next one
        until(f"{secret} is there", partial(scene.machine.succeeds, "test", "-s", secret))
        assert not scene.machine.succeeds("runuser", "-u", "nobody", "--", "cat", secret)


def start_the_endpoint(scene: Scene) -> None:
    """As the unit's head says, for a user who has rotator-app.pyz; a program of theirs works by it."""
    home, machine = f"/srv/{USER}", scene.machine
    machine.run("useradd", "--create-home", "--home-dir", home, USER)
    shutil.copy(REPOSITORY / "dist" / "rotator-app.pyz", machine.root / "srv")
    machine.run("install", "-D", "-m", "755", "/srv/rotator-app.pyz", f"{home}/.local/bin/rotator")
    scene.unit("apps/systemd/rotator-endpoint.service", f"{home}/.config/systemd/user")
    head = (UNITS / "apps/systemd/rotator-endpoint.service").read_text("utf-8").replace(PATH, scene.target)
    shown = [line.removeprefix("#   ") for line in head.splitlines() if line.startswith("#   AWS_CONTAINER")]
    lines = [*shown, _storage(scene), ""]
    scene.write(f"{home}/.config/environment.d/hostup.conf", "\n".join(lines))
    scene.write(f"{home}/.vault-token", scene.vault.issue_token("media", "1h").reveal(), 0o600)
    login = f"VAULT_ADDR={_address(scene)}\nVAULT_TOKEN_FILE={home}/.vault-token\n"
    scene.write(f"{home}/.config/hostup-rotator/vault.env", login, 0o600)
    machine.run("chown", "-R", f"{USER}:", home)
    machine.run("loginctl", "enable-linger", USER)
    until("the user's manager runs", lambda: _as_user(machine, "systemctl --user is-system-running --wait"))
    assert _as_user(machine, f"systemctl --user enable --now {ENDPOINT}")
    assert _as_user(machine, f"systemd-run --user --unit={CALLER} /usr/local/bin/media")
    until("the endpoint is used", lambda: "works with" in machine.journal(f"{CALLER}.service"))


def freeze_the_worker(scene: Scene) -> None:
    """The watchdog ends it, and it is started anew."""
    rotated = scene.machine.journal(WORKER).count("rotation.succeeded")
    scene.machine.run("systemctl", "kill", "--signal=STOP", "--kill-whom=main", WORKER)
    until("the watchdog bites", lambda: scene.machine.property(WORKER, "NRestarts") == "1")
    until("it works again", lambda: scene.machine.journal(WORKER).count("rotation.succeeded") > rotated)
    assert "watchdog" in scene.machine.run("journalctl", "--no-pager", f"--unit={WORKER}").lower()


def check_the_apps(scene: Scene) -> None:
    """Both went through the rotations without a failed call, one by restarts and one without."""
    for unit in (APP, f"{CALLER}.service"):
        until(f"{unit} has used {KEYS} keys", partial(_has_used_enough, scene, unit), 120)
        said = scene.machine.journal(unit)
        assert "FAILED" not in said, said
    assert scene.machine.journal(APP).count("Started") == len(_keys_of(scene, APP)), "a restart for each key"
    assert scene.machine.journal(f"{CALLER}.service").count("Started") == 1


def stop_in_order(scene: Scene) -> None:
    """SIGTERM ends the worker by itself; the apps go on with the key they have."""
    scene.machine.run("systemctl", "stop", WORKER)
    assert scene.machine.property(WORKER, "Result") == "success"
    assert scene.machine.property(WORKER, "ExecMainStatus") == "0"
    assert scene.machine.property(APP, "ActiveState") == "active"


def _has_used_enough(scene: Scene, unit: str) -> bool:
    return len(_keys_of(scene, unit)) >= KEYS


def _keys_of(scene: Scene, unit: str) -> list[str]:
    return re.findall(r"works with (\S+)", scene.machine.journal(unit))


def _as_user(machine: Machine, command: str) -> bool:
    return machine.succeeds("runuser", "-l", USER, "-c", f"export XDG_RUNTIME_DIR=/run/user/$(id -u); {command}")


def _address(scene: Scene) -> str:
    return scene.sandbox.environment["VAULT_ADDR"]


def _storage(scene: Scene) -> str:
    return f"AWS_ENDPOINT_URL_S3={scene.sandbox.simulator.s3}"
