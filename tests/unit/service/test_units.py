"""The systemd unit: as confined as it is meant to be, by systemd's own judgement, and told by the worker how it is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[3] / "config" / "systemd" / "rotator.service"
MOST_EXPOSED = 2.0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)")
def test_the_unit_is_confined() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= MOST_EXPOSED


def test_the_unit_waits_for_the_worker_and_watches_it() -> None:
    text = UNIT.read_text("utf-8")
    assert "\nType=notify\n" in text
    assert re.search(r"^WatchdogSec=\d+min$", text, re.MULTILINE)
