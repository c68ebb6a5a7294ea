"""Why no new key is begun for a target although one is wanted: a person paused it, or the configuration says so. Pure.

What is under way goes on all the same, and so do deletes and proofs. A key that leaked is replaced whatever holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from worker.rotation.record import Paused, Record
from worker.targets.freeze import Freeze


@dataclass(frozen=True, slots=True)
class Hold:
    """What holds a new key back, in words that follow "waits for", and until when; None: until a person ends it."""

    why: str
    until: datetime | None


def pause_of(record: Record, now: datetime) -> Paused | None:
    """The pause that is in force."""
    paused = record.paused
    return paused if paused and (paused.until is None or now < paused.until) else None


def pause_text(paused: Paused) -> str:
    """A pause in words: by whom, since when, until when and why."""
    until = f" until {_text(paused.until)}" if paused.until else ""
    reason = f" ({paused.reason})" if paused.reason else ""
    return f"the pause by {paused.by} since {_text(paused.at)}{until}{reason}"


def hold_on(record: Record, now: datetime, freeze: Freeze | None) -> Hold | None:
    """What holds a new key back; ``freeze`` is the one that ``now`` is in, which lets through what was asked for."""
    if record.leaked:
        return None
    paused = pause_of(record, now)
    if paused:
        end = "to end" if paused.until else f"to be ended (`rotator resume {record.target}`)"
        return Hold(f"{pause_text(paused)} {end}", paused.until)
    if freeze and not record.requests:
        return Hold(f"{freeze} to be over", freeze.ends)
    return None


def overridden(record: Record, now: datetime) -> str:
    """What would hold a new key back if the key had not leaked; empty where nothing would."""
    paused = pause_of(record, now)
    return pause_text(paused) if paused and record.leaked else ""


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
