"""``rotator vault setup``: an administrator has all made in Vault that the worker and the apps need.

It shows what is missing or differs, asks, and makes that. What is there already and right stays as it is.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.adapters.vault.admin import VaultAdmin
from worker.adapters.vault.opening import open_admin
from worker.cli.options import Options
from worker.cli.output import print_document, print_lines, result
from worker.cli.vault_plan import (
    Change,
    Cluster,
    Kind,
    Thing,
    change_of,
    policy_lines,
    settings_lines,
    shown,
    wanted,
    wanted_at,
)
from worker.clock import SystemClock
from worker.errors import PersonNeeded, UsageError, VaultDenied, VaultNotVersioned
from worker.settings.environment import Need
from worker.settings.logins import as_administrator

WRAPPED_FOR = "1h"

_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class HandedOut:
    """What a new role's owner needs to log in: shown once. ``wrapped`` opens its secret_id, once and within an hour."""

    role: str
    sub: str
    role_id: str
    wrapped: str = field(repr=False)


def vault_setup(
    options: Options, *, dry_run: bool, yes: bool, cluster: Cluster | None = None, destination: str | None = None
) -> int:
    """Show what is missing, and make it with ``yes`` or when the person at the terminal agrees.

    ``destination``: in the Vault of that one, for the worker alone.

    Raises VaultDenied, VaultNotVersioned for a mount of KV version 1, PersonNeeded for one of another kind, VaultError,
    ConfigurationError, UsageError.
    """
    if dry_run and yes:
        raise UsageError("--dry-run and --yes contradict each other", hint="Leave out one of them.")
    if cluster and not _NAMESPACE.fullmatch(cluster.namespace):
        raise UsageError(f"{cluster.namespace[:64]!r} is no namespace of Kubernetes", hint="Such as apps.")
    settings = options.settings(Need.VAULT, env=as_administrator(os.environ))
    things = wanted_at(settings, cluster, destination) if destination else wanted(settings, cluster)
    admin = open_admin(settings, SystemClock(), destination)
    changes: list[Change] = []
    handed: list[HandedOut] = []
    done = False
    try:
        changes += _changes(admin, things)
        if not options.as_json:
            print_document(shown(changes))
        done = bool(changes) and not dry_run and (yes or _agreed())
        if done:
            _make(admin, changes, handed)
    except VaultDenied as error:
        error.hint = f"Run this with the token of an administrator (VAULT_TOKEN, or the destination's). {error.hint}"
        raise
    finally:
        if handed or sys.exc_info()[0] is None:  # what was handed out is shown this once, whatever came after
            document = _document(changes, handed, done=done)
            result(options, document, lambda: print_lines(_told(changes, handed, done=done)))
    return 0


def _changes(admin: VaultAdmin, things: list[Thing]) -> Iterator[Change]:
    mounts, ways = admin.read("sys/mounts") or {}, admin.read("sys/auth") or {}
    enabled = True
    for thing in things:
        if thing.kind is Kind.MOUNT:
            before = _mounted(thing, mounts)
        elif thing.kind is Kind.AUTH:
            before = _enabled(thing, ways)
            enabled = before is not None
        elif thing.kind is Kind.POLICY:
            found = admin.read(thing.path)
            before = policy_lines(str(found.get("policy", ""))) if found else None
        else:
            found = admin.read(thing.path) if enabled else None
            before = _role_lines(found, thing) if found else None
        change = change_of(thing, before)
        if change:
            yield change


def _role_lines(found: Mapping[str, Any], thing: Thing) -> tuple[str, ...]:
    """OpenBao shows an audience that is not set as null, and keeps one that is set back as it was given."""
    return settings_lines({key: "" if found.get(key) is None else found[key] for key in thing.body})


def _mounted(thing: Thing, mounts: Mapping[str, Any]) -> tuple[str, ...] | None:
    found = mounts.get(f"{thing.name}/")
    if not isinstance(found, dict):
        return None
    version = (found.get("options") or {}).get("version")
    if found.get("type") == "kv" and version == "2":
        return thing.lines
    if found.get("type") == "kv":
        raise VaultNotVersioned(
            f"the mount {thing.name} is KV version 1, which keeps no versions",
            path=thing.path,
            hint=f"`vault kv enable-versioning {thing.name}`, or name another mount (mount under [vault]). Nothing was "
            "changed.",
        )
    raise PersonNeeded(
        f"the mount {thing.name} is of type {found.get('type')}, and no KV secrets engine",
        hint="Name another mount (mount under [vault]). Nothing was changed.",
    )


def _enabled(thing: Thing, ways: Mapping[str, Any]) -> tuple[str, ...] | None:
    found = ways.get(f"{thing.name}/")
    if not isinstance(found, dict):
        return None
    if found.get("type") == thing.body["type"]:
        return thing.lines
    raise PersonNeeded(
        f"at auth/{thing.name} is the way to log in called {found.get('type')}, not {thing.body['type']}",
        hint="Name another one (approle_mount or kubernetes_mount under [vault]). Nothing was changed.",
    )


def _make(admin: VaultAdmin, changes: list[Change], handed: list[HandedOut]) -> None:
    for change in changes:
        thing = change.thing
        admin.write(thing.path, thing.body)
        if thing.kind is Kind.ROLE and change.before is None and "bound_service_account_names" not in thing.body:
            role_id = str((admin.read(f"{thing.path}/role-id") or {}).get("role_id", ""))
            handed.append(
                HandedOut(thing.name, thing.sub, role_id, admin.wrapped(f"{thing.path}/secret-id", WRAPPED_FOR))
            )


def _agreed() -> bool:
    if not (sys.stdin and sys.stdin.isatty()):
        return False
    import typer

    return typer.confirm("Make these changes?", default=False, err=True)


def _document(changes: list[Change], handed: list[HandedOut], *, done: bool) -> dict[str, Any]:
    return {
        "changes": [
            {"kind": each.thing.kind.value, "name": each.thing.name, "new": each.before is None, "diff": each.diff}
            for each in changes
        ],
        "done": done,
        "handed_out": [
            {"role": each.role, "for": each.sub, "role_id": each.role_id, "wrapped_secret_id": each.wrapped}
            for each in handed
        ],
    }


def _told(changes: list[Change], handed: list[HandedOut], *, done: bool) -> Iterator[str]:
    for each in handed:
        yield f"for {each.sub}, shown this once:"
        yield f"  VAULT_ROLE_ID={each.role_id}"
        yield f"  VAULT_SECRET_ID={each.wrapped}"
        yield "  VAULT_SECRET_ID_WRAPPED=true"
    if handed:
        yield f"Each secret id is wrapped, and opened once, within {WRAPPED_FOR}: by the worker itself; for an app by"
        yield "`vault unwrap -field=secret_id WRAPPED`, and then it is set without VAULT_SECRET_ID_WRAPPED."
    if done:
        yield f"{len(changes)} changes were made."
        if any(each.thing.kind is Kind.AUTH and each.thing.body["type"] == "kubernetes" for each in changes):
            yield "Kubernetes was enabled, and has to be configured: `vault write auth/.../config kubernetes_host=...`."
    elif changes:
        yield "Nothing was changed. With --yes it is done."
