"""Faults of HostUp and of the object storage, as they come and go: a few kinds at a time, each with its probability."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

from worker.sandbox.simulator.faults import CATALOGUE, Fault

LATE = 1.3
"""Seconds. Beyond the deadline of a create (a third of the lease); not by much, as each late answer holds a thread."""

VERY_LATE = 4.0
"""Beyond the lease: the effect comes when another worker has long taken over."""

_SLOW: Mapping[str, Mapping[str, float]] = {
    "timeout-before": {"wait": LATE},
    "timeout-after": {"wait": LATE},
    "slow-effect": {"effect_after": VERY_LATE},
    "late": {"wait": LATE / 2},
    "drip": {"interval": 0.02},
}

NOT_FOR_S3 = ("wrong-type", "without", "400", "not-successful")
"""Faults that spoil the API's JSON, or that say of a key what is not true."""

FOR_CREATES = ("notice-before", "bad-header", "wrong-label")
"""Faults that only an answer which holds a new key survives: all others are simply asked for again."""

ROLL = "roll_api_key"
MAKING = ("create", ROLL)

OFTEN = 0.15
"""Of the rolls: there are few of them."""

DOWN: Mapping[str, Fault] = {
    "401": CATALOGUE["401"],
    "429": CATALOGUE["429"],
    "500": CATALOGUE["500-before"],
    "HTML": CATALOGUE["502"],
    "silence": replace(CATALOGUE["timeout-before"], wait=VERY_LATE),
}
"""What an account answers to everything while it is wholly down."""


def kinds(operation: str) -> tuple[str, ...]:
    """The faults that an operation can have."""
    others = FOR_CREATES if operation not in MAKING else ()
    excluded = (*others, *(NOT_FOR_S3 if operation == "s3" else ()))
    return tuple(name for name in CATALOGUE if not name.startswith(excluded))


def weather(dice: random.Random) -> Iterator[Fault]:
    """What may happen to calls for the next few seconds: sometimes little, sometimes a real storm."""
    strength = dice.choice((0.02, 0.05, 0.15))
    for operation in ("create", "delete", "status", "s3"):
        for name in dice.sample(kinds(operation), dice.choice((1, 2, 3))):
            yield _ordered(name, operation, strength, dice)
    for name in dice.sample(kinds(ROLL), 2):
        yield _ordered(name, ROLL, OFTEN, dice)


def outage(kind: str) -> Iterator[Fault]:
    """One of :data:`DOWN`: nothing is carried out at the account; its object storage works on."""
    for operation in ("create", "delete", "status", ROLL):
        yield replace(DOWN[kind], name=f"{operation}: down: {kind}", operation=operation, times=-1)


def _ordered(name: str, operation: str, probability: float, dice: random.Random) -> Fault:
    fault = replace(CATALOGUE[name], name=f"{operation}: {name}", operation=operation, times=-1)
    slower = _SLOW.get(name, {})
    retry_after = str(dice.choice((1, 2))) if fault.retry_after else ""
    timed = replace(fault, probability=probability, seed=dice.getrandbits(32), retry_after=retry_after)
    return replace(timed, **slower)  # type: ignore[arg-type]  # the names are fields that take numbers
