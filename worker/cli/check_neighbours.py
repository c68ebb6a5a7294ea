"""Whether another Celery app uses the same Redis database, going by the names of keys that such apps leave there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from redis.exceptions import ResponseError

from worker.adapters.redis.client import guard
from worker.cli.verdicts import Verdict
from worker.errors import QueueUnavailable
from worker.service.assemble import Runtime
from worker.service.former_queue import FORMER_QUEUE

PAGES = 20
PAGE = 1_000
"""So many keys are looked at in each of so many calls: a sample is enough, a large database is not walked through."""

RESULT = "celery-task-meta-"
BINDING = "_kombu.binding."


def look(runtime: Runtime) -> Iterator[Verdict]:
    """A warning where there is one; nothing where Redis is away, or forbids to list keys."""
    queue = runtime.settings.queue
    with suppress(QueueUnavailable), guard():
        yield from judged(_names(runtime), _waiting(runtime) if queue != FORMER_QUEUE else 0, queue)


def judged(names: Iterable[str], waiting: int, queue: str) -> Iterator[Verdict]:
    """By the names of keys, and how many messages wait in Celery's own default queue."""
    known = set(names)
    results = sum(name.startswith(RESULT) for name in known)
    # releases before had the former queue, and its binding stays
    queues = {name.removeprefix(BINDING) for name in known if name.startswith(BINDING)} - {queue, FORMER_QUEUE}
    signs = [f"{waiting} messages wait in {FORMER_QUEUE}"] if waiting else []
    signs += [f"at least {results} results ({RESULT}...)"] if results else []
    signs += [f"{len(queues)} other queues"] if queues else []
    if signs:
        what = f"another Celery app seems to use this database: {', '.join(signs)}"
        hint = (
            f"Give each a database of its own: what one fills or flushes, the other loses. Only messages in {queue} "
            "are for this worker."
        )
        yield Verdict("Redis", "warning", what, hint)


def _names(runtime: Runtime) -> Iterator[str]:
    cursor = 0
    for _ in range(PAGES):
        try:
            cursor, names = runtime.shared.client.scan(cursor, count=PAGE)
        except ResponseError:
            return  # its user may not list keys
        yield from map(str, names)
        if not cursor:
            return


def _waiting(runtime: Runtime) -> int:
    try:
        return int(runtime.shared.client.llen(FORMER_QUEUE))
    except ResponseError:
        return 0  # it may not be looked at, or is none of Celery's
