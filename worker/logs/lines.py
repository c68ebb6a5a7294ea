"""The stream that all lines of the log go to: whole lines, and nobody is held up by a reader that is stuck."""

from __future__ import annotations

import os
import select
import stat
import threading
from collections import deque
from collections.abc import Callable
from typing import TextIO

MOST_WAITING = 1_000
"""Lines that wait for the stream; beyond that one is waited for, and where that is in vain, the newest are lost."""

PATIENCE_SECONDS = 1.0
"""How long the end of the process waits for the stream, and a line for a place."""

AT_ONCE = select.PIPE_BUF
"""Bytes that a pipe takes without anybody waiting, when it takes any."""


class Lines:
    """The stream, one whole line at a time. A line that cannot be written is lost: it must not stop a rotation.

    The thread that finds the stream free writes what waits, also what others left meanwhile: with a lock that each line
    waits for, the threads of a worker spent more than a third of their time waiting (`make bench`). Where writing
    would mean to wait for a reader, a thread of its own does it. ``tell`` is called with how many lines were lost.
    """

    def __init__(self, stream: TextIO, tell: Callable[[int], None]) -> None:
        self._stream = stream
        self._tell = tell
        self._number = _number(stream)
        self._may_wait = self._number is not None and not stat.S_ISREG(os.fstat(self._number).st_mode)
        self._free = threading.Lock()
        self._waiting: deque[str] = deque()
        self._stuck = False
        self._lost = 0

    def write(self, text: str) -> None:
        """Write a text that ends with a line's end, whatever the stream's encoding, or leave it to who writes now."""
        if len(self._waiting) >= MOST_WAITING and not self._has_room():
            self._lost += 1
            return
        self._waiting.append(text)
        self._go_on()

    def flush(self) -> None:
        """See that everything is written, unless that takes longer than a moment."""
        self._go_on()
        if not self._stuck and self._free.acquire(timeout=PATIENCE_SECONDS):
            self._free.release()

    def _go_on(self) -> None:
        # looked at again after each release: a line that was left just before it has not been seen yet
        while self._waiting and self._free.acquire(blocking=False):
            if not self._would_wait():
                self._write_out(AT_ONCE if self._may_wait else None)
                continue
            try:
                threading.Thread(target=self._write_patiently, name="log", daemon=True).start()
            except RuntimeError:  # the interpreter is ending
                self._free.release()
            return

    def _write_patiently(self) -> None:
        self._write_out(None)
        self._go_on()

    def _has_room(self) -> bool:
        """Whether a line may be left; a stream that is stuck is waited for once, until it moves again."""
        if not self._stuck:
            self._stuck = not self._free.acquire(timeout=PATIENCE_SECONDS)
            if not self._stuck:
                self._free.release()
        return not self._stuck

    def _would_wait(self) -> bool:
        """Whether what is to be written next could wait for a reader; the caller holds the stream."""
        if not self._may_wait or self._number is None:
            return False
        if len(self._encoded(self._waiting[0])) > AT_ONCE:
            return True
        poll = select.poll()
        poll.register(self._number, select.POLLOUT)
        return not poll.poll(0)

    def _write_out(self, most: int | None) -> None:
        """Write what waits, all or about so many bytes, and release the stream, which the caller holds."""
        try:
            while self._waiting:
                self._put(self._encoded(self._take(most)))
                self._stuck = False
                if most is not None:
                    break
        except (OSError, ValueError):  # a pipe whose reader is gone; a stream that is closed
            return
        finally:
            self._free.release()
        lost, self._lost = self._lost, 0
        if lost:
            self._tell(lost)

    def _take(self, most: int | None) -> str:
        text = self._waiting.popleft()
        while self._waiting and (most is None or len(self._encoded(text + self._waiting[0])) <= most):
            text += self._waiting.popleft()
        return text

    def _put(self, data: bytes) -> None:
        if self._number is None:
            self._stream.write(data.decode(self._encoding))
            self._stream.flush()
            return
        while data:  # past Python's buffer: a thread that waits in it would keep the interpreter from ending
            data = data[os.write(self._number, data) :]

    def _encoded(self, text: str) -> bytes:
        return text.encode(self._encoding, "backslashreplace")

    @property
    def _encoding(self) -> str:
        return self._stream.encoding or "utf-8"


def _number(stream: TextIO) -> int | None:
    """Its file descriptor, if it has one."""
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None
