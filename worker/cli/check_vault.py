"""Whether Vault is there, lets us in, and lets us do what a rotation does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import timedelta

from worker.adapters.vault.kv import Health, TokenFacts
from worker.cli.texts import span
from worker.cli.verdicts import Verdict, by_way_of, failed
from worker.clock import WitnessedClock
from worker.errors import VaultError
from worker.service.assemble import Runtime
from worker.service.standing import CLOCKS
from worker.settings.destinations import known_variables
from worker.settings.environment import unknown_variables
from worker.settings.settings import Settings, VaultSettings
from worker.targets.account import named_for

RECORD = ("create", "read", "update")
SETTINGS = ("create", "update")
APP = ("create", "read", "update")
DESTROY = ("update",)
LIST = ("list",)
READ = ("read",)

MOST_NAMED = 5


def look(runtime: Runtime) -> Iterator[Verdict]:
    """Each needs the one before; what cannot be looked at is told as failed, too."""
    vault = runtime.vault
    of_destinations = known_variables(runtime.settings.destinations)
    unknown = [name for name in unknown_variables(VaultSettings, "VAULT", os.environ) if name not in of_destinations]
    if unknown:
        hint = "See docs/configuration.md for those that are read; unset the others, or set their like in rotator.toml."
        yield Verdict("Vault variables", "warning", f"not read by the rotator: {', '.join(unknown)}", hint)
    try:
        health = vault.health()
        verdict = _of_health(runtime.settings, health)
    except VaultError as error:
        verdict = failed("Vault", error)
    yield by_way_of(vault.proxy, verdict)
    if verdict.state == "failed":
        yield from _not_looked_at("login", "mount and paths")
        return
    given = runtime.settings.vault
    if given.secret_id_is_scarce:
        hint = "Check with a token of your own: set VAULT_TOKEN instead of the AppRole for this one command."
        few = f"the secret_id is good for few logins ({given.secret_id_num_uses}), and none is spent on a check"
        why = "the wrapped secret_id can be opened only once" if given.secret_id_wrapped else few
        yield Verdict("Vault login", "warning", f"not tried: {why}", hint)
        return
    try:
        facts = vault.check()
    except VaultError as error:
        yield failed("Vault login", error)
        yield from _not_looked_at("mount and paths")
        return
    yield _of_token(facts)
    yield from _rights(runtime)


def look_at_clock(runtime: Runtime) -> Iterator[Verdict]:
    """Whether this machine's clock is another than Vault's, as far as Vault was heard; nothing where they agree."""
    clock = runtime.clock
    ahead = clock.ahead if isinstance(clock, WitnessedClock) else timedelta(0)
    if ahead:
        where = "ahead of" if ahead > timedelta(0) else "behind"
        yield Verdict("clock", "warning", f"this machine's clock is {span(ahead)} {where} Vault's", CLOCKS)


def needed(settings: Settings) -> dict[str, tuple[str, ...]]:
    """What the worker needs by path, as config/vault/rotator-policy.hcl gives it."""
    mount, state = settings.vault.mount, settings.vault.state_path
    wanted: dict[str, tuple[str, ...]] = {f"{mount}/metadata/{state}": LIST}
    for name, account in settings.accounts.items():
        wanted[f"{mount}/data/{state}/{named_for(name, '_account', '/')}"] = RECORD
        if not account.storage.endpoint:
            wanted[f"{mount}/data/{state}/{named_for(name, '_endpoint', '/')}"] = RECORD
        if account.hostup.api_key_path:
            wanted[f"{mount}/data/{account.hostup.api_key_path}"] = RECORD
            wanted[f"{mount}/data/{state}/{named_for(name, '_api_key', '/')}"] = RECORD
            wanted[f"{mount}/data/{state}/{named_for(name, '_api_key_rescued', '/')}"] = RECORD
    wanted[f"{mount}/data/{state}/_keys/KEY"] = RECORD
    for name, target in settings.targets.items():
        for path in target.paths_here():
            wanted[f"{mount}/data/{path}"] = APP
            wanted[f"{mount}/destroy/{path}"] = DESTROY
            if target.retire_cap:
                wanted[f"{mount}/data/{settings.vault.receipts_path}/{path}"] = READ
        wanted[f"{mount}/data/{state}/{name}"] = RECORD
        wanted[f"{mount}/metadata/{state}/{name}"] = SETTINGS
        wanted[f"{mount}/data/{state}/_archive/{name}/000000000001"] = RECORD
        wanted[f"{mount}/metadata/{state}/_archive/{name}"] = LIST
    return wanted


def _not_looked_at(*parts: str) -> Iterator[Verdict]:
    for part in parts:
        yield Verdict(f"Vault {part}", "failed", "not looked at, because of the line before")


def _of_health(settings: Settings, health: Health) -> Verdict:
    where = f"{settings.vault.address} (version {health.version or 'unknown'})"
    if not health.initialized:
        return Verdict("Vault", "failed", f"{where} is not initialised", "Initialise it (vault operator init).")
    if health.sealed:
        return Verdict("Vault", "failed", f"{where} is sealed", "Unseal it (vault operator unseal).")
    if health.leaderless:
        hint = "Nothing can be written before there is one. See `vault operator raft list-peers`."
        return Verdict("Vault", "failed", f"{where} has no leader", hint)
    if health.standby:
        return Verdict("Vault", "ok", f"{where} is a standby, which hands calls on")
    return Verdict("Vault", "ok", f"{where} is unsealed and active")


def _of_token(facts: TokenFacts) -> Verdict:
    policies = f"policies {', '.join(facts.policies)}" if facts.policies else "policies not known"
    if facts.ttl and not facts.renewable and facts.method.startswith("token"):
        hint = "Give the worker a periodic token, a token file of Vault Agent's, or AppRole."
        detail = f"by {facts.method}, which ends in {facts.ttl} s and cannot be renewed; {policies}"
        return Verdict("Vault login", "warning", detail, hint)
    ends = f", {facts.ttl} s left" if facts.ttl else ""
    return Verdict("Vault login", "ok", f"by {facts.method}{ends}; {policies}")


def _rights(runtime: Runtime) -> Iterator[Verdict]:
    wanted = needed(runtime.settings)
    try:
        missing = runtime.vault.missing_capabilities(wanted)
    except VaultError as error:
        yield failed("Vault mount", error)
        yield from _not_looked_at("paths")
        return
    yield Verdict("Vault mount", "ok", f"{runtime.settings.vault.mount} is KV version 2")
    yield _of_settings(runtime)
    if not missing:
        yield Verdict("Vault paths", "ok", f"the token may do all that is needed on {len(wanted)} paths")
    else:
        hint = "Give it a policy like config/vault/rotator-policy.hcl. No key is made before it can be written down."
        yield Verdict("Vault paths", "failed", lacking(missing), hint)


def _of_settings(runtime: Runtime) -> Verdict:
    """What else is set on the mount; that nothing expires is seen together with the rights."""
    mount = runtime.settings.vault.mount
    try:
        settings = runtime.vault.mount_settings()
    except VaultError as error:
        return failed("Vault settings", error)
    if settings is None:
        hint = f'Give the policy "read" on {mount}/config, and see that no delete_version_after is set there.'
        return Verdict("Vault settings", "warning", f"not known: the token may not read {mount}/config", hint)
    if settings.max_versions == 1:
        hint = f"Let more be kept: `vault write {mount}/config max_versions=10`, or set it on the apps' secrets."
        what = f"{mount} keeps one version: nobody can go back, and a replaced key's own secret cannot prove its death"
        return Verdict("Vault settings", "warning", what, hint)
    if settings.metadata_cas_required:
        lacks = runtime.vault.missing_capabilities({f"{mount}/metadata/{runtime.settings.vault.state_path}/NAME": READ})
        if lacks:
            hint = "Give it that right, or turn metadata_cas_required off: else no record of a new target can be made."
            return Verdict("Vault settings", "failed", f"metadata_cas_required is on, and {lacking(lacks)}", hint)
    kept = settings.max_versions or "as many as Vault keeps by default"
    return Verdict("Vault settings", "ok", f"no version expires; kept are {kept}")


def lacking(missing: Mapping[str, tuple[str, ...]]) -> str:
    """Which capabilities are missing, in words."""
    named = [f"{', '.join(lacks)} on {path}" for path, lacks in list(missing.items())[:MOST_NAMED]]
    named += [f"and on {len(missing) - MOST_NAMED} paths more"] if len(missing) > MOST_NAMED else []
    return f"the token lacks {'; '.join(named)}"
