"""The calls that `plan` names are those of a rotation, as tests/integration/test_cost.py counts them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tests.integration.test_cost import VAULT_CALLS
from tests.worlds import TARGET
from worker.cli.plan import calls_of

PUBLISHED = 11
"""Calls until the new key is published; what follows comes after grace."""


def test_the_calls_to_vault_are_those_that_are_counted() -> None:
    target = replace(TARGET, name="films", path="apps/films/object-storage")
    calls = list(calls_of(target, "secret", "hostup-rotator/state"))[:PUBLISHED]
    planned = Counter(f"{call.method} {call.path}" for call in calls if call.service == "Vault")
    assert planned == {name.format(target="films", key="KEY"): number for name, number in VAULT_CALLS.items()}
    assert [call.method for call in calls if call.service == "HostUp"] == ["POST"]
