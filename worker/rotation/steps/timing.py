"""How long a step took, for who counts and for who draws rotations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from worker.errors import Superseded
from worker.events import Event
from worker.rotation.outcomes import FAILED, outcome
from worker.rotation.record import Record
from worker.rotation.steps.session import Pause, Session
from worker.spans import DONE, INTERRUPTED, POSTPONED, SUPERSEDED, Span

_FAILURES = frozenset({Event.KEY_REFUSED, Event.KEY_RETIRE_FAILED, Event.KEY_OVERDUE, Event.CREATE_UNCONFIRMED})


def timed(session: Session, name: str, rotation_id: str | None, do: Callable[[], Pause | None]) -> Pause | None:
    """Do a step, and tell how long it took, whatever comes of it.

    ``rotation_id`` is the rotation that it belongs to; None: the one that it puts on record, if it does.
    """
    clock, ended = session.services.clock, INTERRUPTED
    before, at, began = session.record, clock.now(), clock.monotonic()
    session.noted.clear()
    try:
        pause = do()
        ended = POSTPONED if pause else _outcome(before, session)
    except Superseded:
        ended = SUPERSEDED
        raise
    else:
        return pause
    finally:
        seconds = clock.monotonic() - began
        session.services.meter.stepped(name, seconds, session.target.account)
        _tell(session, name, rotation_id, (at, at + timedelta(seconds=seconds)), ended)


def _outcome(before: Record, session: Session) -> str:
    known = outcome(before, session.record, tuple(session.noted))
    failed = any(entry.event in _FAILURES for entry in session.noted)
    return FAILED if failed or (known and known[1] == FAILED) else DONE


def _tell(session: Session, name: str, rotation_id: str | None, when: tuple[datetime, datetime], ended: str) -> None:
    known = rotation_id or next((entry.rotation_id for entry in session.noted if entry.rotation_id), None)
    if known:
        asked = tuple(dict.fromkeys(entry.request_id for entry in session.noted if entry.request_id))
        rotation = session.record.rotation
        account = rotation.account if rotation else session.target.account
        about = (session.target.name, known, *when, ended, account)
        session.services.spans.took(Span(name, *about, request_ids=asked))
