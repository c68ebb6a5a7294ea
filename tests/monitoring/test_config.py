"""What ships for Prometheus is taken by Prometheus: promtool loads it as it lies in the repository."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.docs.pages import ROOT

CONFIG = ROOT / "config" / "prometheus" / "prometheus.yaml"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
def test_the_configuration_is_valid_and_finds_its_alerts() -> None:
    done = subprocess.run(["promtool", "check", "config", str(CONFIG)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rule files found" in done.stdout
