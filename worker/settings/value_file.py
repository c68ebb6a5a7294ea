"""Files that hold one value, and what shows that somebody wrote one."""

from __future__ import annotations

from pathlib import Path

FileState = tuple[int, int, int, int]
"""What changes when somebody writes a file, puts another one in its place, or lets it be read."""


def look_at(path: Path) -> FileState | None:
    """The state of a file or folder, to be compared with another one's; None when it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size


def read_text(file: Path) -> str:
    """What a file holds. Raises ValueError, in words that follow the name of the variable that names the file."""
    one_line(str(file))
    # a relative path might be the secret itself, set as ..._FILE by mistake
    shown = file if file.is_absolute() else "the file (with a relative path)"
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise ValueError(f"{shown} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{shown} is not text") from None


def read_value(file: Path) -> str:
    """The value in a file, without one line break at its end. Raises ValueError, as :func:`read_text` does."""
    value = read_text(file).removesuffix("\n").removesuffix("\r")
    if not value:
        raise ValueError("names a file that is empty")
    return value


def one_line(value: str) -> str:
    """The value, if it is on one line. Raises ValueError, in words that follow its name."""
    if value.isprintable():
        return value
    raise ValueError("must not hold line breaks or other control characters")
