"""The C library's memory: how a worker is started decides over it, so it is looked at in processes of their own."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PROGRAM = """
import ctypes, sys, threading

all_there = threading.Barrier(16)
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]

def use() -> None:
    all_there.wait()
    for _ in range(100):
        libc.malloc(100)  # ctypes gives the interpreter away, so that all are in it at once
    all_there.wait()

threads = [threading.Thread(target=use) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.fopen.restype, libc.malloc_info.argtypes, libc.fclose.argtypes = (
    ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p], [ctypes.c_void_p]
)
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
"""


def arenas(folder: Path, **environment: str) -> int:
    report = folder / "report.xml"
    kept = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    subprocess.run([sys.executable, "-c", PROGRAM, str(report)], check=True, timeout=60, env=kept | environment)
    return report.read_text("utf-8").count("<heap nr=")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no arenas")
def test_threads_share_as_many_arenas_as_the_environment_says(tmp_path: Path) -> None:
    assert arenas(tmp_path, MALLOC_ARENA_MAX="2") <= 2 < arenas(tmp_path)


@pytest.mark.parametrize("file", ["Dockerfile", "docker-compose.yml", "config/systemd/rotator.service"])
def test_a_worker_that_is_deployed_has_two(file: str) -> None:
    assert re.search(r"\bMALLOC_ARENA_MAX(=| *: *\"?)2\b", (ROOT / file).read_text("utf-8"))
