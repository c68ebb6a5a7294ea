"""What a chaos run writes down: how fast life goes, the configuration, and the rights in Vault."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos_run.accounts import ACCOUNTS, account_of
from worker.sandbox.texts import MOUNT, STATE_PATH, policy
from worker.selftest.evidence import Watched

ROLE = "rotator"
API_KEY_PATH = "hostup-rotator/api-key"
"""Where the API key of the first account lies in the mount; that of the other one is in the environment."""

WITH_COPY = (1, 2)
"""Targets, one of each account, whose apps' secret has a copy in the same mount."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast life goes: durations as the configuration takes them, chosen so that everything overlaps."""

    every: str = "2s"
    grace: str = "1s"
    tick: str = "1s"
    lease: str = "3s"
    audit_every: str = "10s"
    verify_within: str = "5s"
    dead_within: str = "10s"
    watch_every: str = "2s"
    api_key_every: str = "12s"


REST = "400d"
"""How often targets rotate when they are to come to rest."""


def configuration(
    addresses: Mapping[str, str], pace: Pace, targets: Iterable[Watched], every: str, api_key_every: str
) -> str:
    """The configuration; ``addresses`` are those of HostUp by account, and no roll is due without ``api_key_every``."""
    first, *others = ACCOUNTS
    rolled = f'api_key_every = "{api_key_every}"\n' if api_key_every else ""
    text = f"""
[hostup]
base_url = "{addresses[first]}"
parallel_creates = 4
api_key_path = "{API_KEY_PATH}"
{rolled}[vault]
mount = "{MOUNT}"
state_path = "{STATE_PATH}"
[worker]
messages_per_hour = 3600
tick = "{pace.tick}"
lease = "{pace.lease}"
audit_every = "{pace.audit_every}"
verify_within = "{pace.verify_within}"
dead_within = "{pace.dead_within}"
watch_every = "{pace.watch_every}"
"""
    text += "".join(f'[[account]]\nname = "{name}"\nbase_url = "{addresses[name]}"\n' for name in others)
    return text + "".join(_target_table(target, every, pace.grace) for target in targets)


def _target_table(target: Watched, every: str, grace: str) -> str:
    also = "".join(f'also = ["{name}"]\n' for name, _, _ in target.copies)
    return f"""
[[target]]
name = "{target.name}"
path = "{target.path}"
account = "{account_of(target.name)}"
every = "{every}"
grace = "{grace}"
fields = "{target.path.split("/")[1]}"
{also}"""


def copies_of(number: int, path: str) -> tuple[tuple[str, str, str], ...]:
    """The copies of a target's secret, as :class:`Watched` has them."""
    return ((f"{path}-copy", MOUNT, f"{path}-copy"),) if number in WITH_COPY else ()


def rights(targets: Sequence[Watched]) -> dict[str, list[str]]:
    """What a worker may do in Vault."""
    paths = [path for target in targets for path in (target.path, *(copy for _, _, copy in target.copies))]
    return {**policy(paths), f"{MOUNT}/data/{API_KEY_PATH}": ["create", "update", "read"]}
