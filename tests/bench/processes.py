"""What a process has used, from /proc: CPU seconds and memory. Linux only, and nothing to install."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME, _THREADS = 11, 12, 17
"""Fields of /proc/PID/stat, counted from behind the command's name."""


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU in seconds (user and system, ended threads too), memory in MiB (resident), threads."""

    cpu: float
    memory: float
    threads: int

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.cpu + other.cpu, self.memory + other.memory, self.threads + other.threads)


def usage(pid: int) -> Usage:
    """What a process has used so far; raises OSError when it is gone."""
    folder = Path("/proc") / str(pid)
    fields = (folder / "stat").read_text("ascii").rpartition(")")[2].split()
    lines = (folder / "status").read_text("utf-8").splitlines()
    kib = next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)
    return Usage((int(fields[_UTIME]) + int(fields[_STIME])) / TICKS, kib / 1024, int(fields[_THREADS]))


def open_files(pid: int) -> int:
    """How many descriptors it holds; raises OSError when it is gone, or not ours to look into."""
    return len(list((Path("/proc") / str(pid) / "fd").iterdir()))


def usage_of(pids: Iterable[int]) -> Usage:
    """What several processes have used together."""
    return sum((usage(pid) for pid in pids), Usage(0.0, 0.0, 0))
