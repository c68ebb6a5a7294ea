"""``rotator run``: a program with its key in the environment, started anew after a rotation."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue

from worker.credentials.arguments import NOTHING
from worker.credentials.cache import Cache, Kept
from worker.credentials.environment import Given, Place, Server
from worker.credentials.formats import variables
from worker.credentials.helper import Helper
from worker.credentials.keeper import Keeper
from worker.credentials.keys import AppKey
from worker.credentials.login import Session
from worker.credentials.supervision import (
    End,
    Policy,
    Send,
    Start,
    State,
    Step,
    on_break,
    on_exit,
    on_key,
    on_signal,
    on_time,
    seconds_left,
)
from worker.credentials.vault import Vault
from worker.errors import CacheUnusable, UsageError

PASSED_ON: frozenset[int] = frozenset(
    {
        signal.SIGALRM,
        signal.SIGCONT,
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGIO,
        signal.SIGPROF,
        signal.SIGPWR,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGVTALRM,
        signal.SIGWINCH,
        *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
    }
)
"""All that somebody sends a program; what is left tells of this process's own faults, or stops it."""
_OF_A_TERMINAL = frozenset({signal.SIGCONT, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH})
"""What the kernel sends to all programs at a terminal."""
_WATCHED = PASSED_ON | {signal.SIGCHLD}
_NO_EVENT = 3600.0
"""Seconds to sleep where nothing is planned."""
_BY_SIGNAL = 128
"""And its number is the exit code of a program that a signal ended, as shells have it."""
_OF_OTHERS = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""Variables that belong to another key: with them the storage would refuse this one."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to run, with which secret, and what to do after a rotation."""

    command: Sequence[str]
    place: Place
    policy: Policy
    refresh: timedelta
    cache: Cache | None


def run(wanted: Wanted, env: Mapping[str, str], vault: Server, login: Given, say: Say) -> int:
    """Run the program until it ends; its exit code, or 128 and the number of the signal that ended it.

    Raises UsageError for a command that cannot be started, and what reading the first key raises.
    """
    session = Session(Vault(vault), login)
    try:
        first = Helper(session.read, wanted.cache, say, wanted.refresh).key(wanted.place, datetime.now(UTC))
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)  # before there are threads, which inherit it
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who ignored it has no exit code of a child
        return _Runner(wanted, env, before, say).run(session, first)
    finally:
        session.end()


class _Runner:
    """The program, and what comes in about it: signals and ends as signals, the rest through a queue and a signal.

    In the queue are new keys, and None where there will be no more.
    """

    def __init__(self, wanted: Wanted, env: Mapping[str, str], mask: Collection[int], say: Say) -> None:
        self._wanted = wanted
        self._env = {name: value for name, value in env.items() if name not in _OF_OTHERS}
        self._mask = mask
        self._say = say
        self._news: SimpleQueue[AppKey | None] = SimpleQueue()
        self._broken = False
        self._pid = 0
        self._code: int | None = None

    def run(self, session: Session, first: AppKey) -> int:
        self._start(first)
        if self._wanted.policy.on_change != NOTHING:
            wanted = self._wanted
            Keeper(
                session.read, wanted.place, wanted.refresh, self._say, on_change=self._heard, broke=self._broke
            ).start()
        state = State(first, first)
        while self._code is None:
            state = self._look(state)
        return self._code or 1 if self._broken else self._code

    def _look(self, state: State) -> State:
        """Sleep until something happens, and do what follows from it."""
        policy = self._wanted.policy
        left = seconds_left(state, time.monotonic())
        seen = signal.sigtimedwait(_WATCHED, _NO_EVENT if left is None else left)
        if seen and seen.si_signo in PASSED_ON:
            passed_on = seen.si_code > 0 and seen.si_signo in _OF_A_TERMINAL  # > 0: of the kernel
            state = self._do(on_signal(state, seen.si_signo, time.monotonic(), policy, passed_on=passed_on))
        while not self._news.empty():
            key = self._news.get()
            now = time.monotonic()
            state = self._do(on_key(state, key, now, policy) if key else on_break(state, now, policy))
        state = self._do(on_time(state, time.monotonic(), policy))
        code = self._ended()
        return state if code is None else self._do(on_exit(state, code, time.monotonic()))

    def _do(self, decided: tuple[State, Step]) -> State:
        state, step = decided
        match step:
            case Start(key):
                self._start(key)
            case Send(number):
                self._send(number)
            case End(code):
                self._code = code
        return state

    def _start(self, key: AppKey) -> None:
        command, env = list(self._wanted.command), {**self._env, **variables(key)}
        theirs = (signal.SIGPIPE, signal.SIGXFSZ)  # which Python ignores for itself
        try:
            self._pid = os.posix_spawnp(command[0], command, env, setsigmask=self._mask, setsigdef=theirs)
        except (OSError, ValueError) as error:
            why = (isinstance(error, OSError) and error.strerror) or "its arguments or variables hold a null byte"
            raise UsageError(f"{command[0]} cannot be started: {why}", hint="Check what stands after --.") from None

    def _send(self, number: int) -> None:
        try:
            if self._pid:
                os.kill(self._pid, number)
        except OSError as error:
            self._say(f"{self._wanted.command[0]} was not sent '{signal.strsignal(number)}': {error.strerror}")

    def _ended(self) -> int | None:
        """The exit code of the program, where it has ended. As a container's first process this has others to bury."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid == 0:
                return None
            if pid == self._pid:
                self._pid = 0
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else _BY_SIGNAL - code

    def _heard(self, key: AppKey) -> None:
        """In the keeper's thread: wakes the other one."""
        if self._wanted.cache:
            now = datetime.now(UTC)
            try:
                self._wanted.cache.write(self._wanted.place, Kept(key.fields, key.version, now, now))
            except CacheUnusable as error:
                self._say(str(error))
        self._tell(key)

    def _broke(self) -> None:
        """As :meth:`_heard`, when that thread ends."""
        self._broken = True
        self._tell(None)

    def _tell(self, news: AppKey | None) -> None:
        self._news.put(news)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGCHLD)
