"""Ends of processes that nobody else takes note of, for a worker that is the first process of its container."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FIRST = 1


class Orphans:
    """What a program of a notice left behind becomes a child of the first process, and its end stays in the table.

    Who started a program takes note of its end at once: so what is still there at the next look is an orphan.
    """

    def __init__(self) -> None:
        self._seen: frozenset[int] = frozenset()

    def look(self) -> None:
        """Take note of those that had ended at the look before; a no-op for all but a container's first process."""
        if os.getpid() != FIRST:
            return
        ended = frozenset(_ended_children())
        for pid in ended & self._seen:
            with suppress(ChildProcessError):  # its owner was late, and came now
                os.waitpid(pid, os.WNOHANG)
        self._seen = ended - self._seen


def _ended_children() -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            # proc_pid_stat(5): the name stands in parentheses, behind it state and parent
            state, parent = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
            if state == "Z" and int(parent) == FIRST:
                found.append(int(entry.name))
    return found
