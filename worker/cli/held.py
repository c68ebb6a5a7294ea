"""What is held back at HostUp, in sentences: each with its reason, since when and until when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from worker.adapters.redis.circuit import EVERY_CALL, HeldCalls
from worker.cli.texts import when
from worker.errors import QueueUnavailable
from worker.targets.account import account_option, at_account

if TYPE_CHECKING:
    from worker.service.assemble import Runtime

WORDS = {
    EVERY_CALL: "every call to HostUp",
    "create_key": "creating keys",
    "delete_key": "deleting keys",
    "status": "asking HostUp for its status",
}


def held_text(held: HeldCalls, now: datetime) -> str:
    """One thing that is held back, as a sentence without its end."""
    reason = f"{held.why} (requestId {held.request_id})" if held.request_id else held.why
    failures = f", {held.failures} failures in a row" if held.failures else ""
    after = "; then one call at a time tries whether it answers again" if held.operation == EVERY_CALL else ""
    return (
        f"{WORDS[held.operation]}{at_account(held.account)} is held back since {when(held.since, now)}{failures}, "
        f"until {when(held.until, now)}{after}: {reason}"
    )


def held_now(runtime: Runtime, accounts: Iterable[str] | None = None) -> Iterator[tuple[str, str]]:
    """What is held back now of all accounts, or of these, and what to do about it.

    Nothing where Redis is away, which is said elsewhere.
    """
    now = runtime.clock.now()
    with suppress(QueueUnavailable):
        for name in runtime.settings.accounts if accounts is None else accounts:
            for held in runtime.shared.circuit(name).held(now):
                command = f"rotator circuit --close{account_option(name)}"
                yield held_text(held, now), f"{held.hint} `{command}` lets calls through at once.".strip()


def held_lines(found: Iterable[HeldCalls], now: datetime) -> Iterator[str]:
    """All that is held back, each with what to do."""
    for held in found:
        yield held_text(held, now)
        if held.hint:
            yield f"  {held.hint}"
