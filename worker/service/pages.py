"""What a worker answers over HTTP: `/metrics`, `/livez`, `/readyz`."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Protocol

from worker import __version__
from worker.adapters.redis.client import connect, guard
from worker.adapters.redis.state import SharedState, shared_state
from worker.adapters.vault.kv import VaultStore
from worker.clock import Clock
from worker.errors import QueueUnavailable, RotatorError, VaultLoginFailed
from worker.service.assemble import Runtime
from worker.service.http_door import Answer, Page
from worker.service.metrics.series import Sample, gauges
from worker.service.metrics.shared import SharedMetrics
from worker.service.tick import see_that_vault_is_ready

METRICS = "text/plain; version=0.0.4; charset=utf-8"

OWN = {
    "vault_token_expiration_timestamp_seconds": (
        "When this process' Vault token ends; it is renewed before. Now where a login is refused."
    ),
    "build_info": "The release of this process; always 1.",
}
"""Gauges of this process alone: name, and what it says."""

REDIS_SECONDS = 3.0
"""How long Redis may take for those who ask: they ask again."""

KEPT_SECONDS = 5.0
"""Probes of several kinds ask at about the same time."""

OK = "ok"


class OwnText(Protocol):
    """What counts for this process."""

    def text(self) -> str:
        """All of it, as Prometheus reads it."""
        ...


def pages(runtime: Runtime, own: OwnText, is_alive: Callable[[], bool]) -> Mapping[str, Page]:
    """The pages by their paths."""
    shared = looking(runtime)
    metrics = SharedMetrics(runtime.settings, shared, runtime.clock)
    readiness = Readiness(
        {
            "redis": lambda: _ask_redis(runtime, shared),
            "vault": lambda: see_that_vault_is_ready(runtime),
            "token": lambda: _see_that_it_may_work(runtime),
        },
        runtime.clock,
    )
    return {
        "/metrics": lambda: Answer(HTTPStatus.OK, metrics.text() + own_text(runtime) + own.text(), METRICS),
        "/livez": lambda: _state({"process": OK if is_alive() else "its pulse has stopped"}),
        "/readyz": lambda: _state(readiness.look()),
    }


def looking(runtime: Runtime) -> SharedState:
    """What workers share, by a connection for those who only look: what waits there holds up no rotation."""
    return shared_state(
        connect(runtime.settings.redis_url, login=runtime.redis_login, timeout=REDIS_SECONDS, retries=0),
        runtime.settings.accounts,
    )


def own_text(runtime: Runtime) -> str:
    """The gauges of this process alone."""
    return gauges(OWN, own_samples(runtime))


def own_samples(runtime: Runtime) -> Iterator[Sample]:
    """The same as samples."""
    yield "build_info", {"version": __version__}, 1
    now, destinations = runtime.clock.now().timestamp(), runtime.settings.destinations
    logins: list[tuple[dict[str, str], VaultStore]] = [({}, runtime.vault)]
    logins += [
        ({"destination": name}, vault)
        for name, vault in runtime.elsewhere.items()
        if not destinations[name].shares_login
    ]
    for labels, vault in logins:
        left = vault.token_ends_in()
        if left is not None:
            yield "vault_token_expiration_timestamp_seconds", labels, now + left


class Readiness:
    """Whether what a worker cannot do without answers; asked by one thread at a time, and not all the time."""

    def __init__(self, asks: Mapping[str, Callable[[], None]], clock: Clock) -> None:
        self._asks = asks
        self._clock = clock
        self._lock = threading.Lock()
        self._known = dict.fromkeys(asks, "not asked yet")
        self._asked = -math.inf

    def look(self) -> Mapping[str, str]:
        """Of each the word "ok", or what kind of error it is. While another thread asks: what was known before."""
        if self._lock.acquire(blocking=False):
            try:
                if self._clock.monotonic() - self._asked >= KEPT_SECONDS:
                    self._known = {name: _outcome(ask) for name, ask in self._asks.items()}
                    self._asked = self._clock.monotonic()
            finally:
                self._lock.release()
        return self._known


def _outcome(ask: Callable[[], None]) -> str:
    """The kind of an error only: its text may name hosts and paths, and anybody may ask here."""
    try:
        ask()
    except RotatorError as error:
        return type(error).__name__
    return OK


def _state(parts: Mapping[str, str]) -> Answer:
    well = all(state == OK for state in parts.values())
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, "".join(f"{name}: {state}\n" for name, state in parts.items()))


def _see_that_it_may_work(runtime: Runtime) -> None:
    """Whether there is a token for Vault that has not ended, or no login was tried yet; calls nothing.

    Raises VaultLoginFailed.
    """
    left = runtime.vault.token_ends_in()
    if left is not None and left <= 0:
        raise VaultLoginFailed(
            "there is no Vault token", operation="log in", hint="See `rotator check` and the worker's log."
        )


@guard()
def _ask_redis(runtime: Runtime, shared: SharedState) -> None:
    """Whether it answers, and takes what the worker's pulse writes: a replica, or a full one, answers a PING as well.

    Raises QueueUnavailable.
    """
    shared.client.ping()
    if runtime.redis_trouble.what:
        raise QueueUnavailable(runtime.redis_trouble.what)
