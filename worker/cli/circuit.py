"""``rotator circuit``: what is held back at HostUp, and letting it through again."""

from __future__ import annotations

from datetime import UTC, datetime

from worker.adapters.redis.client import connect
from worker.adapters.redis.state import shared_state
from worker.cli.held import held_lines
from worker.cli.options import Options, account_named
from worker.cli.output import print_lines, result
from worker.settings.environment import Need


def circuit(options: Options, account: str | None, *, close: bool) -> int:
    """Print what is held back; with ``close``, let all calls through from now on and wake what was turned away.

    Of one account, or of all. Raises ConfigurationError, UsageError, QueueUnavailable.
    """
    settings = options.settings(Need.NOTHING, only=())
    names = [account_named(settings, account)] if account else settings.accounts
    now = datetime.now(UTC)
    with connect(settings.redis_url) as client:
        shared = shared_state(client, names)
        held = shared.held(now)
        for name in names if close else ():
            shared.circuit(name).close_all(now)
    lines = list(held_lines(held, now)) or ["Nothing is held back: HostUp may be called."]
    if close and held:
        lines.append("Closed: calls are made again from now on, and the targets that were turned away are looked at.")
    document = {"held": [each.document() for each in held], "closed": bool(close and held)}
    result(options, document, lambda: print_lines(lines))
    return 0
