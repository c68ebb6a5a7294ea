"""Names in Redis that no target has here: they are dropped, and a worker that has such a target puts it back.

They are there while workers have different configurations, and when somebody who may write to Redis wants to keep
those of targets from being looked at: so a claim goes on behind them, and many of them are dropped at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from worker.adapters.redis.keys import DUE, WATCHES
from worker.adapters.redis.repair import tell
from worker.service.assemble import Runtime

MOST_STRANGERS = 100
"""As many may lie among the targets and are dropped when their time comes; more are looked for."""

_WHAT = "targets that are not configured"


def claimed(runtime: Runtime, most: int, claim: Callable[[int], Sequence[str]]) -> list[str]:
    """What ``claim`` takes, at most so many, but for strangers: they are dropped, and what is behind them is taken."""
    found: list[str] = []
    dropped = 0
    while len(found) < most and dropped <= MOST_STRANGERS:
        names = claim(most - len(found))
        known = [name for name in names if name in runtime.settings.targets]
        found += known
        if len(known) == len(names):
            break
        strangers = [name for name in names if name not in runtime.settings.targets]
        _drop(runtime, strangers)
        dropped += len(strangers)
    if dropped:
        tell(DUE, _WHAT, dropped=dropped)
    return found


def drop_all(runtime: Runtime, *, said: bool = True) -> None:
    """Drop every stranger, and tell of it; it is not told at a start, as the configuration may have been changed."""
    shared, targets = runtime.shared, runtime.settings.targets
    dropped = {DUE: 0, WATCHES: 0}
    for key, pages in ((WATCHES, shared.watches.others(targets)), (DUE, shared.due.others(targets))):
        for names in pages:
            shared.index.forget(names)
            _drop(runtime, names)
            dropped[key] += len(names)
    for key, number in dropped.items():
        if said and number:
            tell(key, _WHAT, dropped=number)


def _drop(runtime: Runtime, names: Sequence[str]) -> None:
    """Drop these names; the due set is last, so that a worker that dies in between leaves them to the next one."""
    runtime.shared.watches.forget(names)
    runtime.shared.due.forget(names)
