"""The command of the pages that has alerts lead to where the runbook is kept: all of them, and they are still rules."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import ROOT, page
from tests.monitoring.files import alerts

COMMANDS = [
    command
    for name in ("monitoring.md", "kubernetes.md")
    for command in re.findall(r"sed -i 's\|docs/runbook\.md\|[^\n`]+", page(name).text)
]
PROMTOOL = shutil.which("promtool")


def test_both_files_have_their_command() -> None:
    assert [shlex.split(command)[-1] for command in COMMANDS] == [
        "config/prometheus/alerts.yaml",
        "config/kubernetes/prometheusrule.yaml",
    ]


@pytest.mark.parametrize("command", COMMANDS, ids=["prometheus", "kubernetes"])
def test_every_alert_leads_to_the_address_and_the_rules_hold(command: str, tmp_path: Path) -> None:
    *words, file = shlex.split(command)
    copy = tmp_path / "rules.yaml"
    shutil.copy(ROOT / file, copy)
    subprocess.run([*words, str(copy)], check=True)
    document = yaml.safe_load(copy.read_text("utf-8"))
    groups = document.get("spec", document)["groups"]
    led = [rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"]]
    address = "https://git.example.com/hostup-rotator/docs/runbook.md#"
    assert led == [address + alert.name.lower() for alert in alerts()]
    if PROMTOOL:
        copy.write_text(yaml.safe_dump({"groups": groups}))
        subprocess.run([PROMTOOL, "check", "rules", str(copy)], check=True, capture_output=True)
