"""What is in config/kubernetes fits together, runs with no more rights than it needs, and says what other files say.

Held against Kubernetes' own schemas by hand (docs/facts.md): those are not ours to copy.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT, page
from tests.monitoring.files import ALERTS
from worker.cli.commands_by_hand import vault_setup
from worker.settings.settings import load

FOLDER = ROOT / "config" / "kubernetes"
NAME = "hostup-rotator"
LABELS = {"app.kubernetes.io/name": NAME}
KUBECTL = shutil.which("kubectl")


def manifest(name: str) -> Any:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))


KUSTOMIZATION = manifest("kustomization")
DEPLOYMENT = manifest("deployment")["spec"]
POD = DEPLOYMENT["template"]["spec"]
(WORKER,) = POD["containers"]
ENVIRONMENT = {each["name"]: each["value"] for each in WORKER["env"]}


def test_every_file_is_in_the_base_and_in_the_page() -> None:
    listed = {*KUSTOMIZATION["resources"], *KUSTOMIZATION["configMapGenerator"][0]["files"], "kustomization.yaml"}
    files = {each.name for each in FOLDER.iterdir()}
    assert listed == files
    text = page("kubernetes.md").text
    assert [name for name in files if f"`{name}`" not in text] == []


def test_all_go_by_one_name_and_one_label() -> None:
    named = [manifest(Path(name).stem) for name in KUSTOMIZATION["resources"]]
    assert {each["metadata"]["name"] for each in named} == {NAME, KUSTOMIZATION["namespace"]}
    pods = DEPLOYMENT["template"]["metadata"]["labels"]
    selectors = (
        DEPLOYMENT["selector"],
        POD["topologySpreadConstraints"][0]["labelSelector"],
        manifest("poddisruptionbudget")["spec"]["selector"],
        manifest("networkpolicy")["spec"]["podSelector"],
        manifest("podmonitor")["spec"]["selector"],
    )
    assert pods == LABELS
    assert [selector for selector in selectors if selector != {"matchLabels": LABELS}] == []


def test_the_pod_meets_the_standard_restricted_and_its_root_is_read_only() -> None:
    of_pod, of_container = POD["securityContext"], WORKER["securityContext"]
    assert of_pod["runAsNonRoot"] is True
    assert of_pod["runAsUser"] == 65532, "as the image has it"
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of_container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(POD)
    assert {next(iter(set(volume) - {"name"})) for volume in POD["volumes"]} == {
        *("configMap", "secret", "projected", "emptyDir")
    }
    assert manifest("namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_it_has_one_token_and_that_is_for_vault() -> None:
    assert POD["automountServiceAccountToken"] is False
    assert manifest("serviceaccount")["automountServiceAccountToken"] is False
    assert POD["serviceAccountName"] == ENVIRONMENT["VAULT_AUTH_ROLE"] == NAME, "as rotator vault setup binds them"
    (volume,) = [each for each in POD["volumes"] if "projected" in each]
    (source,) = volume["projected"]["sources"]
    token = source["serviceAccountToken"]
    assert token["audience"] == signature(vault_setup).parameters["audience"].default, "as rotator vault setup has it"
    assert f"for the audience `{token['audience']}` alone" in page("kubernetes.md").text
    mounted = next(each["mountPath"] for each in WORKER["volumeMounts"] if each["name"] == volume["name"])
    assert ENVIRONMENT["VAULT_JWT_FILE"] == f"{mounted}/{token['path']}"


def test_every_mount_has_its_volume_and_no_secret_is_in_the_environment() -> None:
    assert {each["name"] for each in WORKER["volumeMounts"]} == {each["name"] for each in POD["volumes"]}
    assert {"HOSTUP_API_KEY", "REDIS_URL", "VAULT_TOKEN", "VAULT_SECRET_ID"} & set(ENVIRONMENT) == set()
    created = re.findall(r"--from-file=(\w+)", page("kubernetes.md").text)
    mounted = next(each["mountPath"] for each in WORKER["volumeMounts"] if each["name"] == "secrets")
    assert {f"{mounted}/{name}" for name in created} == {
        ENVIRONMENT[name] for name in ("HOSTUP_API_KEY_FILE", "REDIS_URL_FILE")
    }


def test_the_worker_takes_the_settings_and_the_environment(tmp_path: Path) -> None:
    env = {**ENVIRONMENT}
    for name, value in (("HOSTUP_API_KEY_FILE", "api-key-1"), ("REDIS_URL_FILE", "redis://127.0.0.1:6379/0")):
        file = tmp_path / name
        file.write_text(value)
        env[name] = str(file)
    token = tmp_path / "token"
    token.write_text("a.b.c")
    settings = load(FOLDER / "rotator.toml", env | {"VAULT_JWT_FILE": str(token)})
    assert ENVIRONMENT["ROTATOR_CONFIG"] == "/etc/hostup-rotator/rotator.toml"
    assert str(settings.metrics.listen) == "0.0.0.0:9786"
    assert list(settings.targets) == ["media-uploads"]
    assert tomllib.loads((FOLDER / "rotator.toml").read_text("utf-8"))["target"]


def test_probes_prometheus_and_the_policy_mean_the_port_where_the_worker_listens() -> None:
    (port,) = WORKER["ports"]
    assert ENVIRONMENT["ROTATOR_METRICS_LISTEN"].rpartition(":")[2] == str(port["containerPort"])
    asked = {kind: WORKER[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {kind: each["path"] for kind, each in asked.items()} == {
        "startup": "/livez",
        "liveness": "/livez",
        "readiness": "/readyz",
    }
    (incoming,) = manifest("networkpolicy")["spec"]["ingress"]
    named = {each["port"] for each in (*asked.values(), *incoming["ports"])}
    assert named | {manifest("podmonitor")["spec"]["podMetricsEndpoints"][0]["port"]} == {port["name"]}


def test_a_worker_may_be_lost_and_gets_time_to_end() -> None:
    budget = manifest("poddisruptionbudget")["spec"]
    assert DEPLOYMENT["replicas"] > budget["minAvailable"] >= 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert POD["terminationGracePeriodSeconds"] >= 180, "as config/systemd and docker-compose.yml have it"


def test_the_rules_are_those_of_prometheus() -> None:
    ours = yaml.safe_load(ALERTS.read_text("utf-8"))
    assert manifest("prometheusrule")["spec"] == ours, "copy the groups of config/prometheus/alerts.yaml, indented by 2"


def test_the_patch_in_the_page_changes_the_address_of_vault() -> None:
    path = re.search(r"path: /spec/template/spec/containers/0/env/(\d+)/value", page("kubernetes.md").text)
    assert path
    assert WORKER["env"][int(path[1])]["name"] == "VAULT_ADDR"


@pytest.mark.skipif(KUBECTL is None, reason="needs kubectl")
def test_kustomize_builds_the_base_and_the_overlay_of_the_page(tmp_path: Path) -> None:
    base = tmp_path / "hostup-rotator" / "config"
    shutil.copytree(FOLDER, base / "kubernetes")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (block,) = [code.text for code in page("kubernetes.md").code if code.language == "yaml"]
    (overlay / "kustomization.yaml").write_text(block)
    (overlay / "rotator.toml").write_text("# mine\n")
    made = [each for each in yaml.safe_load_all(_kustomized(overlay)) if each]
    deployment = next(each for each in made if each["kind"] == "Deployment")["spec"]["template"]["spec"]
    (worker,) = deployment["containers"]
    assert worker["image"] == "REGISTRY/hostup-rotator:VERSION"
    assert {"name": "VAULT_ADDR", "value": "https://vault.internal:8200"} in worker["env"]
    settings = next(each for each in made if each["kind"] == "ConfigMap")
    assert settings["data"] == {"rotator.toml": "# mine\n"}
    assert deployment["volumes"][0]["configMap"]["name"] == settings["metadata"]["name"] != NAME
    namespaced = [each for each in made if each["kind"] != "Namespace"]
    assert {each["metadata"]["namespace"] for each in namespaced} == {NAME}


def _kustomized(folder: Path) -> str:
    assert KUBECTL
    done = subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
