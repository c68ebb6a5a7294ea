"""What ``rotator run`` does next with its program. Pure; times are seconds of a clock that is handed in."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from signal import Signals

from worker.credentials.arguments import RESTART, SIGNAL
from worker.credentials.formats import variables
from worker.credentials.keys import AppKey

_MAY_END = frozenset({Signals.SIGINT, Signals.SIGQUIT})
"""What ends most programs, while others go on: an interpreter takes an interrupt, Java shows its threads."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What happens after a rotation: one of ``ON_CHANGE`` of the arguments, with ``signal`` for the second.

    A program that was told to stop has ``kill_after`` seconds. ``who`` names this process among its like, and so says
    which share of ``jitter`` seconds it waits before a restart.
    """

    on_change: str = RESTART
    signal: Signals = Signals.SIGHUP
    kill_after: float = 30.0
    jitter: float = 60.0
    who: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """A program that runs with the key ``used``; ``newest`` is the one that Vault has."""

    used: AppKey
    newest: AppKey
    restart_at: float | None = None
    kill_at: float | None = None
    ends_until: float | None = None
    """Until when a program is taken to end because somebody told it to; it is not started again then."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send the program a signal."""

    number: int


@dataclass(frozen=True, slots=True)
class Start:
    """Start the program with a key."""

    key: AppKey


@dataclass(frozen=True, slots=True)
class End:
    """End with the program's own exit code."""

    code: int


Step = Send | Start | End | None


def on_key(state: State, key: AppKey, now: float, policy: Policy) -> tuple[State, Step]:
    """Vault has another secret than before; the key in it may be the same."""
    new = replace(state, newest=key)
    if variables(key) == variables(state.used):
        return replace(new, restart_at=None), None  # a restart that waits is not needed any more
    if policy.on_change == RESTART and state.restart_at is None and state.kill_at is None:
        return replace(new, restart_at=now + _wait(policy, key)), None
    if policy.on_change == SIGNAL:
        return replace(new, used=key), Send(policy.signal)
    return new, None


def on_time(state: State, now: float, policy: Policy) -> tuple[State, Step]:
    """Some time has passed."""
    if state.kill_at is not None and now >= state.kill_at:
        return replace(state, kill_at=now + policy.kill_after), Send(Signals.SIGKILL)
    left = seconds_left(state, now)
    if state.kill_at is None and left is not None and left <= 0:
        return replace(state, restart_at=None, kill_at=now + policy.kill_after), Send(Signals.SIGTERM)
    return state, None


def on_signal(state: State, number: int, now: float, policy: Policy, *, passed_on: bool) -> tuple[State, Step]:
    """This process was sent a signal; ``passed_on``: the program got it, too, as a terminal sends it to both.

    Who lives on after SIGTERM may take hours for its end; after another signal it has as long as before a kill, and
    then it is one that goes on.
    """
    until = state.ends_until
    if number == Signals.SIGTERM:
        until = math.inf
    elif number in _MAY_END:
        until = max(until or now, now + policy.kill_after)
    return replace(state, ends_until=until), None if passed_on else Send(number)


def on_break(state: State, now: float, policy: Policy) -> tuple[State, Step]:
    """Nobody looks at Vault any more: the program is ended, so that who started all this starts it anew."""
    return replace(state, ends_until=math.inf, kill_at=now + policy.kill_after), Send(Signals.SIGTERM)


def on_exit(state: State, code: int, now: float) -> tuple[State, Step]:
    """The program has ended: by itself, or because it was told to make place for the next."""
    if state.kill_at is None or _is_ending(state, now):
        return state, End(code)
    return State(state.newest, state.newest), Start(state.newest)


def seconds_left(state: State, now: float) -> float | None:
    """In how many seconds :func:`on_time` has something to do; None: never, but for what comes in."""
    if state.kill_at is not None:
        return max(0.0, state.kill_at - now)
    if state.restart_at is None or state.ends_until == math.inf:
        return None
    return max(0.0, max(state.restart_at, state.ends_until or state.restart_at) - now)


def _is_ending(state: State, now: float) -> bool:
    return state.ends_until is not None and now < state.ends_until


def _wait(policy: Policy, key: AppKey) -> float:
    """At most a quarter of grace: another quarter is for the look, and the rest for the program's end and start.

    Another one for each process of a fleet, and the same when it is worked out again.
    """
    longest = key.grace.total_seconds() / 4 if key.grace else policy.jitter
    digest = hashlib.sha256(f"{policy.who}\n{key.access_key}".encode()).digest()
    return min(policy.jitter, longest) * int.from_bytes(digest[:4], "big") / 2**32
