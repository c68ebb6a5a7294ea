"""What the sandbox writes down: the configuration, the environment, and the policy that Vault gives the worker."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MOUNT = "secret"
STATE_PATH = "hostup-rotator/state"
ROLE = {
    "token_policies": "hostup-rotator",
    "token_no_default_policy": True,
    "token_ttl": "1h",
    "token_max_ttl": "24h",
}
"""The worker's AppRole, as config/vault/rotator-policy.hcl makes it."""

FIRST_LINE = "# Written by `rotator sandbox`, anew at each start."


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """How lively the sandbox is; durations as the configuration takes them, ``spread`` and ``linger`` in seconds."""

    targets: int = 3
    every: str = "30s"
    grace: str = "10s"
    tick: str = "1s"
    lease: str = "10s"
    audit_every: str = "30s"
    spread: float = 1.0
    """How long a new key takes until it works."""
    linger: float = 1.0
    """How long a deleted key goes on working."""


DEFAULT = SandboxOptions()


@dataclass(frozen=True, slots=True)
class SandboxTarget:
    """One target of the sandbox."""

    name: str
    path: str
    fields: str


def targets(count: int) -> tuple[SandboxTarget, ...]:
    """So many targets, the first ones with names that mean something; the presets of names take turns."""
    named = ("media-uploads", "web-backups", "log-archive")
    names = [*named, *(f"target-{number:04}" for number in range(len(named) + 1, count + 1))][:count]
    presets = ("plain", "aws-env", "rclone")
    return tuple(
        SandboxTarget(name, f"apps/{name}/object-storage", presets[place % len(presets)])
        for place, name in enumerate(names)
    )


def configuration(hostup_url: str, options: SandboxOptions) -> str:
    """The sandbox's ``rotator.toml``."""
    parts = [
        FIRST_LINE,
        "",
        "[hostup]",
        f'base_url = "{hostup_url}"',
        "",
        "[vault]",
        f'mount = "{MOUNT}"',
        f'state_path = "{STATE_PATH}"',
        "",
        "[worker]",
        f'tick = "{options.tick}"',
        f'audit_every = "{options.audit_every}"',
        'verify_within = "30s"',
        'dead_within = "30s"',
        f'lease = "{options.lease}"',
    ]
    for target in targets(options.targets):
        parts += [
            "",
            "[[target]]",
            f'name = "{target.name}"',
            f'path = "{target.path}"',
            f'every = "{options.every}"',
            f'grace = "{options.grace}"',
            f'fields = "{target.fields}"',
        ]
    return "\n".join([*parts, ""])


def environment_file(variables: Mapping[str, str], unset: Iterable[str]) -> str:
    """Shell lines; what would be read beside our variables, or instead of them, is unset."""
    lines = [FIRST_LINE, f"unset {' '.join(sorted(unset))}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, ""])


def policy(paths: Iterable[str]) -> dict[str, list[str]]:
    """Capabilities by path, the same as config/vault/rotator-policy.hcl gives for these apps' paths."""
    rights = {
        f"{MOUNT}/data/{STATE_PATH}/*": ["create", "update", "read"],
        f"{MOUNT}/metadata/{STATE_PATH}/*": ["create", "read", "update", "list"],
        f"{MOUNT}/config": ["read"],
        "auth/token/lookup-self": ["read"],
        "auth/token/renew-self": ["update"],
        "auth/token/revoke-self": ["update"],
        "sys/capabilities-self": ["update"],
    }
    for path in paths:
        rights[f"{MOUNT}/data/{path}"] = ["create", "update", "read"]
        rights[f"{MOUNT}/destroy/{path}"] = ["update"]
        rights[f"{MOUNT}/metadata/{path}"] = ["read"]
        rights[f"{MOUNT}/undelete/{path}"] = ["update"]
        rights[f"{MOUNT}/data/hostup-rotator/receipts/{path}"] = ["read"]
    return rights
