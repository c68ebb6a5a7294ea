"""Keeps other programs of the same user out of this process's memory, and its memory out of core dumps."""

from __future__ import annotations

import ctypes
import sys

PR_SET_DUMPABLE = 4


def become_undumpable() -> None:
    """Have the kernel write no core of this process, and let nobody but root look into it (prctl(2)).

    Its files under /proc belong to root from then on; what it reads of itself it still may. A debugger needs root. On
    other systems than Linux nothing is done.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
