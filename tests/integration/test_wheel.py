"""The wheel is a function of the source: built twice, in other places, times and umasks, it has the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
EPOCH = "1790000000"


def build(folder: Path, *, umask: int, modified: int) -> Path:
    before = os.umask(umask)
    try:
        source = folder / "source"
        source.mkdir(parents=True)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copyfile(ROOT / name, source / name)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "worker", source / "worker", copy_function=shutil.copyfile, ignore=ignored)
        for file in source.rglob("*"):
            os.utime(file, (modified, modified))
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(source)]
        subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH}, check=True)
    finally:
        os.umask(before)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_the_same_source_makes_the_same_bytes(tmp_path: Path) -> None:
    one = build(tmp_path / "one", umask=0o022, modified=1_700_000_000)
    other = build(tmp_path / "another place", umask=0o077, modified=1_750_000_000)

    assert one.name == other.name
    assert one.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(one) as inside:
        assert {name.split("/")[0].partition("-")[0] for name in inside.namelist()} == {"worker", "hostup_rotator"}
        assert "worker/py.typed" in inside.namelist()
