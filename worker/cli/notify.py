"""``rotator notify test``: send a notice by each channel, or by one, and say how it went."""

from __future__ import annotations

import logging
import secrets
import sys
from dataclasses import dataclass

from worker.adapters.http.backend import DeadlineBackend
from worker.adapters.http.client import new_client
from worker.cli.options import Options
from worker.cli.output import print_lines, result
from worker.clock import SystemClock
from worker.errors import NotDelivered, UsageError
from worker.logs import setup
from worker.logs.redaction import Redactor
from worker.notices.notice import Kind, Notice
from worker.service.notices.office import way_of
from worker.settings.credential import no_logs
from worker.settings.environment import Need
from worker.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went with one channel; ``error`` None: it was delivered."""

    channel: str
    kind: str
    error: NotDelivered | None

    def document(self) -> dict[str, object]:
        """For ``--json``."""
        told = {"channel": self.channel, "kind": self.kind, "delivered": self.error is None}
        return told | ({"error": self.error.what, "hint": self.error.hint} if self.error else {})

    def lines(self) -> list[str]:
        """For people."""
        if self.error is None:
            return [f"ok       {self.channel} ({self.kind}): delivered"]
        return [f"FAILED   {self.channel} ({self.kind}): {self.error.what}", f"         {self.error.hint}"]


def notify_test(options: Options, name: str | None) -> int:
    """Print one line for each channel; 1 where one failed. Raises ConfigurationError, UsageError."""
    settings = options.settings(Need.NOTICES)
    outcomes = _sent(settings, name)
    result(
        options,
        [outcome.document() for outcome in outcomes],
        lambda: print_lines(line for outcome in outcomes for line in outcome.lines()),
    )
    return 1 if any(outcome.error for outcome in outcomes) else 0


def _sent(settings: Settings, name: str | None) -> list[Outcome]:
    channels = [channel for channel in settings.channels if name in (None, channel.name)]
    if not channels:
        what = f"there is no channel {name[:64]!r}" if name else "there is no channel"
        known = ", ".join(channel.name for channel in settings.channels)
        hint = f"There are: {known}." if known else "Write one as [[notify]] into the file; docs/notices.md says how."
        raise UsageError(f"{what} in {settings.file}", hint=hint)
    setup.configure("console", sys.stderr, Redactor(settings.secrets()), logging.WARNING)
    clock, outcomes = SystemClock(), []
    notice = Notice(
        id=secrets.token_hex(16),
        event=Kind.TEST,
        at=clock.now().isoformat(),
        log="notify.test",
        what="Sent by `rotator notify test`. Nothing has happened.",
    )
    with new_client(proxies=settings.proxies, backend=DeadlineBackend()) as http:
        for channel in channels:
            error = None
            try:
                way_of(channel, http, clock, no_logs).deliver(notice)
            except NotDelivered as failed:
                error = failed
            outcomes.append(Outcome(channel.name, channel.kind, error))
    return outcomes
