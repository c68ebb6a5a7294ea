"""Putting files of an app's key where a program reads them: whole, at once, and nowhere else.

Everything is done relative to a folder that is open, so that nobody leads it elsewhere by a link meanwhile. Two
programs may write to one place: one waits for the other, and the last one wins.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from worker.errors import FileUnwritable

_LARGEST = 1_048_576
_DATA = "..data"
_FOLLOW = "Remove it, or name where it leads to."
_EMPTY = "Name an empty folder by --to."
_OTHERS_SECONDS = 5.0
"""How long another writer is waited for; one that was stopped in the middle is no reason to write nothing."""
_OURS = "..rotator-"
"""What begins so in a folder of files that belong together is an older set, or an unfinished one."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read a file: its mode, and its owner and group where they are not those of this process."""

    mode: int = 0o600
    uid: int = -1
    gid: int = -1

    @property
    def folder_mode(self) -> int:
        """Who may read a file may search the folder that holds it."""
        return 0o700 | self.mode | (self.mode & 0o444) >> 2


_UNTOLD = "..untold"


def put_file(to: Path, content: bytes, access: Access, *, mark: bool = False) -> bool:
    """One file, replaced by a rename; True where it was not so before. Raises FileUnwritable.

    ``mark``: leave an empty file beside it first, which says that a program is to be told (:func:`forget`).
    """
    with _told(to), _opened(to.parent, follow=True) as folder:
        _wait_for_others(folder)
        if _holds(folder, to.name, content, access):
            return False
        _sweep(folder, f".{to.name}.rotator-")
        unfinished = f".{to.name}.rotator-{secrets.token_hex(8)}"
        try:
            _write(folder, unfinished, content, access)
            if mark:
                _mark(folder, _mark_of(to, whole=False))
            os.replace(unfinished, to.name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            with suppress(OSError):
                os.unlink(unfinished, dir_fd=folder)
            raise
        os.fsync(folder)
        return True


def put_folder(to: Path, files: Mapping[str, bytes], access: Access, *, mark: bool = False) -> bool:
    """Files that belong together, in a folder, replaced by one change of a link as kubelet does it.

    True where they were not so before. ``to`` is made where it is missing, and ``mark`` is as for :func:`put_file`.
    Raises FileUnwritable.
    """
    with _told(to):
        _make(to, access)
        with _opened(to, follow=False) as folder:
            _wait_for_others(folder)
            current = _current(folder)
            links = {name: f"{_DATA}/{name}" for name in files}
            missing = [name for name, link in links.items() if not _is_link(folder, name, link)]
            if current and not missing and _set_holds(folder, current, files, access):
                return False
            if mark:
                _mark(folder, _mark_of(to, whole=True))
            _swap(folder, files, access)
            for name in missing:
                os.symlink(links[name], name, dir_fd=folder)
            os.fsync(folder)
            return True


def marked(to: Path, *, whole: bool) -> bool:
    """Whether a program is still to be told of the file, or of the ``whole`` folder; also by a killed process."""
    return os.path.lexists(_mark_folder(to, whole=whole) / _mark_of(to, whole=whole))


def forget(to: Path, *, whole: bool) -> None:
    """The program was told. Raises FileUnwritable."""
    with _told(to), _opened(_mark_folder(to, whole=whole), follow=not whole) as folder, suppress(FileNotFoundError):
        os.unlink(_mark_of(to, whole=whole), dir_fd=folder)


def _mark_folder(to: Path, *, whole: bool) -> Path:
    return to if whole else to.parent


def _mark_of(to: Path, *, whole: bool) -> str:
    return _UNTOLD if whole else f".{to.name}.untold"


def _mark(folder: int, name: str) -> None:
    """What is there already is a mark, whatever it is: no link is followed."""
    with suppress(FileExistsError):
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder))


def _wait_for_others(folder: int) -> None:
    """Have no other writer sweep away what this one has not finished; where there are no locks, go on without."""
    ends = time.monotonic() + _OTHERS_SECONDS
    while time.monotonic() < ends:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:
            return
        else:
            return


class _Unfit(Exception):
    """Something stands where a file or a link of ours belongs; the text says what, and what to do."""


@contextmanager
def _told(to: Path) -> Iterator[None]:
    try:
        yield
    except _Unfit as error:
        what, hint = error.args
        raise FileUnwritable(f"{to} was not written: {what}", hint=hint) from None
    except OSError as error:
        hint = "What was there is there unchanged. Check the folder, its rights and the space that is left."
        if error.errno in {errno.EBUSY, errno.EXDEV}:  # of a rename
            hint = "A file that is mounted by itself cannot be replaced: mount its folder."
        raise FileUnwritable(f"{to} cannot be written: {error.strerror}", hint=hint) from None


@contextmanager
def _opened(path: Path, *, follow: bool) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    if not follow and path.is_symlink():
        raise _Unfit(f"{path} is a link, and is not followed", _FOLLOW)
    number = os.open(path, flags)
    try:
        yield number
    finally:
        os.close(number)


def _make(to: Path, access: Access) -> None:
    with suppress(FileExistsError), _opened(to.parent, follow=True) as parent:
        os.mkdir(to.name, access.folder_mode, dir_fd=parent)
        with _opened(to, follow=False) as made:
            _give(made, access.folder_mode, access)


def _give(number: int, mode: int, access: Access) -> None:
    """Owner first: a change of it takes rights away."""
    if (access.uid, access.gid) != (-1, -1):
        os.fchown(number, access.uid, access.gid)
    os.fchmod(number, mode)


def _write(folder: int, name: str, content: bytes, access: Access) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "wb") as opened:
        opened.write(content)
        opened.flush()
        _give(opened.fileno(), access.mode, access)
        os.fsync(opened.fileno())


def _holds(folder: int, name: str, content: bytes, access: Access) -> bool:
    """Whether a file is as wanted; a link or a folder in its place is not replaced, as nobody meant that."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(found.st_mode):
        raise _Unfit(f"{name} is a link, and is not followed", _FOLLOW)
    if not stat.S_ISREG(found.st_mode):
        raise _Unfit(f"{name} is no plain file", "Remove it, or name another file by --to.")
    if not _is_as_wanted(found, access):
        return False
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb") as opened:
        return opened.read(_LARGEST) == content


def _is_as_wanted(found: os.stat_result, access: Access) -> bool:
    owned = access.uid in {-1, found.st_uid} and access.gid in {-1, found.st_gid}
    return owned and stat.S_IMODE(found.st_mode) == access.mode


def _sweep(folder: int, prefix: str, but: str = "") -> None:
    """Remove what writers that were killed have left."""
    for name in os.listdir(folder):
        if name.startswith(prefix) and name != but:
            with suppress(OSError):  # the next write tries again
                _remove(folder, name)


def _remove(folder: int, name: str) -> None:
    """A file, a link, or one set of files: there are no folders in it."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=folder)
        return
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        for each in os.listdir(inner):  # noqa: PTH208 - by its number
            os.unlink(each, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=folder)


def _current(folder: int) -> str | None:
    """The set that the link leads to; None where there is none, or one that is not ours."""
    try:
        found = os.readlink(_DATA, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError:
        raise _Unfit(f"{_DATA} is no link", _EMPTY) from None
    return found if found.startswith(_OURS) and "/" not in found else None


def _is_link(folder: int, name: str, to: str) -> bool:
    """Whether a file's link is there. Raises FileUnwritable for anything else of that name."""
    try:
        if os.readlink(name, dir_fd=folder) == to:
            return True
    except FileNotFoundError:
        return False
    except OSError:  # no link
        pass
    raise _Unfit(f"{name} is there, and is not the link that belongs there", _EMPTY)


def _set_holds(folder: int, current: str, files: Mapping[str, bytes], access: Access) -> bool:
    try:
        inner = os.open(current, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return False
    try:
        return all(_holds(inner, name, content, access) for name, content in files.items())
    finally:
        os.close(inner)


def _swap(folder: int, files: Mapping[str, bytes], access: Access) -> None:
    new = f"{_OURS}{secrets.token_hex(8)}"
    try:
        os.mkdir(new, 0o700, dir_fd=folder)
        inner = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            for name, content in files.items():
                _write(inner, name, content, access)
            _give(inner, access.folder_mode, access)
            os.fsync(inner)
        finally:
            os.close(inner)
        os.symlink(new, f"{new}.link", dir_fd=folder)
        os.replace(f"{new}.link", _DATA, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        _sweep(folder, new)
        raise
    _sweep(folder, _OURS, but=new)
