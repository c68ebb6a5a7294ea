"""What is in config/apps can be read, holds together, and asks for no more rights than it needs.

The manifests were held against the operators' own schemas by hand (docs/facts.md): those are not ours to copy.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT, page
from worker.credentials.command import main as for_apps

APPS = ROOT / "config" / "apps"
KUBERNETES = sorted((APPS / "kubernetes").glob("*.yaml"))
PATH = "apps/media/object-storage"
UNKNOWN_BEFORE_260 = "RefreshOnReload"
AT_JOB = {"github", "needs", "strategy", "matrix", "vars", "secrets", "inputs"}
IN_STEP = AT_JOB | {"job", "runner", "env", "steps"}
"""What GitHub lets expressions of a job's `env`, and in its steps, name; it refuses a workflow that names another."""


def documents(file: Path) -> list[Any]:
    return list(yaml.safe_load_all(file.read_text("utf-8")))


def _manifest(name: str, kind: str) -> Any:
    return next(each for each in documents(APPS / "kubernetes" / name) if each["kind"] == kind)


def test_every_file_is_told_of_in_the_page() -> None:
    text = page("apps.md").text
    files = [each.relative_to(ROOT) for each in APPS.rglob("*") if each.is_file()]
    assert [str(each) for each in files if f"../{each})" not in text] == []


@pytest.mark.parametrize("file", KUBERNETES, ids=lambda file: file.name)
def test_every_manifest_says_what_it_is(file: Path) -> None:
    for each in documents(file):
        assert {"apiVersion", "kind", "metadata", "spec"} == set(each)


@pytest.mark.parametrize("file", [each for each in APPS.rglob("*") if each.is_file()], ids=lambda file: file.name)
def test_all_are_about_one_secret(file: Path) -> None:
    found = set(re.findall(r"apps/[\w/-]*", file.read_text("utf-8")))
    assert found <= {PATH, "apps/v1"}  # the latter is Kubernetes' own


def test_the_operators_write_the_secret_that_the_app_reads() -> None:
    reader = _manifest("external-secrets.yaml", "Deployment")
    (source,) = reader["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    written = _manifest("external-secrets.yaml", "ExternalSecret")
    name = source["secretRef"]["name"]
    assert written["spec"]["target"]["name"] == name
    assert reader["metadata"]["annotations"]["secret.reloader.stakater.com/reload"] == name
    store = _manifest("external-secrets.yaml", "SecretStore")
    assert written["spec"]["secretStoreRef"] == {"name": store["metadata"]["name"], "kind": store["kind"]}
    static = _manifest("vault-secrets-operator.yaml", "VaultStaticSecret")["spec"]
    auth = _manifest("vault-secrets-operator.yaml", "VaultAuth")
    assert (static["type"], static["mount"], static["path"]) == ("kv-v2", "secret", PATH)
    assert static["vaultAuthRef"] == auth["metadata"]["name"]
    connection = _manifest("vault-secrets-operator.yaml", "VaultConnection")
    assert auth["spec"]["vaultConnectionRef"] == connection["metadata"]["name"]


def test_the_sidecar_is_one_and_is_restricted() -> None:
    """As the Pod Security Standard "restricted" has it, and besides without a place to write but the shared folder."""
    pod = _manifest("sidecar.yaml", "Deployment")["spec"]["template"]["spec"]
    (keys,), (media,) = pod["initContainers"], pod["containers"]
    assert keys["restartPolicy"] == "Always"
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for each in (keys, media):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert {kind for volume in pod["volumes"] for kind in volume} == {"name", "emptyDir", "projected"}


def test_the_app_of_the_sidecar_asks_where_it_listens() -> None:
    pod = _manifest("sidecar.yaml", "Deployment")["spec"]["template"]["spec"]
    (keys,), (media,) = pod["initContainers"], pod["containers"]
    env = {each["name"]: each["value"] for each in media["env"]}
    assert env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == f"http://127.0.0.1:8911/{PATH}"
    assert env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] == keys["args"][keys["args"].index("--token-file") + 1]
    assert "http://127.0.0.1:8911/healthz" in keys["startupProbe"]["exec"]["command"][-1]


def test_compose_shares_a_network_and_folders() -> None:
    (compose,) = documents(APPS / "compose.yml")
    services = compose["services"]
    assert services["media-keys"]["network_mode"] == "service:media"
    for app, keys in (("media", "media-keys"), ("backup", "backup-keys")):
        (mounted,), (written,) = services[app]["volumes"], services[keys]["volumes"]
        assert mounted == f"{written}:ro"
        assert written.partition(":")[0] in compose["volumes"]


def _commands() -> list[list[str]]:
    sidecar = _manifest("sidecar.yaml", "Deployment")["spec"]["template"]["spec"]["initContainers"][0]["args"]
    (compose,) = documents(APPS / "compose.yml")
    units = (each.read_text("utf-8").replace("\\\n", "") for each in (APPS / "systemd").iterdir())
    lines = [line for unit in units for line in unit.splitlines() if re.match(r"ExecStart.*/rotator ", line)]
    return [
        sidecar,
        *(compose["services"][name]["command"] for name in ("media-keys", "backup-keys")),
        *(shlex.split(line.partition("=")[2])[1:] for line in lines),
    ]


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_every_command_has_arguments_that_exist(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """Without VAULT_ADDR that is the first thing that is wrong; a wrong argument would be told before."""
    assert for_apps(command, {}) == 78
    assert "VAULT_ADDR" in capfd.readouterr().err


def _misplaced(job: Any) -> list[str]:
    """The contexts that a job of a GitHub workflow names where there are none of them."""
    at_job = _contexts(job.get("env")) - AT_JOB
    return sorted(at_job | _contexts(job["steps"]) - IN_STEP)


def _contexts(part: Any) -> set[str]:
    expressions = re.findall(r"\$\{\{(.*?)\}\}", yaml.safe_dump(part, width=10_000))
    return {name for each in expressions for name in re.findall(r"(?<![\w.'-])([a-z]+)(?=[.\[])", each)}


def test_github_knows_what_the_workflow_names() -> None:
    (workflow,) = documents(APPS / "github-actions.yml")
    assert {name: _misplaced(job) for name, job in workflow["jobs"].items()} == {"upload": []}


@pytest.mark.parametrize(
    ("env", "step", "misplaced"),
    [
        ("${{ runner.temp }}/jwt", "${{ runner.temp }}", ["runner"]),
        ("${{ format('{0}', env.HOME) }}", "", ["env"]),
        ("${{ github.sha }} ${{ steps['login'].outputs.jwt }}", "", ["steps"]),
        ("${{ vars.VAULT_ADDR }}", "${{ nothing.here }}", ["nothing"]),
        ("${{ github.event.runner.temp }}", "${{ env.HOME }}", []),
    ],
)
def test_a_context_where_github_has_none_would_be_seen(env: str, step: str, misplaced: list[str]) -> None:
    assert _misplaced({"env": {"A": env}, "steps": [{"run": step}]}) == misplaced


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd on this machine")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for each in (APPS / "systemd").iterdir():
        text = re.sub(
            r"=(/opt/hostup-rotator/bin/rotator|%h/\S+/rotator|/usr/local/bin/media)", "=/bin/true", each.read_text()
        )
        (tmp_path / each.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *sorted(map(str, tmp_path.iterdir()))]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    about_ours = [line for line in said.splitlines() if str(tmp_path) in line]
    assert [line for line in about_ours if UNKNOWN_BEFORE_260 not in line] == []


def _unit(name: str) -> dict[str, list[str]]:
    lines = (APPS / "systemd" / name).read_text("utf-8").replace("\\\n", "").splitlines()
    pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith("#")]
    return {key: [value for each, _, value in pairs if each == key] for key, _, _ in pairs}


def test_a_service_gets_its_key_also_where_vault_comes_late() -> None:
    """Seen with systemd 252: what is required and fails at first is started again, and what required it is not."""
    media = _unit("media.service")
    assert (media["Wants"], media["After"]) == (["media-key.service"], ["media-key.service"])
    assert "media-key.service" in media["WantedBy"][0].split()
    assert media.keys() & {"Requires", "BindsTo", "PartOf"} == set()  # else it would end with what watches for its key


def test_a_service_is_told_of_a_key_in_a_way_that_each_systemd_knows() -> None:
    """A reload before systemd 260 leaves it with the credential that it has, and that key dies."""
    key, media = _unit("media-key.service"), _unit("media.service")
    assert key["ExecStart"][0].endswith('--exec "systemctl try-restart media.service"')
    written = key["Environment"][0].partition("TO=")[2]
    assert media["LoadCredential"] == [f"object-storage:{written}"]


@pytest.mark.skipif(shutil.which("terraform") is None, reason="there is no terraform on this machine")
def test_terraform_can_be_read() -> None:
    done = subprocess.run(["terraform", "fmt", "-check", APPS / "object-storage.tf"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
