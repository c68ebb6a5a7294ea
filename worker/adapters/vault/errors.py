"""What a failed call to Vault means: from ``CallFailed`` to the errors of the rotator.

The statuses are Vault's documented ones; what their texts look like was measured (docs/facts.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from worker.adapters.vault.adapter import CallFailed
from worker.errors import (
    VaultCasMismatch,
    VaultDenied,
    VaultError,
    VaultLoginFailed,
    VaultMountMissing,
    VaultNoLeader,
    VaultNotVersioned,
    VaultRateLimited,
    VaultRefused,
    VaultSealed,
    VaultStandby,
    VaultTooLarge,
    VaultUnavailable,
)

_SUCCESS, _REDIRECT, _SERVER_ERROR = 2, 3, 5
_TURNED_AWAY = (429, 472, 473)
_NO_LEADER = ("local node not active", "active cluster node not found", "no active node", "active node not found")
"""Vault's words for it (http/util.go, vault/ha.go), as status 500."""

_POLICY = "config/vault/rotator-policy.hcl"


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of Vault: the ``operation`` in a word, the API's ``path``, the capabilities it ``needs``."""

    operation: str
    path: str
    needs: tuple[str, ...] = ()


def as_error(ask: Ask, failed: CallFailed) -> VaultError:
    """The error that tells an operator what happened and what to do."""
    status = failed.status
    if status is None:
        return _no_answer(ask, failed)
    if status // 100 == _REDIRECT or status in _TURNED_AWAY:
        return _turned_away(ask, failed, status)
    if status // 100 == _SUCCESS:
        return unreadable(ask, failed.reason)
    if failed.is_too_large:
        return _too_large(ask, failed)
    if not failed.from_vault:
        return _foreign(ask, failed)
    return _failing(ask, failed) if status // 100 == _SERVER_ERROR else _refused(ask, failed)


def no_leader(ask: Ask, failed: CallFailed) -> VaultError:
    """No node is active. A standby says so itself, or redirects writes to nowhere while it serves reads."""
    hint = "Nothing was written. See `vault operator raft list-peers`; the worker goes on by itself once there is one."
    return _make(VaultNoLeader, "Vault has no leader", ask, failed, hint=hint)


def is_invalid_token(status: int | None, text: str) -> bool:
    """Whether Vault says in these words that there is no such token, as of one that is used up (docs/facts.md)."""
    return status == HTTPStatus.BAD_REQUEST and "invalid token" in text.lower()


def unreadable(ask: Ask, what: str) -> VaultUnavailable:
    """Vault answered with success, but not with what its API promises."""
    return VaultUnavailable(
        f"{_call(ask)}: {what}; if it was a write, it may have been done",
        operation=ask.operation,
        path=ask.path,
        hint="Check that VAULT_ADDR names Vault itself and not some other service.",
    )


def not_versioned(ask: Ask) -> VaultNotVersioned:
    """The mount is KV version 1 (or no KV at all)."""
    return VaultNotVersioned(
        f"{_call(ask)}: this mount is not KV version 2, so it keeps no versions",
        operation=ask.operation,
        path=ask.path,
        hint="Name a KV version 2 mount as vault.mount, or upgrade this one (vault kv enable-versioning).",
    )


def part(answer: Mapping[str, Any] | None, name: str, ask: Ask) -> Mapping[str, Any]:
    """The object ``name`` in an answer; raises VaultUnavailable when there is none."""
    value = answer.get(name) if answer is not None else None
    if not isinstance(value, dict):
        raise unreadable(ask, f"the answer holds no '{name}'")
    return value


def text(answer: Mapping[str, Any], name: str, ask: Ask) -> str:
    """The text ``name``, which must not be empty; raises VaultUnavailable."""
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise unreadable(ask, f"the answer holds no '{name}'")
    return value


def whole(answer: Mapping[str, Any], name: str, ask: Ask) -> int:
    """The whole number ``name``, 0 or more; raises VaultUnavailable."""
    value = answer.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise unreadable(ask, f"the answer holds no '{name}'")
    return value


def _no_answer(ask: Ask, failed: CallFailed) -> VaultError:
    fate = "it may have been done" if failed.sent else "nothing was sent"
    return _make(
        VaultUnavailable,
        f"Vault did not answer: {failed.reason}; {fate}",
        ask,
        failed,
        hint="Check that Vault runs, and VAULT_ADDR and VAULT_CACERT.",
    )


def _turned_away(ask: Ask, failed: CallFailed, status: int) -> VaultError:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        hint = "Nothing was done. Raise the quota (vault read sys/quotas/rate-limit/NAME), or run fewer workers."
        return _make(VaultRateLimited, "Vault's rate limit quota is used up", ask, failed, hint=hint)
    return _make(VaultStandby, "this Vault node does not answer itself", ask, failed, hint=_standby_hint(status))


def _foreign(ask: Ask, failed: CallFailed) -> VaultError:
    return _make(
        VaultUnavailable,
        "something that is not Vault answered",
        ask,
        failed,
        hint="Check VAULT_ADDR (http or https?) and the proxy or load balancer in front of Vault.",
    )


def _too_large(ask: Ask, failed: CallFailed) -> VaultError:
    hint = "Nothing was written. See what is so long, or raise the limit (max_entry_size, kv_max_value_size)."
    return _make(VaultTooLarge, "it is more than Vault takes", ask, failed, hint=hint)


def _failing(ask: Ask, failed: CallFailed) -> VaultError:
    if failed.status == HTTPStatus.NOT_IMPLEMENTED:
        hint = "Initialise and unseal it (vault operator init)."
        return _make(VaultSealed, "Vault is not initialised", ask, failed, hint=hint)
    if failed.status == HTTPStatus.SERVICE_UNAVAILABLE and "sealed" in failed.text.lower():
        hint = "Unseal it (vault operator unseal); the worker goes on by itself then."
        return _make(VaultSealed, "Vault is sealed", ask, failed, hint=hint)
    if any(words in failed.text.lower() for words in _NO_LEADER):
        return no_leader(ask, failed)
    hint = "Look into Vault's own log; the worker tries again."
    return _make(VaultUnavailable, "Vault failed inside", ask, failed, hint=hint)


def _refused(ask: Ask, failed: CallFailed) -> VaultError:
    if failed.status == HTTPStatus.FORBIDDEN:
        return _make(VaultDenied, "Vault denied it", ask, failed, hint=_policy_hint(ask))
    if is_invalid_token(failed.status, failed.text):
        hint = "It has ended or is used up. Provide a new token, or let the worker log in by AppRole."
        return _make(VaultLoginFailed, "Vault does not know the token", ask, failed, hint=hint)
    if failed.status == HTTPStatus.NOT_FOUND and "no handler for route" in failed.text:
        hint = "Enable a KV version 2 secrets engine there, or correct vault.mount (and VAULT_NAMESPACE)."
        return _make(VaultMountMissing, "there is no secrets engine at this mount", ask, failed, hint=hint)
    if failed.status == HTTPStatus.BAD_REQUEST and "check-and-set parameter did not match" in failed.text:
        hint = "Nothing was written; read again to see what the other writer wrote."
        return _make(VaultCasMismatch, "another writer was first", ask, failed, hint=hint)
    if "Upgrading from non-versioned" in failed.text:  # a KV version 2 mount is so for a moment after it was made
        hint = "Wait a moment; the worker tries again."
        return _make(VaultUnavailable, "Vault is still preparing this mount", ask, failed, hint=hint)
    return _make(VaultRefused, "Vault refused it", ask, failed, hint="Nothing was changed. See Vault's message.")


def _make(kind: type[VaultError], what: str, ask: Ask, failed: CallFailed, *, hint: str) -> VaultError:
    status = "" if failed.status is None else f", status {failed.status}"
    said = f": {failed.text}" if failed.text else ""
    return kind(
        f"{what} ({_call(ask)}{status}){said}",
        operation=ask.operation,
        path=ask.path,
        status=failed.status,
        hint=hint,
    )


def _call(ask: Ask) -> str:
    return f"{ask.operation} {ask.path}"


def _standby_hint(status: int) -> str:
    active = "Let VAULT_ADDR name the active node, or a load balancer that finds it"
    if status // 100 == _REDIRECT:
        return f"{active}; the redirect was not followed, so no token went elsewhere."
    return f"{active}."


def _policy_hint(ask: Ask) -> str:
    if not ask.needs:
        return f"Compare the token's policy with {_POLICY}."
    needs = ", ".join(f'"{need}"' for need in ask.needs)
    return f'The token\'s policy needs: path "{ask.path}" {{ capabilities = [{needs}] }} (see {_POLICY}).'
