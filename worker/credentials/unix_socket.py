"""A Unix socket to listen on, for its owner alone."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from worker.errors import ConfigurationError

PREFIX = "unix:"
_LONGEST = 107
"""Bytes of a path; the kernel's limit."""
_PRIVATE = 0o177


def path_in(text: str) -> Path | None:
    """The path in ``unix:/run/app/keys.sock``; None for what names no socket. Raises ConfigurationError."""
    if not text.startswith(PREFIX):
        return None
    path = text.removeprefix(PREFIX)
    if not path.startswith("/") or "\0" in path or len(path.encode()) > _LONGEST:
        wanted = f"such as {PREFIX}/run/app/keys.sock, of {_LONGEST} bytes at most"
        raise ConfigurationError((f"--listen: {text[:64]!r} is no path of a socket, {wanted}",))
    return Path(path)


@contextmanager
def private_place(path: Path) -> Iterator[None]:
    """Whatever is made at ``path`` in here is its owner's alone; a socket that nobody listens on any more makes place.

    Raises ConfigurationError for anything else that is there.
    """
    with suppress(FileNotFoundError):
        found = path.lstat()
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid() or _is_answered(path):
            raise ConfigurationError((f"--listen: {path} is there already, and is no socket that was left behind",))
        path.unlink()
    before = os.umask(_PRIVATE)
    try:
        yield
    finally:
        os.umask(before)


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(os.fspath(path))
        except ConnectionRefusedError:
            return False
    return True
