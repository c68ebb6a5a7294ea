"""The simulator's ledger: what really happened, in order, for checkers that trust nothing else.

Entries are only ever added. None holds a secret. Kinds, by their field ``kind``:

``call``     a request to the HostUp API arrived: ``call`` (its number), ``operation``, ``label`` or ``access_key``
``effect``   a key came to be or went: ``call``, ``operation``, ``access_key``, ``label``; without ``call`` it was done
             by hand, through the admin API; of an API key it is ``key_id`` instead of the last two
``answer``   the call is over: ``status``, the ``request_id`` that the answer holds (null: none), ``delivered``, the
             ``fault`` by its name
``s3``       a request to the object storage: ``operation``, ``access_key``, ``status``, ``code``, ``accepted``,
             ``agent`` (how the program calls itself), ``delivered``
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from worker.sandbox.files import open_private


class Ledger:
    """Append-only and thread-safe; with ``path`` every entry is also a line of that file.

    Effects are fsynced before the call goes on; the other lines survive the death of the process, not of the machine.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lines: list[str] = []
        self._calls = 0
        self._lock = threading.Lock()
        self._file = os.fdopen(open_private(path), "a", encoding="utf-8") if path else None

    def call(self, operation: str, **about: object) -> int:
        """Enter a request to the API and give it its number."""
        with self._lock:
            self._calls += 1
            self._append("call", {"call": self._calls, "operation": operation, **about})
            return self._calls

    def enter(self, kind: str, **about: object) -> None:
        """Enter anything else; see the module's list of kinds."""
        with self._lock:
            self._append(kind, about)

    def since(self, number: int) -> str:
        """All entries after that number, as a JSON list."""
        with self._lock:
            lines = self._lines[max(0, number) :]
        return f"[{','.join(lines)}]"

    def close(self) -> None:
        """Close the file; entries are still taken in memory."""
        with self._lock:
            if self._file:
                self._file.close()
                self._file = None

    def _append(self, kind: str, about: Mapping[str, object]) -> None:
        entry = {"n": len(self._lines) + 1, "at": datetime.now(UTC).isoformat(), "kind": kind, **about}
        line = json.dumps(entry, separators=(",", ":"))
        self._lines.append(line)
        if self._file:
            self._file.write(line + "\n")
            self._file.flush()
            if kind == "effect":
                os.fsync(self._file.fileno())


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the API, put together from its entries.

    ``access_key`` is the one made or asked for; ``effect`` whether a key really came or went; ``answered`` whether an
    answer was begun at all, ``delivered`` whether all of it was handed to the client's machine.
    """

    number: int
    at: datetime
    operation: str
    label: str | None = None
    access_key: str | None = None
    effect: bool = False
    effect_at: datetime | None = None
    answered: bool = False
    status: int | None = None
    request_id: str | None = None
    delivered: bool = False
    fault: str | None = None


def calls(entries: Iterable[Mapping[str, object]]) -> tuple[Call, ...]:
    """The calls of a ledger, in the order in which they arrived."""
    found: dict[object, Call] = {}
    for entry in entries:
        number = entry.get("call")
        if entry["kind"] == "call":
            found[number] = Call(
                number=int(str(number)),
                at=_time(entry),
                operation=str(entry["operation"]),
                label=_text(entry, "label"),
                access_key=_text(entry, "access_key"),
            )
        elif number in found:
            found[number] = _with(found[number], entry)
    return tuple(found.values())


def _with(call: Call, entry: Mapping[str, object]) -> Call:
    if entry["kind"] == "effect":
        return replace(call, effect=True, effect_at=_time(entry), access_key=_text(entry, "access_key"))
    return replace(
        call,
        answered=True,
        status=int(str(entry["status"])),
        request_id=_text(entry, "request_id"),
        delivered=entry["delivered"] is True,
        fault=_text(entry, "fault"),
    )


def _text(entry: Mapping[str, object], name: str) -> str | None:
    value = entry.get(name)
    return None if value is None else str(value)


def _time(entry: Mapping[str, object]) -> datetime:
    return datetime.fromisoformat(str(entry["at"]))
