"""The C library's memory, in a process of its own, as it cannot be told twice."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, sys, threading
from worker.service.allocator import few_arenas

told = few_arenas() if sys.argv[2] == "few" else True
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
sys.exit(not told)
"""


def arenas(folder: Path, how: str) -> int:
    subprocess.run([sys.executable, "-c", PROGRAM, str(folder / how), how], check=True, timeout=60)
    return (folder / how).read_text("utf-8").count("<heap nr=")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no arenas")
def test_threads_share_two_arenas(tmp_path: Path) -> None:
    assert arenas(tmp_path, "few") <= 2 < arenas(tmp_path, "many")
