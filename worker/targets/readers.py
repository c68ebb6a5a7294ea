"""Who reads a target's key, and for how long each may go on with the key before: what ``grace`` has to last. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from worker.targets.durations import format_duration, parse_duration

_MINUTE = timedelta(minutes=1)
_ROLLOUT = timedelta(minutes=10)
"""After so long without progress Kubernetes calls a rollout failed (``progressDeadlineSeconds``)."""

LONGEST_LINK = timedelta(days=7)
"""No object storage takes a link of Signature V4 that is to live longer."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of reader follows: it notices within ``looks`` times its own duration, and then takes ``after``.

    Two looks, so that one may fail. ``duration`` says whether one must, may or must not be given.
    """

    duration: str
    looks: int
    after: timedelta

    def needs(self, every: timedelta) -> timedelta:
        """How long a key has to work after the next one is published."""
        return every * self.looks + self.after


_NONE, _OPTIONAL, _MUST = "none", "optional", "must"

KINDS: Mapping[str, Kind] = {
    # they look at least four times in a grace and let programs keep a key for half of it: a minute is for slow calls
    "process": Kind(_NONE, 0, _MINUTE),
    "endpoint": Kind(_NONE, 0, _MINUTE),
    "python": Kind(_NONE, 0, _MINUTE),
    # what they write or start is fresh at once: the duration is how long the program takes to follow
    "render": Kind(_OPTIONAL, 1, _MINUTE),
    "run": Kind(_OPTIONAL, 1, 2 * _MINUTE),  # half a minute to look, and up to a minute of jitter
    # the duration is how often they look
    "poll": Kind(_MUST, 2, _MINUTE),
    "agent": Kind(_MUST, 2, _MINUTE),
    "eso": Kind(_MUST, 2, _ROLLOUT),
    "vso": Kind(_MUST, 2, _ROLLOUT),
    # the duration is how long it runs at most before it is started anew
    "restart": Kind(_MUST, 1, _ROLLOUT),
}
"""What each kind needs (docs/apps.md, "How long grace must be")."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One way by which a key is read, as the configuration writes it: ``endpoint``, ``agent:5m``."""

    kind: str
    every: timedelta = timedelta(0)

    @property
    def needs(self) -> timedelta:
        """How long a key has to work for it after the next one is published."""
        return KINDS[self.kind].needs(self.every)

    def __str__(self) -> str:
        """As the configuration writes it."""
        return f"{self.kind}:{format_duration(self.every)}" if self.every else self.kind


def parse_reader(text: str) -> Reader:
    """Read ``agent:5m``. Raises ValueError, in words that follow the text."""
    name, colon, duration = text.partition(":")
    kind = KINDS.get(name)
    if kind is None:
        alike = difflib.get_close_matches(name, tuple(KINDS), n=1)
        meant = f"did you mean {alike[0]}? " if alike else ""
        raise ValueError(f"is no reader; {meant}allowed are {', '.join(KINDS)}")
    if kind.duration == _NONE and colon:
        raise ValueError(f"must not have a duration; write {name}")
    if kind.duration == _MUST and not colon:
        raise ValueError(f"lacks its duration, such as {name}:5m")
    return Reader(name, parse_duration(duration) if colon else timedelta(0))


@dataclass(frozen=True, slots=True)
class Needed:
    """The least ``grace``, and who needs it, in words that follow "needs"."""

    grace: timedelta
    why: str


def least_grace(readers: Sequence[Reader], presign_ttl: timedelta | None) -> Needed | None:
    """What the slowest reader needs; None where nobody is named.

    A link that was signed with a key dies with it, and it may be signed in the last moment in which the slowest reader
    still uses that key: so the life of links comes on top.
    """
    slowest = max(readers, key=lambda reader: reader.needs, default=None)
    if presign_ttl is None:
        return Needed(slowest.needs, f'reader "{slowest}"') if slowest else None
    before = slowest.needs if slowest else _MINUTE
    noticing = f'reader "{slowest}"' if slowest else "noticing a key"
    why = f"{noticing} ({format_duration(before)}) and then presign_ttl ({format_duration(presign_ttl)})"
    return Needed(before + presign_ttl, why)
