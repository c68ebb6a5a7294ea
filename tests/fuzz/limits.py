"""What must hold of every input, whatever it is, and how that is seen.

No crash: only errors of this project, each with a text that a person can read. At most a second of CPU: the kernel ends
the process that takes longer (its parent then knows which input that was). At most 50 MB of memory. No secret in a
text that anybody could see.
"""

from __future__ import annotations

import json
import resource
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.part import Part
from worker.errors import ConfigurationError, RotatorError

SECONDS = 1.0
"""Of CPU, for one input."""

STANDSTILL_SECONDS = 60.0
"""Of the wall clock, for what waits instead of computing; long, because machines are busy."""

MEGABYTES = 50
"""Of memory, for one input."""

LONGEST_TEXT = 5_000
"""Characters of one error, or of one problem of many with a configuration."""

_MB = 1024 * 1024
_HARD_LIMIT = 2 * 1024 * _MB
_OURS = ("worker/", "tests/fuzz/parts")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with what an input led to. Two of one ``kind`` and ``place`` are the same fault."""

    part: str
    kind: str
    place: str
    detail: str

    def as_json(self) -> str:
        return json.dumps([self.part, self.kind, self.place, self.detail])


class Unreadable(Exception):
    """An error of ours whose text is none that a person can read."""


def hold_limits() -> None:
    """Once in a process, before its first input: nothing that it does may harm the machine."""
    resource.setrlimit(resource.RLIMIT_AS, (_HARD_LIMIT + _mapped(), resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def feed(part: Part, data: bytes) -> Finding | None:
    """Give one input to a part; None when all is well. Does not come back from an input that takes too long."""
    forget_peak()
    before = peak()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, STANDSTILL_SECONDS)
    try:
        found = _told(part, data)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    if found is None and peak() - before > MEGABYTES * _MB:
        return Finding(part.name, "memory", "", f"{(peak() - before) // _MB} MB for an input of {len(data)} bytes")
    return found


def _told(part: Part, data: bytes) -> Finding | None:
    try:
        for text in part.run(data):
            for secret in part.secrets:
                if secret in text:
                    at = text.index(secret)
                    return Finding(part.name, "secret", _start_of(text), repr(text[max(at - 200, 0) : at + 60]))
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return Finding(
            part.name, type(error).__name__, _place(error), "".join(traceback.format_exception(error))[-3000:]
        )
    return None


def seen(call: Callable[[], object]) -> Iterator[str]:
    """What a call shows to anybody: its result, or an error of ours with all that hangs on it. Raises all others."""
    try:
        yield repr(call())
    except RotatorError as error:
        yield from said_by(error)
        see_that_it_is_readable(error)


def said_by(error: BaseException | None) -> Iterator[str]:
    """All that a log or a traceback could show of an error, and of those it hides; of ours every attribute, too."""
    while error:
        ours = vars(error) if isinstance(error, RotatorError) else ""
        yield f"{error} {error!r} {error.args!r} {ours!r} {getattr(error, '__notes__', '')}"
        yield from said_by(error.__cause__)
        error = error.__context__


def see_that_it_is_readable(error: RotatorError) -> None:
    """Raises Unreadable."""
    text = str(error)
    if not any(char.isalpha() for char in error.what):
        raise Unreadable(f"{type(error).__name__} says nothing: {text!r}")
    if not text.isprintable():
        odd = next(char for char in text if not char.isprintable())
        raise Unreadable(f"{type(error).__name__} holds {odd!r}: {text!r}")
    longest = max(map(len, error.problems)) if isinstance(error, ConfigurationError) else len(text)
    if longest > LONGEST_TEXT:
        raise Unreadable(f"{type(error).__name__} is too long: {longest} characters: {text[:200]!r}")


def _place(error: BaseException) -> str:
    """The deepest line of ours in a traceback: two errors from there are one fault."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if any(ours in f.filename for ours in _OURS)]
    if isinstance(error, Unreadable):
        return str(error).partition(" ")[0]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else ""


def _start_of(text: str) -> str:
    return "".join(char for char in text[:30] if char.isalpha() or char == " ")


def forget_peak() -> None:
    """From now on :func:`peak` tells of what comes."""
    Path("/proc/self/clear_refs").write_bytes(b"5")


def peak() -> int:
    """The most memory that this process had since :func:`forget_peak`, in bytes.

    Not ``ru_maxrss`` of getrusage: that remembers the process that started this one.
    """
    status = Path("/proc/self/status").read_bytes()
    return int(status.partition(b"VmHWM:")[2].split(maxsplit=1)[0]) * 1024


def _mapped() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
