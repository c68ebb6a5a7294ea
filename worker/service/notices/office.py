"""All of the notices of a process: the desk, a courier for each channel, and what they work with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import redis

from worker.adapters.http.backend import DeadlineBackend
from worker.adapters.http.client import HttpClient, new_client
from worker.adapters.http.trust import public_authorities
from worker.adapters.notify.command import CommandWay, guard_of, handed_on
from worker.adapters.notify.mail import MailServer, MailWay
from worker.adapters.notify.webhook import WebhookWay
from worker.adapters.redis.client import connect
from worker.adapters.redis.outbox import Outbox
from worker.clock import Clock
from worker.logs.redaction import Redactor
from worker.meter import Meter
from worker.notices.forms import FORMS
from worker.notices.notice import Way
from worker.secret import Secret
from worker.service.assemble import Runtime
from worker.service.notices.courier import Courier, Times
from worker.service.notices.desk import Desk
from worker.service.notices.feed import Feed
from worker.settings.channels import Channel, Command, Mail, Webhook

GOODBYE = 5.0
"""Seconds in which what is new is still delivered when the worker ends; what lies in Redis is another worker's."""

REDIS_SECONDS = 1.0
"""Redis that does not answer for so long is away: what is new is delivered without it."""


@dataclass(frozen=True, slots=True)
class Office:
    """What tells people and programs, for as long as a worker lives."""

    feed: Feed
    desk: Desk
    couriers: tuple[Courier, ...]
    http: HttpClient
    client: redis.Redis

    def __enter__(self) -> Self:
        """Begin; what was logged before is told, too."""
        for courier in self.couriers:
            courier.start()
        self.desk.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Deliver what is new, for a moment, then end."""
        until = time.monotonic() + GOODBYE
        self.feed.end()
        self.desk.join(GOODBYE)
        for courier in self.couriers:
            courier.end()
        for courier in self.couriers:
            courier.join(max(0.0, until - time.monotonic()))
        self.http.close()
        self.client.close()


def open_office(runtime: Runtime, feed: Feed, redactor: Redactor, meter: Meter) -> Office:
    """All of it; nothing calls out before it is started."""
    settings, clock = runtime.settings, runtime.clock
    http = new_client(proxies=settings.proxies, backend=DeadlineBackend())
    # connections of its own: nothing that rotates waits for one, and these wait for less long
    client = connect(settings.redis_url, login=runtime.redis_login, timeout=REDIS_SECONDS, retries=1)
    outbox = Outbox(client)
    targets = frozenset(settings.targets)
    couriers = tuple(
        Courier(
            channel.name,
            channel.route,
            way_of(channel, http, clock, redactor.keep),
            targets,
            outbox,
            Times(clock),
            meter,
        )
        for channel in settings.channels
    )
    owners = {name: target.owner for name, target in settings.targets.items() if target.owner}
    return Office(feed, Desk(feed, outbox, couriers, owners, clock), couriers, http, client)


def way_of(channel: Channel, http: HttpClient, clock: Clock, on_new: Callable[[Secret], None]) -> Way:
    """The way by which a channel delivers; ``on_new`` is given secrets that are read later."""
    timeout = channel.timeout.total_seconds()
    match channel.way:
        case Webhook(url, secret, token):
            signing = secret.credential(on_new) if secret else None
            bearer = token.credential(on_new) if token else None
            return WebhookWay(http, clock, url.credential(on_new), FORMS[channel.kind], timeout, signing, bearer)
        case Mail(host, port, tls, sender, to, user, password):
            login = password.credential(on_new) if password else None
            return MailWay(MailServer(host, port, tls, user, login), sender, to, timeout, public_authorities())
        case Command(run, pass_env):
            return CommandWay(run, handed_on(os.environ, pass_env), timeout, guard_of(timeout))
