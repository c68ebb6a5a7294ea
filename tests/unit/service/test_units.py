"""The systemd unit: as confined as it is meant to be, by systemd's own judgement, and told by the worker how it is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[3] / "config" / "systemd" / "rotator.service"
MOST_EXPOSED = 2.0


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)"
)


def _objections(folder: Path, text: str) -> list[str]:
    """What systemd says of a unit whose program is there."""
    unit = folder / UNIT.name
    unit.write_text(text.replace("/opt/hostup-rotator/bin/rotator", "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    return [line for line in said.splitlines() if str(unit) in line or UNIT.name in line]


@needs_systemd
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    assert _objections(tmp_path, UNIT.read_text("utf-8")) == []


@needs_systemd
@pytest.mark.parametrize("wrong", ["WatchdogSecs=2min", "Type=notfy", "RestrictRealtime=perhaps"])
def test_a_mistake_in_the_unit_would_be_seen(tmp_path: Path, wrong: str) -> None:
    assert _objections(tmp_path, UNIT.read_text("utf-8").replace("[Service]", f"[Service]\n{wrong}")) != []


@needs_systemd
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
