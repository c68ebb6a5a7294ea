"""What a command asks of the person at the terminal, and the moments that he gives."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from worker.cli.output import say
from worker.clock import moment
from worker.errors import UsageError
from worker.targets.durations import LONGEST, parse_duration

LONGEST_REASON = 200


def agreed(question: str) -> bool:
    """Whether the person says yes. Raises UsageError where nobody can be asked."""
    if not (sys.stdin and sys.stdin.isatty()):
        raise UsageError("nobody can be asked here", hint="Nothing was changed. With --yes it is done without asking.")
    import typer

    try:
        if typer.confirm(question, default=False, err=True):
            return True
    except typer.Abort:
        say("")
        raise KeyboardInterrupt from None
    say("Nothing was changed.")
    return False


def reason_of(text: str) -> str:
    """A reason that is not too long. Raises UsageError."""
    if len(text) > LONGEST_REASON:
        raise UsageError(f"the reason is longer than {LONGEST_REASON} characters", hint="Say it in fewer words.")
    return text


def moment_of(option: str, text: str, now: datetime) -> datetime:
    """A moment to come, in UTC: with an offset, or how long from now. Raises UsageError."""
    with suppress(ValueError):
        return now + parse_duration(text)
    found = moment(text)
    if found is None:
        raise UsageError(
            f"{option}: {text[:40]!r} is no moment",
            hint="Allowed are a date and a time with an offset, such as 2026-12-01T03:00+01:00, and how long from now, "
            "such as 12h.",
        )
    found = found.astimezone(UTC)
    if not now < found <= now + timedelta(days=2 * LONGEST.days):
        raise UsageError(
            f"{option}: {found.isoformat(timespec='seconds')} has passed, or is more than two years away",
            hint="Nothing was changed. Give a moment to come.",
        )
    return found
