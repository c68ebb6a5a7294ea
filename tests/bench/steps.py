"""Where the CPU of a rotation goes: by call and by library, in one thread, so that nothing but the work is counted."""

from __future__ import annotations

import cProfile
import pstats
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.bench.parts import runtime_of
from tests.bench.seed import seed
from tests.bench.stage import Shape, names, set_up
from worker.rotation.records import RecordStore
from worker.rotation.services import AccountServices
from worker.service.assemble import Runtime
from worker.service.look import look_while_due
from worker.targets.account import DEFAULT_ACCOUNT

WARM_UP = 3
REST = "everything else: decide, record, logs"
_PACKAGE = re.compile(r"site-packages/([\w]+)")
_OURS = re.compile(r"/(worker/\w+)")


@dataclass(frozen=True, slots=True)
class Profile:
    """CPU milliseconds for one rotation: in all, by call (with how often it is made), by library."""

    rotations: int
    cpu_ms: float
    calls: dict[str, tuple[float, float]]
    libraries: dict[str, float]

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return {
            "rotations": self.rotations,
            "cpu_ms": self.cpu_ms,
            "calls": {name: {"times": times, "cpu_ms": ms} for name, (times, ms) in self.calls.items()},
            "libraries": self.libraries,
        }


class Book:
    """CPU time by name, of one thread; a call within another counts for itself only."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self.times: defaultdict[str, int] = defaultdict(int)
        self._inner = [0.0]

    def measure(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, entered into the book."""

        def measured(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            self._inner.append(0.0)
            try:
                return call(*arguments, **named)
            finally:
                took = time.thread_time() - began
                self.spent[name] += took - self._inner.pop()
                self.times[name] += 1
                self._inner[-1] += took

        return measured


class Measured:
    """An object some of whose methods are measured; ``named`` makes the name from the method and its arguments.

    Of a method in ``around``, which answers a context manager, entering and leaving are measured.
    """

    def __init__(
        self, inner: Any, book: Book, named: dict[str, Callable[..., str]], around: Sequence[str] = ()
    ) -> None:
        self._inner = inner
        self._book = book
        self._named = named
        self._around = around

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._inner, method)
        naming = self._named.get(method)
        if naming is None:
            return found
        if method in self._around:
            return lambda *given: self._measured_around(naming(*given), found(*given))
        return lambda *given, **more: self._book.measure(naming(*given), found)(*given, **more)

    @contextmanager
    def _measured_around(self, name: str, inner: AbstractContextManager[Any]) -> Iterator[Any]:
        found = self._book.measure(name, inner.__enter__)()
        with ExitStack() as stack:
            stack.push(self._book.measure(name, inner.__exit__))
            yield found


def profile(rotations: int) -> Profile:
    """Rotate so many targets twice: with every call measured, and under cProfile, of which only shares are taken."""
    shape = Shape(2 * rotations + 2 * WARM_UP, 1)
    with set_up(shape) as stage:
        seed(stage)
        with runtime_of(stage) as runtime:
            every = names(shape.targets)
            half = len(every) // 2
            book = Book()
            whole = _looked(measured(runtime, book), every[:half], book)
            libraries = _by_library(runtime, every[half:])
    ms = whole * 1000 / rotations
    calls = {name: (book.times[name] / rotations, spent * 1000 / rotations) for name, spent in book.spent.items()}
    rest = ms - sum(spent for _, spent in calls.values())
    shares = {name: share * ms for name, share in libraries.items()}
    return Profile(rotations, ms, calls | {REST: (1.0, rest)}, shares)


def _account(services: AccountServices, book: Book) -> AccountServices:
    """The same account with every call entered into the book."""
    probes = {"works": lambda *_: "S3: signed GET", "lives": lambda *_: "S3: signed GET with a wrong secret"}
    places = {"place": lambda *_: "Redis: circuit, place, count of keys"}
    return replace(
        services,
        hostup=Measured(services.hostup, book, {"create_key": lambda *_: "HostUp: POST"}),
        storage=Measured(services.storage, book, probes),
        account=Measured(services.account, book, places, around=("place",)),
    )


def measured(runtime: Runtime, book: Book) -> Runtime:
    """The same runtime with every call outside entered into the book."""
    world, state = runtime.services, runtime.settings.vault.state_path

    def about(verb: str) -> Callable[..., str]:
        return lambda path, *_: f"Vault: {verb} the {'record' if path.startswith(state) else 'secret of the app'}"

    vault = Measured(
        world.vault,
        book,
        {
            "read": about("read"),
            "write": about("write"),
            "missing_capabilities": lambda *_: "Vault: capabilities",
        },
    )
    everything = replace(
        world,
        vault=vault,
        store=RecordStore(vault, state, world.clock),
        accounts={DEFAULT_ACCOUNT: _account(world.at(DEFAULT_ACCOUNT), book)},
    )

    def around_look(part: object, *methods: str) -> Any:
        return Measured(part, book, dict.fromkeys(methods, lambda *_: "Redis: hold, index, what is next"))

    shared = replace(
        runtime.shared,
        locks=around_look(runtime.shared.locks, "hold"),
        index=around_look(runtime.shared.index, "finish_look"),
        due=around_look(runtime.shared.due, "claim_next"),
        watches=around_look(runtime.shared.watches, "claim", "seen", "sighting"),
    )
    return replace(runtime, services=everything, shared=shared)


def _looked(runtime: Runtime, targets: list[str], book: Book | None = None) -> float:
    for name in targets[:WARM_UP]:
        look_while_due(runtime, name)
    if book:
        book.spent.clear()
        book.times.clear()
    began = time.thread_time()
    for name in targets[WARM_UP:]:
        look_while_due(runtime, name)
    return time.thread_time() - began


def _by_library(runtime: Runtime, targets: list[str]) -> dict[str, float]:
    """Each library's share, what it calls in C counted as its own; the largest first."""
    for name in targets[:WARM_UP]:
        look_while_due(runtime, name)
    profiler = cProfile.Profile(time.thread_time)
    profiler.enable()
    for name in targets[WARM_UP:]:
        look_while_due(runtime, name)
    profiler.disable()
    spent: defaultdict[str, float] = defaultdict(float)
    entries = pstats.Stats(profiler).stats  # type: ignore[attr-defined]  # typeshed does not know it
    for place, (_, _, own, _, callers) in entries.items():
        if place[0] == "~":
            for caller, (_, _, its, _) in callers.items():
                spent[_library(caller[0])] += its
        else:
            spent[_library(place[0])] += own
    total = sum(spent.values())
    return {name: own / total for name, own in sorted(spent.items(), key=lambda pair: -pair[1])}


def _library(file: str) -> str:
    found = _PACKAGE.search(file) or _OURS.search(file)
    return found[1] if found else "the standard library"
