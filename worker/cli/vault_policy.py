"""``rotator vault policy``: what the worker, or the app of one target, has to be allowed in Vault, and no more."""

from __future__ import annotations

import json
from collections.abc import Mapping

from worker.cli.options import Options, target_named
from worker.cli.output import print_document, result
from worker.errors import ConfigurationError, UsageError
from worker.settings.destinations import DestinationSettings
from worker.settings.environment import Need
from worker.settings.settings import Settings
from worker.targets.location import HOME
from worker.targets.target import Target

POLICY = "hostup-rotator"
"""What the worker's policy and role are called."""

Rights = Mapping[str, tuple[str, ...]]
"""Capabilities by path."""


def vault_policy(options: Options, app: str | None, destination: str | None = None) -> int:
    """Print it as HCL, or with ``--json`` as JSON, which Vault takes, too. Raises ConfigurationError, UsageError."""
    settings = options.settings(Need.NOTHING)
    target = target_named(settings, app) if app else None
    if destination:
        rights = rights_of_app_at(settings, target, destination) if target else rights_at(settings, destination)
        lines = policy_of_app_at(settings, target, destination) if target else policy_at(settings, destination)
    else:
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


def policy_of_app_at(settings: Settings, target: Target, destination: str) -> list[str]:
    """The same at a destination with a login of its own. Raises UsageError, ConfigurationError."""
    first = f"# What an app may do that reads the copy of {target.name} at the destination {destination}."
    return [first, *_lines(rights_of_app_at(settings, target, destination))]


def policy_at(settings: Settings, destination: str) -> list[str]:
    """The worker's policy at a destination with a login of its own. Raises UsageError, ConfigurationError."""
    return [f"# What the rotator may do at the destination {destination}.", *_lines(rights_at(settings, destination))]


def rights_at(settings: Settings, destination: str) -> Rights:
    """What the worker has to be allowed there: to write copies, and nothing else.

    Raises UsageError where there is no such destination, or it has no login of its own; ConfigurationError.
    """
    known = _with_own_login(settings, destination)
    rights: dict[str, tuple[str, ...]] = {f"{known.vault.mount}/config": ("read",)}
    rights |= dict.fromkeys(("auth/token/lookup-self",), ("read",))
    rights |= dict.fromkeys(("auth/token/renew-self", "auth/token/revoke-self", "sys/capabilities-self"), ("update",))
    return rights | _of_copies(settings, destination, known.vault.mount)


def _with_own_login(settings: Settings, destination: str) -> DestinationSettings:
    known = settings.destinations.get(destination)
    if known is None or known.shares_login:
        why = "is used by the login of [vault], whose policy has its paths" if known else "is not configured"
        raise UsageError(f"the destination {destination[:64]!r} {why}", hint="See `rotator vault policy`.")
    return known


def rights_of_worker(settings: Settings) -> Rights:
    """The same as config/vault/rotator-policy.hcl gives for these targets: each has its path, and no path has a "+"."""
    mount, state = settings.vault.mount, settings.vault.state_path
    rights: dict[str, tuple[str, ...]] = {
        f"{mount}/data/{state}/*": ("create", "update", "read"),
        f"{mount}/metadata/{state}/*": ("create", "read", "update", "list"),
        f"{mount}/config": ("read",),
        "auth/token/lookup-self": ("read",),
        "auth/token/renew-self": ("update",),
        "auth/token/revoke-self": ("update",),
        "sys/capabilities-self": ("update",),
    }
    for target in settings.targets.values():
        rights[f"{mount}/data/{target.path}"] = ("create", "update", "read")
        rights[f"{mount}/destroy/{target.path}"] = ("update",)
        rights[f"{mount}/metadata/{target.path}"] = ("read",)
        rights[f"{mount}/undelete/{target.path}"] = ("update",)
        rights |= {f"{mount}/data/{settings.vault.receipts_path}/{path}": ("read",) for path in target.paths_here()}
    receipts = settings.vault.receipts_path
    key_paths = [path for account in settings.accounts.values() if (path := account.hostup.api_key_path)]
    target_paths = (target.path for target in settings.targets.values())
    _see_that_none_is_a_pattern((mount, state, receipts, *key_paths, *target_paths))
    rights |= {f"{mount}/data/{path}": ("create", "update", "read") for path in key_paths}
    rights |= _of_copies(settings, HOME, mount)
    for name, destination in settings.destinations.items():
        if destination.shares_login:
            rights |= _of_shared(settings, name, destination)
    return rights


def _of_copies(settings: Settings, destination: str, root: str) -> dict[str, tuple[str, ...]]:
    """What copies at a destination need, whose mount is called ``root`` where the policy lies."""
    places = [copy for target in settings.targets.values() for copy in target.also if copy.destination == destination]
    _see_that_none_is_a_pattern((root, *(copy.path for copy in places)))
    rights: dict[str, tuple[str, ...]] = {}
    for copy in places:
        rights[f"{root}/data/{copy.path}"] = ("create", "update", "read")
        rights[f"{root}/destroy/{copy.path}"] = ("update",)
        rights[f"{root}/metadata/{copy.path}"] = ("read",)
        rights[f"{root}/undelete/{copy.path}"] = ("update",)
    return rights


def _of_shared(settings: Settings, name: str, destination: DestinationSettings) -> dict[str, tuple[str, ...]]:
    """What the login of [vault] needs at a destination in the same Vault: in a namespace below, by the way there."""
    home = _namespace(settings.vault.auth_namespace or settings.vault.namespace)
    there = _namespace(destination.vault.namespace)
    if home != there and not (f"{there}/".startswith(f"{home}/") or not home):
        why = f"destination {name}: no policy in the namespace {home} gives rights in {there or 'root'}"
        raise ConfigurationError((why,), hint="Give it a login of its own, or log in further out.")
    way = there.removeprefix(home).strip("/")
    mount = f"{way}/{destination.vault.mount}" if way else destination.vault.mount
    rights: dict[str, tuple[str, ...]] = {f"{mount}/config": ("read",)}
    if way:
        rights[f"{way}/sys/capabilities-self"] = ("update",)
        rights[f"{way}/sys/internal/ui/mounts/{destination.vault.mount}"] = ("read",)
    return rights | _of_copies(settings, name, mount)


def _namespace(name: str | None) -> str:
    inner = (name or "").strip("/")
    return "" if inner == "root" else inner


def rights_of_app(settings: Settings, target: Target) -> Rights:
    """What an app may that reads a target's key, at its path or a copy; without copies as config/vault/app-policy.hcl.

    Copies in another Vault or namespace are not among them: no policy here gives rights there.
    """
    mount, receipts = settings.vault.mount, settings.vault.receipts_path
    rights: dict[str, tuple[str, ...]] = {}
    for path in target.paths_here():
        rights |= _of_reader(mount, path)
        rights[f"{mount}/data/{receipts}/{path}"] = ("create", "update", "read")
    for name, each in settings.destinations.items():
        if each.shares_login and each.vault.namespace == settings.vault.namespace:
            for path in _copies_at(target, name):
                rights |= _of_reader(each.vault.mount, path)
    _see_that_none_is_a_pattern((receipts, *rights))
    return rights | _OF_ITS_OWN_TOKEN


def rights_of_app_at(settings: Settings, target: Target, destination: str) -> Rights:
    """The same for an app that reads a copy at a destination with a login of its own; there are no receipts there.

    Raises UsageError where there is no such destination or no copy, ConfigurationError.
    """
    mount, paths = _with_own_login(settings, destination).vault.mount, _copies_at(target, destination)
    if not paths:
        raise UsageError(f"{target.name} has no copy at the destination {destination}", hint="See its `also`.")
    rights: dict[str, tuple[str, ...]] = {}
    for path in paths:
        rights |= _of_reader(mount, path)
    _see_that_none_is_a_pattern(tuple(rights))
    return rights | _OF_ITS_OWN_TOKEN


_OF_ITS_OWN_TOKEN: dict[str, tuple[str, ...]] = {
    "auth/token/lookup-self": ("read",),
    "auth/token/renew-self": ("update",),
    "auth/token/revoke-self": ("update",),
}


def _of_reader(mount: str, path: str) -> dict[str, tuple[str, ...]]:
    return {f"{mount}/data/{path}": ("read",), f"{mount}/metadata/{path}": ("read",)}


def _copies_at(target: Target, destination: str) -> list[str]:
    return [copy.path for copy in target.also if copy.destination == destination]


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
