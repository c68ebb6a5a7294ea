"""The last good key of a helper that is started anew for every call: files that only the user can read.

Without it each call would wait for Vault, and none would work while Vault is away.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from worker.credentials.environment import Place
from worker.errors import CacheUnusable

_LARGEST = 1_048_576
_LONGEST_NAME = 200
"""Characters of a file's name: a file system takes 255, and there is something to add while it is written."""
_FOLDER = "hostup-rotator"
_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret as it was read at ``read_at``; ``tried_at`` is when Vault was asked last, also in vain."""

    fields: Mapping[str, object]
    version: int
    read_at: datetime
    tried_at: datetime


def folder_for(env: Mapping[str, str], uid: int) -> Path:
    """The user's runtime folder, which ends with the session; where there is none, one below ``/tmp``."""
    runtime = env.get("XDG_RUNTIME_DIR")
    return Path(runtime) / _FOLDER if runtime else Path("/tmp") / f"{_FOLDER}-{uid}"  # noqa: S108 - checked at each use


def own_folder(folder: Path) -> Path:
    """The folder, made where it is missing. Raises CacheUnusable for one that is not the user's own and private."""
    try:
        with suppress(FileExistsError):
            folder.mkdir(0o700)
        with _Folder(folder):
            return folder
    except (OSError, CacheUnusable) as error:
        why = error.what if isinstance(error, CacheUnusable) else error.strerror
        raise CacheUnusable(f"the folder {folder} cannot be used: {why}", hint=_ANOTHER_FOLDER) from None


class Cache:
    """One file for each secret, in one folder that is real, the user's own and private.

    Every method raises CacheUnusable; that is told, and the helper does without.
    """

    def __init__(self, folder: Path, server: str) -> None:
        self._folder = folder
        self._server = server

    def read(self, place: Place) -> Kept | None:
        """What is kept of a secret; None where nothing is."""
        try:
            with self._opened_folder() as folder:
                file = os.open(self._name(place), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder.number)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error.strerror or "it cannot be opened") from None
        try:
            with os.fdopen(file, "rb") as opened:
                _see_that_it_is_ours(os.fstat(opened.fileno()), stat.S_ISREG, self._folder)
                return _kept(opened.read(_LARGEST))
        except OSError as error:  # of a folder in its place, or of the disk
            if isinstance(error, IsADirectoryError):
                os.close(file)
            raise self._unusable(error.strerror or "it cannot be read") from None

    def write(self, place: Place, kept: Kept) -> None:
        """Keep a secret instead of what was kept before, at once for all readers."""
        name = self._name(place)
        text = json.dumps(
            {
                "fields": dict(kept.fields),
                "version": kept.version,
                "read_at": kept.read_at.isoformat(),
                "tried_at": kept.tried_at.isoformat(),
            }
        )
        unfinished = f"{name}.{os.getpid()}"
        try:
            with self._opened_folder(make=True) as folder:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with suppress(FileNotFoundError):
                    os.unlink(unfinished, dir_fd=folder.number)  # of a helper with this pid that was killed here
                try:
                    with os.fdopen(os.open(unfinished, flags, 0o600, dir_fd=folder.number), "wb") as opened:
                        opened.write(text.encode())
                    os.replace(unfinished, name, src_dir_fd=folder.number, dst_dir_fd=folder.number)
                except OSError:
                    with suppress(OSError):
                        os.unlink(unfinished, dir_fd=folder.number)
                    raise
        except OSError as error:
            raise self._unusable(error.strerror or "it cannot be written") from None

    def _name(self, place: Place) -> str:
        """One for each secret of each server, of any characters and length."""
        name = quote(f"{self._server}\n{place.mount}\n{place.path}", safe="")
        if len(name) <= _LONGEST_NAME:
            return name
        import hashlib  # noqa: PLC0415 - to load OpenSSL for it takes longer than to read the file

        return hashlib.sha256(name.encode()).hexdigest()

    def _opened_folder(self, *, make: bool = False) -> _Folder:
        if make:
            with suppress(FileExistsError):
                self._folder.mkdir(0o700)
        return _Folder(self._folder)

    def _unusable(self, why: str) -> CacheUnusable:
        return CacheUnusable(f"the cache in {self._folder} cannot be used: {why}", hint=_HINT)


_ANOTHER_FOLDER = "Name another place by XDG_RUNTIME_DIR, or a file by --token-file."
_HINT = "Nothing was kept. Name another place by XDG_RUNTIME_DIR, or go without by --no-cache."


class _Folder:
    """An open folder; what is done in it by its number cannot be led elsewhere by a link that is put in its place."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _see_that_it_is_ours(os.fstat(self.number), stat.S_ISDIR, path)
        except CacheUnusable:
            os.close(self.number)
            raise

    def __enter__(self) -> _Folder:  # noqa: PYI034 - typing takes a twentieth of a helper's time to load
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.number)


def _see_that_it_is_ours(found: os.stat_result, is_kind: Callable[[int], bool], folder: Path) -> None:
    if not is_kind(found.st_mode):
        raise CacheUnusable(f"what lies in {folder} is no plain file or folder", hint=_HINT)
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & _OTHERS:
        raise CacheUnusable(f"the cache in {folder} belongs to somebody else, or others can read it", hint=_HINT)


def _kept(content: bytes) -> Kept | None:
    """What a file holds; None for what no helper wrote: it is read anew and written over."""
    try:
        found = json.loads(content)
        fields, version = found["fields"], found["version"]
        read_at, tried_at = (datetime.fromisoformat(found[name]).astimezone(UTC) for name in ("read_at", "tried_at"))
    except (ValueError, RecursionError, KeyError, TypeError, OverflowError):
        return None
    usable = isinstance(fields, dict) and isinstance(version, int)
    return Kept(fields, version, read_at, tried_at) if usable else None
