"""What people lint GitHub's workflows with finds nothing in that of config/apps; it knows what GitHub refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.acceptance.clients.kinds import INSTALLED, REPOSITORY

WORKFLOW = REPOSITORY / "config" / "apps" / "github-actions.yml"


def test_the_workflow_is_one_that_github_takes(tmp_path: Path) -> None:
    assert _found(WORKFLOW) == (0, "")
    spoiled = tmp_path / "spoiled.yml"
    spoiled.write_text(WORKFLOW.read_text("utf-8").replace("media-ci", "${{ runner.name }}"))
    code, found = _found(spoiled)
    assert (code, 'context "runner" is not allowed here' in found) == (1, True)


def _found(workflow: Path) -> tuple[int, str]:
    command = [str(INSTALLED / "go" / "actionlint"), "-no-color", "-oneline", str(workflow)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr
