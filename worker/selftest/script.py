"""What proxies do and what they saw: rules for the nth matching request, and the trace of all of them.

One script is shared by all proxies of a test, so that its trace is in the order of the whole run. The steps of a clean
run (:meth:`Script.steps`) are the rows of a crash matrix; :func:`Rule.at` makes a rule for one of them.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self
from urllib.parse import parse_qsl

from worker.sandbox.wire import Request, Response


class Moment(StrEnum):
    """When an action takes place."""

    BEFORE = "before"
    """The request has arrived and was not forwarded."""
    AFTER = "after"
    """The upstream server has answered, so the effect took place; nothing was passed on."""
    DELIVERED = "delivered"
    """The answer was passed on."""


@dataclass(frozen=True, slots=True)
class Step:
    """The nth request of its kind: a row of a crash matrix."""

    service: str
    method: str
    path: str
    nth: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A request in the trace; ``path`` is a template, ``status`` None while there is no answer (and for Redis)."""

    number: int
    service: str
    method: str
    path: str
    nth: int
    status: int | None = None

    @property
    def step(self) -> Step:
        """Which step this was."""
        return Step(self.service, self.method, self.path, self.nth)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What an action gets: the request as it was seen, and from AFTER on the answer. ``request`` None: Redis."""

    seen: Seen
    request: Request | None = None
    answer: Response | None = None


Action = Callable[[Exchange], Response | None]
"""Does something. A Response is answered instead (BEFORE: nothing is forwarded; DELIVERED: too late, ignored)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Does ``action`` at ``moment`` of the ``nth`` matching request and of ``times`` - 1 after it (-1: all after it).

    ``service``, ``method`` and ``path`` (a template, as the trace shows it) match exactly; ``*`` matches all. Requests
    are counted from when the rule was added.
    """

    moment: Moment
    action: Action
    service: str = "*"
    method: str = "*"
    path: str = "*"
    nth: int = 1
    times: int = 1

    @classmethod
    def at(cls, step: Step, moment: Moment, action: Action) -> Self:
        """The rule for one step of a run that is about to begin."""
        return cls(moment, action, step.service, step.method, step.path, step.nth)

    def matches(self, seen: Seen) -> bool:
        """Whether this request is of the rule's kind."""
        wanted = ((self.service, seen.service), (self.method, seen.method), (self.path, seen.path))
        return all(mine in ("*", theirs) for mine, theirs in wanted)

    def hits(self, count: int) -> bool:
        """Whether the rule is for the ``count``-th request of its kind."""
        return count >= self.nth and (self.times < 0 or count < self.nth + self.times)


@dataclass(slots=True)
class _Counted:
    rule: Rule
    count: int = 0


class Script:
    """Rules and trace. ``names`` are path segments to be shown as placeholders: ``{"media": "{target}"}``."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self._names = dict(names or {})
        self._rules: list[_Counted] = []
        self._trace: list[Seen] = []
        self._kinds: Counter[tuple[str, str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, rule: Rule) -> None:
        """Add a rule; all that match act, in the order in which they were added, until one answers."""
        with self._lock:
            self._rules.append(_Counted(rule))

    def clear(self) -> None:
        """Forget all rules; the trace stays."""
        with self._lock:
            self._rules.clear()

    def trace(self) -> tuple[Seen, ...]:
        """All requests so far, in the order of their arrival."""
        with self._lock:
            return tuple(self._trace)

    def steps(self) -> tuple[Step, ...]:
        """The steps so far, in order: every request is one."""
        return tuple(seen.step for seen in self.trace())

    def arrived(self, service: str, method: str, target: str) -> tuple[Seen, tuple[Rule, ...]]:
        """Enter a request into the trace; answers with the rules that it hits."""
        path = template(target, self._names)
        with self._lock:
            self._kinds[service, method, path] += 1
            seen = Seen(len(self._trace) + 1, service, method, path, self._kinds[service, method, path])
            self._trace.append(seen)
            hit = []
            for counted in self._rules:
                if counted.rule.matches(seen):
                    counted.count += 1
                    if counted.rule.hits(counted.count):
                        hit.append(counted.rule)
        return seen, tuple(hit)

    def answered(self, seen: Seen, status: int) -> None:
        """Enter the status that was passed on."""
        with self._lock:
            self._trace[seen.number - 1] = replace(seen, status=status)


def act(rules: tuple[Rule, ...], moment: Moment, exchange: Exchange) -> Response | None:
    """Do what the rules say for this moment; the first answer wins."""
    for rule in rules:
        if rule.moment is moment and (response := rule.action(exchange)) is not None:
            return response
    return None


def template(target: str, names: Mapping[str, str]) -> str:
    """The path with what varies from run to run replaced, and of the query only the names.

    Access keys in HostUp's and Vault's paths, UUIDs and numbers become placeholders; ``names`` come first.
    """
    path, _, query = target.partition("?")
    segments = path.split("/")
    shown = [names.get(segment) or _placeholder(segment) for segment in segments]
    if segments[:-1] == ["", "api", "object-storage", "keys"]:
        shown[-1] = "{key}"
    if segments[:-2] == ["", "api", "keys"]:
        shown[-2] = "{key_id}"
    if segments[-2:-1] == ["_keys"]:
        shown[-1] = "{key}"
    given = sorted({name for name, _ in parse_qsl(query, keep_blank_values=True)})
    return "/".join(shown) + (f"?{'&'.join(given)}" if given else "")


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _placeholder(segment: str) -> str:
    if segment.isdecimal():
        return "{number}"
    return _UUID.sub("{uuid}", segment)
