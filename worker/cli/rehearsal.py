"""What a rehearsal shows of an app: judged by what the object storage saw, not by what the app says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

OURS = "hostup-rotator/"
"""How the worker's own calls to the object storage call themselves."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One rotation of the rehearsal: the key before, the new one, and when Vault published it."""

    old: str
    new: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was seen of ``rotations`` of the ``wanted`` ones: fewer, where the app ended by itself.

    ``grace_needed``: how long after a new key was published the one before was used at most.

    None where the app did not take up every new key, so that no grace period is long enough.
    """

    wanted: int
    rotations: int
    calls: int
    failed: int
    taken_up: int
    grace_needed: timedelta | None
    exit_code: int | None

    @property
    def survives(self) -> bool:
        """Whether all rotations were played, every new key was taken up, no call failed, nor did the app."""
        taken_up = self.rotations == self.taken_up == self.wanted
        return self.calls > 0 and taken_up and not self.failed and not self.exit_code

    def document(self) -> dict[str, Any]:
        """As JSON."""
        needed = self.grace_needed
        return {
            "survives": self.survives,
            "wanted": self.wanted,
            "rotations": self.rotations,
            "calls": self.calls,
            "failed": self.failed,
            "taken_up": self.taken_up,
            "grace_needed_s": None if needed is None else round(needed.total_seconds(), 1),
            "exit_code": self.exit_code,
        }


def judge(ledger: Iterable[Mapping[str, Any]], turns: Sequence[Turn], exit_code: int | None, wanted: int) -> Judgement:
    """What the app did, by the simulator's ledger. ``exit_code`` of an app that ended by itself, else None.

    ``wanted`` are the rotations that were to be played.
    """
    calls = [entry for entry in ledger if entry["kind"] == "s3" and not str(entry.get("agent")).startswith(OURS)]
    used: dict[str, list[datetime]] = {}
    for entry in calls:
        used.setdefault(str(entry["access_key"]), []).append(datetime.fromisoformat(str(entry["at"])))
    taken_up = sum(turn.new in used for turn in turns)
    late = [max(used.get(turn.old, [turn.published_at])) - turn.published_at for turn in turns]
    needed = max([timedelta(0), *late]) if taken_up == len(turns) == wanted else None
    failed = sum(not entry["accepted"] for entry in calls)
    return Judgement(wanted, len(turns), len(calls), failed, taken_up, needed, exit_code)
