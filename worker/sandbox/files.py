"""Files and folders that are ours alone: nobody else may read them, change them, or put something in their place.

Who starts a sandbox as root in a folder of somebody else must not write through that person's links, nor run that
person's files. So a folder has to be real and ours, no one else may be able to change the folders above it, and a file
is opened without following links.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import IO

from worker.errors import ConfigurationError

_ROOT = 0
_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_ELSEWHERE = "Name a folder in your home directory, such as ~/rotator-sandbox."


def private_folder(path: Path) -> Path:
    """Make a folder of mode 0700, with its parents; one that is there gets that mode.

    Raises ConfigurationError when it is not a real folder of ours, or when somebody else could put another in its
    place; OSError when it cannot be made.
    """
    path = path.absolute()
    for each in (*reversed(path.parents), path):
        if not os.path.lexists(each):
            _see_that_nobody_else_changes(each.parent)
            each.mkdir(mode=0o700, exist_ok=True)
    see_that_it_is_ours(path).chmod(0o700)
    return path


def see_that_it_is_ours(path: Path) -> Path:
    """The folder, if it is real and ours, and the folders above it are safe. Raises ConfigurationError, OSError."""
    for parent in reversed(path.parents):
        _see_that_nobody_else_changes(parent)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise _refused(path, "is not a folder")
    if found.st_uid != os.geteuid():
        raise _refused(path, "belongs to somebody else")
    if found.st_mode & _BY_OTHERS:
        raise _refused(path, "can be written by others, so what is in it may be anybody's")
    return path


def open_private(path: Path, flags: int = os.O_WRONLY | os.O_APPEND) -> int:
    """Open a file of mode 0600 in a private folder, and make it if need be; nothing in it is lost.

    Raises ConfigurationError when there is something else than a file of ours by that name, such as a link.
    """
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if path.is_symlink():
            raise _refused(path, "is a link") from None
        raise error from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
        os.close(descriptor)
        raise _refused(path, "is not a file of ours alone")
    os.fchmod(descriptor, 0o600)
    return descriptor


def append_private(path: Path) -> IO[bytes]:
    """A private file to write to its end; raises what :func:`open_private` raises."""
    return os.fdopen(open_private(path), "ab")


def replace_private(path: Path, text: str) -> Path:
    """Write a file of mode 0600 in one step: a reader sees the old text or the new one, and a link is not followed."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Path(name).rename(path)


def _see_that_nobody_else_changes(path: Path) -> None:
    """A folder on the way, or a link to one: its owner is us or root, and others may not rename what is ours in it."""
    found = path.lstat()
    if found.st_uid not in (_ROOT, os.geteuid()):
        raise _refused(path, "belongs to somebody else, who could put another folder in the place of the sandbox's")
    if stat.S_ISLNK(found.st_mode):
        meant = path.resolve()
        for each in (*reversed(meant.parents), meant):
            _see_that_nobody_else_changes(each)
    elif found.st_mode & _BY_OTHERS and not found.st_mode & stat.S_ISVTX:
        raise _refused(path, "can be written by others, who could put another folder in the place of the sandbox's")


def _refused(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError((f"{path} {why}",), hint=_ELSEWHERE)
