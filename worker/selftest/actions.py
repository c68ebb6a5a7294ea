"""Ready-made actions for a script's rules. Each function makes an action; :func:`first` puts several together."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from worker.sandbox.wire import Delivery, Response
from worker.selftest.proxy import CUT
from worker.selftest.script import Action, Exchange

HOLD_SECONDS = 120.0
"""How long :func:`hold` holds at most, so that a test that failed does not hang."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Holds a request: ``arrived`` is set when it is there, set ``opened`` to let it go on."""

    arrived: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)


def cut() -> Action:
    """Reset the connection. BEFORE: without the effect. AFTER: with it."""
    return lambda _: CUT


def answer(status: int, body: bytes = b"", *headers: tuple[str, str]) -> Action:
    """Answer this instead. BEFORE: without the effect. AFTER: with it."""
    return lambda _: Response(status, body, headers)


def redis_error(text: str) -> Action:
    """Answer a Redis command with an error, such as ``OOM command not allowed when used memory > 'maxmemory'.``."""
    return lambda _: Response(0, raw=f"-{text}\r\n".encode())


def change(how: Callable[[Response], Response]) -> Action:
    """Pass on a changed answer; for AFTER."""
    return lambda exchange: how(exchange.answer) if exchange.answer else None


def late(seconds: float) -> Action:
    """Pass the answer on that much later; for AFTER."""
    return change(lambda whole: replace(whole, delivery=Delivery(wait=seconds)))


def hold(gate: Gate) -> Action:
    """Wait until the gate is opened, then go on."""

    def action(_: Exchange) -> None:
        gate.arrived.set()
        gate.opened.wait(HOLD_SECONDS)

    return action


def kill(pid: Callable[[], int]) -> Action:
    """Kill -9 the process that sent the request; BEFORE: the request is not forwarded."""

    def action(_: Exchange) -> Response:
        os.kill(pid(), signal.SIGKILL)
        return CUT

    return action


def freeze(pid: Callable[[], int]) -> Action:
    """SIGSTOP the process; the request goes on (use :func:`first` with :func:`hold` to keep it here)."""
    return call(lambda: os.kill(pid(), signal.SIGSTOP))


def call(hook: Callable[[], object]) -> Action:
    """Call something in this process, then go on."""

    def action(_: Exchange) -> None:
        hook()

    return action


def first(*actions: Action) -> Action:
    """Do these one after the other until one answers."""

    def action(exchange: Exchange) -> Response | None:
        return next((done for each in actions if (done := each(exchange)) is not None), None)

    return action
