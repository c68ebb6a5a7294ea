"""The places in the worker's code that call outside: found in its source, and noted while it runs."""

from __future__ import annotations

import ast
import inspect
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, cast

import worker

PACKAGE = Path(worker.__file__).parent
PORTS = frozenset({"hostup", "vault", "storage"})
"""What ports are called wherever they are held, with or without an underscore."""

FOLDERS = (PACKAGE / "rotation", PACKAGE / "service")
"""Where ports are called; elsewhere in the package is what stands behind them, and what only people and tests run."""

ASSEMBLY = ("assemble.py", "api_keys.py")
"""What puts the parts together: no calls of a rotation, a retirement or the audit."""

PASSING_ON = ("session.", "records.change", "tick.", "look.", "request.", "audit_task.", "reconcile.")
"""Functions and modules that are on the way to every step."""


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """A call of a port: in which function of which module, and of what."""

    function: str
    call: str

    def __str__(self) -> str:
        return f"{self.function} -> {self.call}"


@dataclass(frozen=True, slots=True)
class Passed:
    """A call that was made, by which way through the worker, and how long the trace was before and after it.

    ``failed_after`` is how many seconds a call took that ended with an error.
    """

    site: Site
    way: str
    before: int
    after: int
    failed_after: float | None = None


@dataclass(slots=True)
class Notes:
    """The calls that were made, in the order in which they ended."""

    passed: list[Passed] = field(default_factory=list)

    def sites(self) -> set[Site]:
        return {passed.site for passed in self.passed}

    def timed_out(self, call: str, seconds: float) -> bool:
        """Whether such a call was given up because its time was over, as may be on a machine that is too busy."""
        failed = (each.failed_after for each in self.passed if each.site.call == call)
        return any(took is not None and took >= seconds for took in failed)

    def of(self, number: int) -> Passed | None:
        """The innermost call during which request ``number`` of the trace was made."""
        around = [passed for passed in self.passed if passed.before < number <= passed.after]
        return min(around, key=lambda passed: passed.after - passed.before, default=None)


class Noted:
    """A port that notes from which function each of its methods is called, and which requests that led to."""

    def __init__(self, port: object, name: str, notes: Notes, requests: Callable[[], int]) -> None:
        self._port = port
        self._name = name
        self._notes = notes
        self._requests = requests

    def __getattr__(self, name: str) -> Any:
        frame = cast("FrameType", cast("FrameType", inspect.currentframe()).f_back)
        site = Site(_function(frame), f"{self._name}.{name}")
        way = _way(frame)
        before = self._requests()
        value = getattr(self._port, name)
        if not callable(value):
            self._notes.passed.append(Passed(site, way, before, self._requests()))
            return value

        def called(*args: object, **named: object) -> object:
            first, began, failed = self._requests(), time.monotonic(), True
            try:
                answer = value(*args, **named)
                failed = False
                return answer
            finally:
                took = time.monotonic() - began if failed else None
                self._notes.passed.append(Passed(site, way, first, self._requests(), took))

        return called


def _function(frame: FrameType) -> str:
    code = frame.f_code
    return f"{Path(code.co_filename).stem}.{code.co_qualname.split('.<locals>')[0].rpartition('.')[2]}"


def _way(frame: FrameType | None) -> str:
    """The functions of the worker that led here, without those that only pass a change on."""
    names = []
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if any(folder in file.parents for folder in FOLDERS) and not _function(frame).startswith(PASSING_ON):
            names.append(_function(frame))
        frame = frame.f_back
    return " > ".join(dict.fromkeys(reversed(names)))


def in_the_code() -> set[Site]:
    """Every call of a port in the worker's source."""
    return {site for file in _files() for site in _sites(file)}


def _files() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (file for file in sorted(folder.rglob("*.py")) if file.name not in ASSEMBLY)


def _sites(file: Path) -> Iterator[Site]:
    tree = ast.parse(file.read_text("utf-8"))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in _own(function):
                if isinstance(node, ast.Attribute) and (port := _port(node.value)):
                    yield Site(f"{file.stem}.{_outermost(tree, function)}", f"{port}.{node.attr}")


def _own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    yield from (node for statement in function.body for node in ast.walk(statement))


def _outermost(tree: ast.Module, function: ast.FunctionDef) -> str:
    """The name of the function, or of the one it is defined in."""
    for outer in ast.walk(tree):
        if isinstance(outer, ast.FunctionDef) and outer is not function and function in list(ast.walk(outer)):
            return outer.name
    return function.name


def _port(node: ast.AST) -> str | None:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.lstrip("_") if name.lstrip("_") in PORTS else None
