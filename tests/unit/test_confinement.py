"""How the service is confined: what systemd itself says of the unit, and what the unit bounds."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "config" / "systemd" / "rotator.service"
MOST_EXPOSED = 20
"""Tenths, as systemd-analyze takes them; without the confinement it is 96."""

analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is a part of systemd")


@analyze
def test_systemd_finds_little_to_object_to() -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager"]
    done = subprocess.run([*command, str(UNIT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@pytest.mark.parametrize("setting", ["LimitCORE=0", "MemoryMax=512M", "TasksMax=512", "UMask=0077"])
def test_the_unit_bounds_what_the_worker_takes(setting: str) -> None:
    assert setting in UNIT.read_text("utf-8").splitlines()
