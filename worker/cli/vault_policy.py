"""``rotator vault policy``: what the worker, or the app of one target, has to be allowed in Vault, and no more."""

from __future__ import annotations

import json
from collections.abc import Mapping

from worker.cli.options import Options, target_named
from worker.cli.output import print_document, result
from worker.errors import ConfigurationError
from worker.settings.environment import Need
from worker.settings.settings import Settings
from worker.targets.target import Target

POLICY = "hostup-rotator"
"""What the worker's policy and role are called."""

Rights = Mapping[str, tuple[str, ...]]
"""Capabilities by path."""


def vault_policy(options: Options, app: str | None) -> int:
    """Print it as HCL, or with ``--json`` as JSON, which Vault takes, too. Raises ConfigurationError, UsageError."""
    settings = options.settings(Need.NOTHING)
    target = target_named(settings, app) if app else None
    rights = rights_of_app(settings, target) if target else rights_of_worker(settings)
    lines = policy_of_app(settings, target) if target else policy_of_worker(settings)
    document = {"path": {path: {"capabilities": list(allowed)} for path, allowed in rights.items()}}
    result(options, document, lambda: print_document(lines))
    return 0


def policy_of_worker(settings: Settings) -> list[str]:
    """The worker's policy as the lines of an HCL file. Raises ConfigurationError."""
    return [_first_line(None), *_lines(rights_of_worker(settings))]


def policy_of_app(settings: Settings, target: Target) -> list[str]:
    """The policy of a target's app, in the same form. Raises ConfigurationError."""
    return [_first_line(target), *_lines(rights_of_app(settings, target))]


def rights_of_worker(settings: Settings) -> Rights:
    """The same as config/vault/rotator-policy.hcl gives for these targets: each has its path, and no path has a "+"."""
    mount, state = settings.vault.mount, settings.vault.state_path
    rights: dict[str, tuple[str, ...]] = {
        f"{mount}/data/{state}/*": ("create", "update", "read"),
        f"{mount}/metadata/{state}/*": ("create", "update", "list"),
        f"{mount}/config": ("read",),
        "auth/token/lookup-self": ("read",),
        "auth/token/renew-self": ("update",),
        "auth/token/revoke-self": ("update",),
        "sys/capabilities-self": ("update",),
    }
    for target in settings.targets.values():
        rights[f"{mount}/data/{target.path}"] = ("create", "update", "read")
        rights[f"{mount}/destroy/{target.path}"] = ("update",)
        rights[f"{mount}/undelete/{target.path}"] = ("update",)
        rights[_receipts(settings, target)] = ("read",)
    receipts = settings.vault.receipts_path
    _see_that_none_is_a_pattern((mount, state, receipts, *(target.path for target in settings.targets.values())))
    return rights


def rights_of_app(settings: Settings, target: Target) -> Rights:
    """The same as config/vault/app-policy.hcl gives."""
    _see_that_none_is_a_pattern((settings.vault.mount, settings.vault.receipts_path, target.path))
    mount = settings.vault.mount
    return {
        f"{mount}/data/{target.path}": ("read",),
        f"{mount}/metadata/{target.path}": ("read",),
        _receipts(settings, target): ("create", "update", "read"),
        "auth/token/lookup-self": ("read",),
        "auth/token/renew-self": ("update",),
        "auth/token/revoke-self": ("update",),
    }


def _receipts(settings: Settings, target: Target) -> str:
    return f"{settings.vault.mount}/data/{settings.vault.receipts_path}/{target.path}"


def _see_that_none_is_a_pattern(paths: tuple[str, ...]) -> None:
    for path in paths:
        if "+" in path.split("/"):
            why = f'{path}: in a policy the part "+" stands for any name, and would give rights on other apps\' secrets'
            raise ConfigurationError((why,), hint="Give the target a path without it.")


def _first_line(target: Target | None) -> str:
    if target:
        return f"# What the app of {target.name} may do: read its own secret, and leave receipts."
    return (
        "# What the rotator may do. When a target is added: rotator vault policy | vault policy write hostup-rotator -"
    )


def _lines(rights: Rights) -> list[str]:
    return [
        line
        for path, allowed in rights.items()
        for line in (f'path "{path}" {{', f"  capabilities = {json.dumps(allowed)}", "}")
    ]
