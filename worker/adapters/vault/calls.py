"""One call to Vault with a usable token, within a deadline; and what one can ask about token and server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from worker.adapters.http.deadline import within
from worker.adapters.vault.access import OpenClient
from worker.adapters.vault.adapter import CallFailed, HvacClient
from worker.adapters.vault.errors import Ask, as_error, no_leader, part, unreadable, whole
from worker.adapters.vault.login import LOOKUP, TokenFacts, denied, facts_of
from worker.adapters.vault.token import Grant, TokenKeeper
from worker.errors import VaultDenied, VaultError, VaultStandby

_HEALTH = Ask("look up", "sys/health")

LEAVING_SECONDS = 2.0

Call = Callable[[HvacClient], Any]


@dataclass(frozen=True, slots=True)
class Health:
    """What a Vault node tells of itself (``GET sys/health``); ``version`` is its release.

    ``leaderless``: it is a standby, and no node is active. ``sys/health`` does not tell; ``sys/leader`` does.
    """

    initialized: bool
    sealed: bool
    standby: bool
    version: str | None
    leaderless: bool = False


class VaultCalls:
    """Makes calls, each with ``deadline`` seconds in all; ``public`` is a client without token and namespace.

    ``elsewhere`` opens clients that send the same token to another namespace.
    """

    def __init__(
        self, keeper: TokenKeeper, public: HvacClient, *, deadline: float, elsewhere: OpenClient | None = None
    ) -> None:
        self._keeper = keeper
        self._public = public
        self._deadline = deadline
        self._elsewhere = elsewhere

    def sent_by(self, elsewhere: OpenClient) -> VaultCalls:
        """Calls with the same login, whose clients are opened so."""
        return VaultCalls(self._keeper, self._public, deadline=self._deadline, elsewhere=elsewhere)

    def ask(self, ask: Ask, call: Call, *, at_home: bool = False) -> Any:
        """One call; after a 403, which a revoked token gets too, once more if another token can be had.

        ``at_home``: in the namespace where the token was had.

        Raises VaultError.
        """
        with within(self._deadline):
            grant = self._keeper.current()
            answer = _tried(call, self._client(grant, at_home=at_home))
            if isinstance(answer, CallFailed) and denied(answer):
                other = self._keeper.replacement(grant)
                answer = _tried(call, self._client(other, at_home=at_home)) if other else answer
                if other and not (isinstance(answer, CallFailed) and denied(answer)):
                    self._keeper.helped()
            error = self._error(ask, answer) if isinstance(answer, CallFailed) else None
        if error:
            raise error
        return answer

    def _client(self, grant: Grant, *, at_home: bool) -> HvacClient:
        if at_home:
            return grant.login.home
        return self._elsewhere(grant.client.token) if self._elsewhere else grant.client

    def _error(self, ask: Ask, failed: CallFailed) -> VaultError:
        """A node that redirects is a standby; whether there is any leader to redirect to, it says elsewhere."""
        error = as_error(ask, failed)
        return no_leader(ask, failed) if isinstance(error, VaultStandby) and self._is_leaderless() else error

    def _is_leaderless(self) -> bool:
        """Whether Vault runs on several nodes and none of them leads; needs no token. False where it does not tell."""
        answer = _tried(lambda client: client.sys.read_leader_status(), self._public)
        if isinstance(answer, CallFailed) or answer is None:
            return False
        return answer.get("ha_enabled") is True and not answer.get("leader_address")

    def check(self) -> TokenFacts:
        """Log in, and tell about the token as it is now (as it was at login, where it may not look itself up)."""
        try:
            answer = self.ask(LOOKUP, lambda client: client.auth.token.lookup_self(), at_home=True)
            data = part(answer, "data", LOOKUP)
        except VaultDenied:
            return self._facts()
        return facts_of(data, self._facts().method, whole(data, "ttl", LOOKUP))

    def _facts(self) -> TokenFacts:
        with within(self._deadline):
            return self._keeper.current().facts

    def token_ends_in(self) -> float | None:
        """See :meth:`worker.adapters.vault.token.TokenKeeper.ends_in`."""
        return self._keeper.ends_in()

    def keep_alive(self) -> None:
        """See :meth:`worker.adapters.vault.token.TokenKeeper.keep_alive`."""
        with within(self._deadline):
            self._keeper.keep_alive()

    def leave(self) -> None:
        """Revoke the tokens that were made for this process, if there are any; not for long, as the process ends.

        A token that cannot be revoked now, or that may not revoke itself, ends with its time.
        """
        with within(LEAVING_SECONDS):
            self._keeper.leave()

    def health(self) -> Health:
        """Whether the node is sealed or a standby; needs no token. Raises VaultUnavailable when it does not tell.

        Asked without the namespace: Vault has this path in the root namespace only.
        """
        with within(self._deadline):
            answer = _tried(lambda client: client.sys.read_health_status(method="GET"), self._public)
            if isinstance(answer, CallFailed):
                raise as_error(_HEALTH, answer)
            if answer is None:
                raise unreadable(_HEALTH, "the answer is empty")
            initialized, sealed, standby = (_flag(answer, name) for name in ("initialized", "sealed", "standby"))
            leaderless = initialized and not sealed and standby and self._is_leaderless()
        version = answer.get("version")
        return Health(initialized, sealed, standby, version if isinstance(version, str) else None, leaderless)

    def close(self) -> None:
        """Close every connection; all clients share them."""
        self._public.adapter.close()


def if_there(call: Call) -> Call:
    """The same call, with None for a 404 of Vault's that means there is nothing at the path."""

    def tolerant(client: HvacClient) -> Any:
        try:
            return call(client)
        except CallFailed as failed:
            if failed.is_missing:
                return None
            raise

    return tolerant


def _flag(answer: Mapping[str, Any], name: str) -> bool:
    value = answer.get(name)
    if not isinstance(value, bool):
        raise unreadable(_HEALTH, f"the answer holds no '{name}'")
    return value


def _tried(call: Call, client: HvacClient) -> Any | CallFailed:
    """The answer or the failure; as a value, so that no error is raised while another one is being handled."""
    try:
        return call(client)
    except CallFailed as failed:
        return failed
