"""GitHub's workflow of config/apps, step by step: it logs in by the token of GitHub, and hands on the key."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.vault.conftest import policy_text
from tests.contract.vault.issuer import Issuer
from tests.servers import VaultServer
from tests.wire import Wire, answer

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")

WORKFLOW = Path(__file__).parents[3] / "config" / "apps" / "github-actions.yml"
PATH = "apps/media/object-storage"
REQUEST_TOKEN = "what GitHub gives a job to ask for its token"
CLAIMS: dict[str, Any] = {
    "aud": "vault",
    "sub": "repo:example/media:ref:refs/heads/main",
    "repository": "example/media",
}


@dataclass(frozen=True, slots=True)
class Job:
    """The job of the workflow on a machine of GitHub's; ``env`` is what its steps have in common."""

    folder: Path
    env: dict[str, str]
    steps: dict[str, str] = field(default_factory=dict)

    def step(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run it by bash -e; what it puts into GITHUB_ENV, the next ones have."""
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-c", self.steps[name]],
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.env.update((name, value) for name, _, value in (line.partition("=") for line in self.handed_on))
        return done

    @property
    def handed_on(self) -> list[str]:
        file = Path(self.env["GITHUB_ENV"])
        return file.read_text("utf-8").splitlines() if file.exists() else []


@pytest.fixture
def github() -> Iterator[Wire]:
    """The issuer's address, which the runner tells the job."""
    with Wire(answer(500)) as wire:
        yield wire


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
def job(server: VaultServer, root: Any, issuer: Issuer, github: Wire, tmp_path: Path) -> Job:
    """As its comment has Vault set up; the mount alone has a name of its own."""
    policy, mount = f"policy-{uuid.uuid4()}", f"jwt-{uuid.uuid4()}"
    root.secrets.kv.v2.create_or_update_secret(path=PATH, secret={"access_key": "AK1", "secret_key": "canary"})
    root.sys.create_or_update_policy(policy, policy_text("app-policy.hcl", MOUNT="secret", APP_PATH=PATH))
    root.sys.enable_auth_method("jwt", path=mount)
    root.adapter.post(f"/v1/auth/{mount}/config", json={"jwt_validation_pubkeys": [issuer.public_key]})
    role = {"role_type": "jwt", "user_claim": "sub", "token_policies": [policy]}
    bound = {"bound_audiences": ["vault"], "bound_claims": {"repository": "example/media"}}
    root.adapter.post(f"/v1/auth/{mount}/role/media-ci", json=role | bound)

    written = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]["upload"]
    (tmp_path / "temp").mkdir()
    env = written["env"] | {
        "PATH": os.environ["PATH"],
        "VAULT_ADDR": server.address,
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "GITHUB_ENV": str(tmp_path / "env"),
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{github.url}/token?api-version=1",
    }
    ours = f"{sys.executable} -m worker.cli"
    adapted = {"python3 rotator-app.pyz credentials": f"{ours} credentials --auth-mount {mount}"}
    steps = {}
    for each in written["steps"]:
        script = each.get("run", "")
        for old, new in adapted.items():
            script = script.replace(old, new)
        steps[each.get("name", "")] = script
    return Job(tmp_path, env, steps)


def test_it_logs_in_and_masks_the_secret_before_it_hands_it_on(job: Job, issuer: Issuer, github: Wire) -> None:
    token = issuer.token(**CLAIMS)
    github.script(answer(200, json.dumps({"value": token}).encode()))
    login = job.step("login")
    assert (login.returncode, login.stdout, token in login.stderr) == (0, "", False), login.stderr
    (asked,) = github.heard
    assert (asked.target, asked.headers["authorization"]) == (
        "/token?api-version=1&audience=vault",
        f"Bearer {REQUEST_TOKEN}",
    )
    (kept,) = (job.folder / "temp").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    key = job.step("key")
    assert (key.returncode, key.stdout) == (0, "::add-mask::canary\n"), key.stderr
    assert {"AWS_ACCESS_KEY_ID=AK1", "AWS_SECRET_ACCESS_KEY=canary"} <= set(job.handed_on)


def test_a_workflow_of_another_repository_gets_nothing(job: Job, issuer: Issuer, github: Wire) -> None:
    token = issuer.token(**CLAIMS | {"repository": "example/other"})
    github.script(answer(200, json.dumps({"value": token}).encode()))
    assert job.step("login").returncode == 0
    before = job.handed_on
    key = job.step("key")
    assert (key.returncode, key.stdout, job.handed_on) == (1, "", before)
    assert token not in key.stderr


@pytest.mark.parametrize("refusal", [answer(401, b"no"), answer(200, b"{}")])
def test_it_ends_where_github_gives_no_token(job: Job, github: Wire, refusal: Any) -> None:
    github.script(refusal)
    login = job.step("login")
    assert (login.returncode, login.stdout) == (1, "")


def test_it_ends_where_vault_has_no_key_for_it(job: Job) -> None:
    job.env["VAULT_TOKEN"] = "wrong"
    before = job.handed_on
    key = job.step("key")
    assert (key.returncode, key.stdout, job.handed_on) == (1, "", before)
