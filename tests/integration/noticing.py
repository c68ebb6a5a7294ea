"""Notices at work for tests: real Redis, real receivers, log lines by hand, and a clock that can be set forward."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from worker.adapters.http.client import new_client
from worker.adapters.notify.webhook import WebhookWay
from worker.adapters.redis.outbox import Outbox
from worker.clock import SystemClock
from worker.meter import NoMeter
from worker.notices.forms import FORMS
from worker.notices.judging import READ
from worker.notices.notice import NAMED, Way
from worker.notices.routes import Route
from worker.secret import Secret
from worker.service.notices.courier import Courier, Times
from worker.service.notices.desk import Desk
from worker.service.notices.feed import Feed
from worker.settings.credential import Credential

ALL = Route(frozenset(NAMED))
_NUMBER = itertools.count()


@dataclass
class ForwardClock:
    """The machine's clock, and how far it was set forward; also what is measured by it."""

    ahead: timedelta = timedelta(0)
    stopped: threading.Event = field(default_factory=threading.Event)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return SystemClock().monotonic() + self.ahead.total_seconds()

    def wait(self, seconds: float) -> bool:
        return self.stopped.wait(seconds)

    def sleep(self, seconds: float) -> None:
        self.stopped.wait(seconds)


@dataclass
class CountingMeter(NoMeter):
    """Counts what became of notices."""

    seen: list[tuple[str, str]] = field(default_factory=list)

    def noticed(self, channel: str, outcome: str) -> None:
        self.seen.append((channel, outcome))


@dataclass
class Noticing:
    """The threads of one worker."""

    feed: Feed
    desk: Desk
    couriers: Sequence[Courier]
    clock: ForwardClock
    meter: CountingMeter

    def say(self, event: str, target: str | None = "media", **fields: Any) -> None:
        """Log a line."""
        line = {"event": event, "timestamp": f"{self.clock.now().isoformat()} {next(_NUMBER)}", "target": target}
        self.feed(None, "info", {**line, **fields})

    def outcomes(self, channel: str, outcome: str) -> int:
        return self.meter.seen.count((channel, outcome))


def web(url: str, clock: ForwardClock, timeout: float = 5.0, secret: Credential | None = None) -> Way:
    at = Credential(Secret(url))
    return WebhookWay(new_client(), clock, at, FORMS["webhook"], timeout, secret)


@contextmanager
def noticing(
    client: redis.Redis, ways: Mapping[str, Way], clock: ForwardClock | None = None, route: Route = ALL
) -> Iterator[Noticing]:
    """One worker with these channels."""
    clock, meter, outbox = clock or ForwardClock(), CountingMeter(), Outbox(client)
    targets, times = {"media", "backup"}, Times(clock, look_every=0.05)
    couriers = [Courier(name, route, way, targets, outbox, times, meter) for name, way in ways.items()]
    feed = Feed(READ)
    desk = Desk(feed, outbox, couriers, {"media": "team-media"}, clock)
    for courier in couriers:
        courier.start()
    desk.start()
    try:
        yield Noticing(feed, desk, couriers, clock, meter)
    finally:
        feed.end()
        desk.join(10)
        for courier in couriers:
            courier.end()
            courier.join(10)
