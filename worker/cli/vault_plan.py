"""What has to be in Vault for the configured targets: mount, policies and roles; and how it differs. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from worker.cli.vault_policy import POLICY, policy_at, policy_of_app, policy_of_app_at, policy_of_worker
from worker.settings.settings import Settings

PERIOD_SECONDS = 3600
"""Tokens of roles are periodic: they last so long, and again after each renewal, without an end."""


class Kind(StrEnum):
    """What kinds of things there are."""

    MOUNT = "secrets engine"
    AUTH = "way to log in"
    POLICY = "policy"
    ROLE = "role"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Who logs in by the roles of Kubernetes: ServiceAccounts of a namespace, with tokens made for ``audience``.

    Without an audience, for the API server's own (Vault's Kubernetes auth method, "audience").
    """

    namespace: str
    audience: str


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that has to be in Vault: ``body`` is written at ``path`` of its API. ``lines`` are what it says.

    ``sub`` of a role is who logs in by it, in words.
    """

    kind: Kind
    name: str
    path: str
    body: Mapping[str, object]
    lines: tuple[str, ...]
    sub: str = ""

    @property
    def what(self) -> str:
        """In words: ``policy hostup-rotator``."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Change:
    """A thing that is missing (``before`` is None), or says something else."""

    thing: Thing
    before: tuple[str, ...] | None

    @property
    def diff(self) -> list[str]:
        """What will be there and is not (``+``), and what will no longer be (``-``)."""
        lines = difflib.unified_diff(self.before or (), self.thing.lines, n=0, lineterm="")
        return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def wanted(settings: Settings, cluster: Cluster | None) -> list[Thing]:
    """All that has to be there, what others need first. ``cluster``: log in by ServiceAccounts, not by AppRoles.

    Raises ConfigurationError for a path that would be a pattern in a policy.
    """
    things = [_mount(settings), _auth(settings, cluster), *_mounts_beside(settings)]
    subs = {POLICY: ("the worker", policy_of_worker(settings), POLICY)}
    for target in settings.targets.values():
        subs[f"hostup-app-{target.name}"] = (
            f"the app of {target.name}",
            policy_of_app(settings, target),
            target.name,
        )
    return things + _policies_and_roles(settings, subs, cluster)


def wanted_at(settings: Settings, cluster: Cluster | None, destination: str) -> list[Thing]:
    """The same at a destination with a login of its own: what the worker needs there, and apps that read copies.

    Raises UsageError where there is none of that name, ConfigurationError.
    """
    subs = {POLICY: (f"the worker at {destination}", policy_at(settings, destination), POLICY)}
    there = replace(settings, vault=settings.destinations[destination].vault)
    for target in settings.targets.values():
        if any(copy.destination == destination for copy in target.also):
            subs[f"hostup-app-{target.name}"] = (
                f"the app of {target.name} at {destination}",
                policy_of_app_at(settings, target, destination),
                target.name,
            )
    return [_mount(there), _auth(there, cluster), *_policies_and_roles(there, subs, cluster)]


def _policies_and_roles(
    settings: Settings, subs: Mapping[str, tuple[str, list[str], str]], cluster: Cluster | None
) -> list[Thing]:
    """Of each name: who logs in, in words; the lines of its policy; and its ServiceAccount."""
    policies = [_policy(name, lines) for name, (_, lines, _) in subs.items()]
    return policies + [_role(settings, name, sub, cluster, account) for name, (sub, _, account) in subs.items()]


def change_of(thing: Thing, before: tuple[str, ...] | None) -> Change | None:
    """What has to be done for a thing that is as ``before`` says; None where nothing."""
    return None if before == thing.lines else Change(thing, before)


def settings_lines(values: Mapping[str, object]) -> tuple[str, ...]:
    """Settings as lines, sorted."""
    return tuple(f"{key} = {json.dumps(values[key])}" for key in sorted(values))


def policy_lines(text: str) -> tuple[str, ...]:
    """A policy's text as lines, without blank ones at its ends."""
    return tuple(text.strip().splitlines())


def shown(changes: list[Change]) -> Iterator[str]:
    """What will be done, for people."""
    for change in changes:
        yield f"{change.thing.what}: {'missing' if change.before is None else 'differs'}"
        yield from (f"  {line}" for line in change.diff)
    if not changes:
        yield "All of it is there already: nothing to do."


def _mounts_beside(settings: Settings) -> Iterator[Thing]:
    """Of destinations in the same namespace of the same Vault; those elsewhere are their administrators' to make."""
    home = settings.vault
    beside = (each.vault for each in settings.destinations.values() if each.shares_login)
    mounts = {each.mount: each for each in beside if each.namespace == home.namespace and each.mount != home.mount}
    for vault in mounts.values():
        yield _mount(replace(settings, vault=vault))


def _mount(settings: Settings) -> Thing:
    name = settings.vault.mount
    body: dict[str, object] = {"type": "kv", "options": {"version": "2"}}
    return Thing(Kind.MOUNT, name, f"sys/mounts/{name}", body, settings_lines(body))


def _auth(settings: Settings, cluster: Cluster | None) -> Thing:
    name = settings.vault.kubernetes_mount if cluster else settings.vault.approle_mount
    body: dict[str, object] = {"type": "kubernetes" if cluster else "approle"}
    return Thing(Kind.AUTH, name, f"sys/auth/{name}", body, settings_lines(body))


def _policy(name: str, lines: list[str]) -> Thing:
    text = "\n".join(lines) + "\n"
    return Thing(Kind.POLICY, name, f"sys/policies/acl/{name}", {"policy": text}, policy_lines(text))


def _role(settings: Settings, name: str, sub: str, cluster: Cluster | None, account: str) -> Thing:
    body: dict[str, object] = {
        "token_policies": [name],
        "token_no_default_policy": True,
        "token_period": PERIOD_SECONDS,
    }
    mount = settings.vault.approle_mount
    if cluster:
        mount = settings.vault.kubernetes_mount
        body["audience"] = cluster.audience
        body["bound_service_account_namespaces"], body["bound_service_account_names"] = [cluster.namespace], [account]
    return Thing(Kind.ROLE, name, f"auth/{mount}/role/{name}", body, settings_lines(body), sub)
