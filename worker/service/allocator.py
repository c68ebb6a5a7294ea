"""What the C library is told about memory when a worker starts."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8  # malloc.h of glibc
_ARENAS = 2


def few_arenas() -> bool:
    """Have all threads share two arenas; False where the C library knows none. Call it before threads are made.

    glibc gives each thread an arena of its own (mallopt(3), M_ARENA_MAX), and what is freed in one is of no use to the
    others: with 32 threads a worker grew by half a MiB every 1,000 rotations, although no more objects lived in it.
    The interpreter's lock lets one thread allocate at a time anyway.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS))
    except AttributeError:  # musl
        return False
