"""Keeps one usable Vault token: logs in at first use, renews before the end, replaces what was revoked.

hvac's token is an unlocked attribute. So a client is never given another token: each token has a client of its own
in an unchanging :class:`Grant`, and replacing the grant is one assignment. The lock is held while logging in and
renewing only, never during ordinary calls.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from worker.adapters.http.deadline import seconds_left
from worker.adapters.vault.adapter import CallFailed, HvacClient
from worker.adapters.vault.errors import Ask, as_error, part, whole
from worker.adapters.vault.login import Login, TokenFacts, TokenSource, facts_of, is_alive
from worker.clock import Clock
from worker.errors import VaultError, VaultLoginFailed, VaultUnavailable

SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds between two tries to renew a token that still works: a tenth of what is left of it, within these."""

REFUSED_SECONDS = 10.0
"""How long a refused login is not tried again: Vault locks out who fails too often, and many targets may be due."""

SETTLED_SECONDS, LONGEST_SETTLED = 60.0, 3600.0
"""A living token younger than this is not replaced when a call is denied: its policies are what they are. An older
one is, once, as the role may have got other policies since. Where another token does not help, the next one has to be
twice as old: a right that is missing for good would else cost a login a minute, and a use of a scarce secret_id."""

LEFT_SECONDS = 60.0
"""A token that was replaced is revoked so much later: calls that began with it have ended by then."""

_RENEW = Ask("renew", "auth/token/renew-self", ("update",))


@dataclass(frozen=True, slots=True)
class Grant:
    """A token and how long it is good for; ``since`` is when it was had, by the monotonic clock."""

    login: Login
    since: float

    @property
    def client(self) -> HvacClient:
        """The client that sends this token."""
        return self.login.client

    @property
    def facts(self) -> TokenFacts:
        """What Vault says of the token."""
        return self.login.facts

    @property
    def expires_at(self) -> float:
        """When it ends; infinity when it never does or that is not known."""
        return self.since + self.facts.ttl if self.facts.ttl else math.inf

    @property
    def renew_at(self) -> float:
        """When two thirds of the whole lease have passed."""
        return self.expires_at - self.login.lease / 3


class TokenKeeper:
    """Hands out the present grant; see the module."""

    def __init__(self, source: TokenSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._grant: Grant | None = None
        self._trouble: VaultError | None = None
        self._refusal: VaultLoginFailed | None = None
        self._not_before = 0.0
        self._settled = SETTLED_SECONDS
        self._left: list[tuple[float, Login]] = []
        self._left_lock = threading.Lock()

    def current(self) -> Grant:
        """The grant to use now; logs in or renews when that is due. Raises VaultError.

        A renewal that fails is no error as long as the token still works: :meth:`keep_alive` reports it.
        """
        grant = self._grant
        if grant is None:
            return self._logged_in(None)
        if self._source.changed():
            return self._changed(grant)
        now = self._clock.monotonic()
        if now < max(grant.renew_at, self._not_before) or not self._lock.acquire(blocking=False):
            return grant
        try:
            return self._refreshed(grant)
        except VaultError as trouble:
            if now >= grant.expires_at:
                raise
            self._trouble = trouble
            self._not_before = now + _pause(grant.expires_at - now)
            return grant
        finally:
            self._lock.release()

    def ends_in(self) -> float | None:
        """In how many seconds the present token ends; None without one, and where it never ends or that is not known.

        0 where there is none because the last login was refused. Calls nothing.
        """
        grant = self._grant
        if grant is None:
            return 0.0 if self._refusal else None
        if math.isinf(grant.expires_at):
            return None
        return grant.expires_at - self._clock.monotonic()

    def keep_alive(self) -> None:
        """Renew when two thirds of the lease have passed, else do nothing; for a worker that may be idle for long.

        Raises what went wrong with the last renewal, be it this one or one before a call, and says it once:
        VaultLoginFailed when the token will end and no other can be had, VaultUnavailable when Vault did not answer.
        """
        if self._grant is None:
            return
        self.current()
        self._revoke_left(self._clock.monotonic())
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise trouble

    def leave(self) -> None:
        """Revoke every token that was made for this process, if Vault lets us. Another call would log in anew."""
        grant, self._grant = self._grant, None
        if grant is not None:
            self._leave_behind(grant)
        self._revoke_left(math.inf)

    def _leave_behind(self, grant: Grant) -> None:
        if grant.login.ours:
            with self._left_lock:
                self._left.append((self._clock.monotonic() + LEFT_SECONDS, grant.login))

    def _revoke_left(self, now: float) -> None:
        """Revoke replaced tokens whose time has come; one that is dead, or may not revoke itself, ends by itself."""
        with self._left_lock:
            due = [login for when, login in self._left if when <= now]
            self._left = [(when, login) for when, login in self._left if when > now]
        for login in due:
            with suppress(CallFailed):
                login.home.auth.token.revoke_self()

    def replacement(self, denied: Grant) -> Grant | None:
        """After a 403 to a call with ``denied``: another grant to try with, or None when none would help.

        Raises VaultLoginFailed when the token is dead and no other can be had.
        """
        with self._held():
            grant = self._grant
            if grant is not None and grant.client is not denied.client:
                return grant  # another thread was quicker
            settled = self._clock.monotonic() - denied.since >= self._settled
            if not settled and is_alive(denied.login.home):
                return None
            self._settled = min(self._settled * 2, LONGEST_SETTLED)
            return self._log_in()

    def helped(self) -> None:
        """Another token was what a denied call needed."""
        self._settled = SETTLED_SECONDS

    def _logged_in(self, seen: Grant | None) -> Grant:
        with self._held():
            if self._grant is not None and self._grant is not seen:
                return self._grant  # another thread was quicker
            return self._log_in()

    def _changed(self, grant: Grant) -> Grant:
        try:
            return self._logged_in(grant)
        except VaultLoginFailed as trouble:
            # a token file caught while it is being rewritten, say; if the old token has died, the 403 will tell
            self._trouble = trouble
            return grant

    def _refreshed(self, grant: Grant) -> Grant:
        """Renew, else log in anew. With the lock held."""
        if self._grant is not grant and self._grant is not None:
            return self._grant
        now = self._clock.monotonic()
        renewed = self._renewed(grant) if grant.facts.renewable else None
        if renewed is not None and now < renewed.renew_at:
            return self._granted(renewed)
        # not renewable, or its greatest lifetime is near: Vault grants what is left and no more
        fresh = self._log_in()
        if now >= fresh.renew_at:
            raise VaultLoginFailed(
                f"the Vault {fresh.facts.method} ends in {fresh.facts.ttl} s and cannot be renewed any further",
                operation=_RENEW.operation,
                path=_RENEW.path,
                hint="Provide a new token, a periodic one, or let the worker log in by AppRole.",
            )
        return fresh

    def _renewed(self, grant: Grant) -> Grant | None:
        now = self._clock.monotonic()
        try:
            auth = part(grant.login.home.auth.token.renew_self(), "auth", _RENEW)
        except CallFailed as failed:
            error = as_error(_RENEW, failed)
            if isinstance(error, VaultUnavailable):
                raise error from None
            return None
        facts = facts_of(auth, grant.facts.method, whole(auth, "lease_duration", _RENEW))
        return Grant(replace(grant.login, facts=facts), now)

    def _log_in(self) -> Grant:
        now, before = self._clock.monotonic(), self._grant
        if self._refusal is not None and now < self._not_before and not self._source.changed():
            raise self._refusal.with_traceback(None)
        try:
            fresh = self._granted(Grant(self._source.log_in(), now))
        except VaultLoginFailed as refusal:
            self._refusal, self._not_before = refusal, now + REFUSED_SECONDS
            raise
        if before is not None:
            self._leave_behind(before)
        return fresh

    def _granted(self, grant: Grant) -> Grant:
        self._grant, self._trouble, self._refusal, self._not_before = grant, None, None, 0.0
        return grant

    @contextmanager
    def _held(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=max(0.0, seconds_left())):
            raise VaultUnavailable(
                "another thread is still logging in to Vault; nothing was sent",
                operation="log in",
                hint="Check that Vault answers.",
            )
        try:
            yield
        finally:
            self._lock.release()


def _pause(left: float) -> float:
    return min(max(left / 10, SHORTEST_PAUSE), LONGEST_PAUSE)
