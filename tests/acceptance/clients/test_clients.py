"""Other people's S3 clients go through rotations without one failed call, at a grace that just fits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.clients.fleet import Client, make_buckets, runs, started
from tests.acceptance.clients.kinds import INSTALLED, KINDS, RESTIC, Way
from tests.acceptance.service import Service
from tests.sandbox import wait_until

ROTATIONS = 20
GRACE = "8s"
"""A key may be read a quarter of it after it was replaced, and is then used for half of it: one quarter is to spare."""
WRONGLY_TOLD = 80
"""Seconds of grace by which each is refused within a few rotations: they look every 20, and keep a key for 40."""
LEAVING = 2
"""Keys on their way out at a time: rotations follow each other faster than a grace passes."""
SPREAD = 10.0
"""Seconds for which a new key is staged when its worker is killed."""


@pytest.fixture
def rotated(service: Service) -> Service:
    """A service with its first key, and the buckets of all clients."""
    service.grace = GRACE
    service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    make_buckets(service, KINDS)
    return service


def _rotate(service: Service) -> None:
    wait_until(lambda: len(service.record()["retiring"]) < LEAVING, "the death of an older key")
    service.rotate()


def _is_over(service: Service) -> None:
    """The last key that was replaced is dead, and everybody has called with its successor."""
    wait_until(lambda: not service.record()["retiring"], "the old keys' death")


def _all_use_the_new_key(service: Service, clients: Sequence[Client]) -> None:
    published = service.published()
    assert published is not None
    for client in clients:
        key = published["access_key"]
        wait_until(partial(_has_worked_with, client, key), f"{client.kind.name} with the new key")


def _has_worked_with(client: Client, access_key: str) -> bool:
    assert runs(client), f"{client.kind.name} has ended"
    return access_key in client.keys


def _has_seen_it_sealed(client: Client) -> bool:
    return client.vault.count(503) > 1


def _failures(clients: Sequence[Client]) -> dict[str, list[str]]:
    """What went wrong, by client; a refusal that the client did not tell counts as well."""
    found = {
        client.kind.name: client.errors[:3] + [f"{client.refused} refusals"] * bool(client.refused)
        for client in clients
    }
    ended = {client.kind.name: ["it has ended"] for client in clients if not runs(client)}
    return {name: errors for name, errors in (found | ended).items() if errors}


def test_no_call_fails_through_twenty_rotations(rotated: Service) -> None:
    with started(rotated, KINDS) as clients:
        began = time.monotonic()
        for _ in range(ROTATIONS):
            _rotate(rotated)
            _all_use_the_new_key(rotated, clients)
        _is_over(rotated)
        assert _failures(clients) == {}
        _write_table(INSTALLED / "measured.md", clients, time.monotonic() - began)
        assert {c.kind.name: len(c.keys) for c in clients if len(c.keys) != ROTATIONS + 1} == {}
    assert len(rotated.made()) == ROTATIONS + 1


def test_no_call_fails_while_vault_is_sealed_and_a_worker_killed(rotated: Service) -> None:
    with started(rotated, KINDS) as clients:
        _all_use_the_new_key(rotated, clients)
        _seal_until_all_have_noticed(rotated, clients)
        _rotate(rotated)
        _kill_a_worker_in_the_middle(rotated)
        _rotate(rotated)
        _is_over(rotated)
        _all_use_the_new_key(rotated, clients)
        assert _failures(clients) == {}


def _seal_until_all_have_noticed(service: Service, clients: Sequence[Client]) -> None:
    """Twice each: so it was sealed for longer than the time between two looks."""
    vault = service.sandbox.vault
    assert vault is not None
    vault.seal()
    try:
        for client in clients:
            wait_until(partial(_has_seen_it_sealed, client), f"looks of {client.kind.name}")
    finally:
        vault.unseal()


def _kill_a_worker_in_the_middle(service: Service) -> None:
    """With a key that is made and not yet published; the next worker goes on with it."""
    before, admin = service.published(), service.sandbox.simulator.admin
    assert before is not None
    made_at = admin.keys()[before["access_key"]].created_at
    # The storage takes no key that is younger; the one in use must be older.
    wait_until(lambda: time.time() > made_at + SPREAD, "a key that has spread")
    admin.behave(spread=SPREAD)
    service.rotator("rotate", service.target)
    wait_until(lambda: (service.record()["rotation"] or {}).get("phase") == "staged", "a key that is staged")
    service.workers[-1].kill()
    service.start()
    admin.behave(spread=0.0)
    wait_until(lambda: service.published() != before, "the key of the worker that was killed")


def test_a_grace_that_is_too_short_is_seen(rotated: Service) -> None:
    """Else the tests above would prove nothing: the same clients go by a grace of which they are given a tenth.

    Ours in Python is refused as well, but goes on without a failed call.
    """
    with started(rotated, KINDS, told_grace=WRONGLY_TOLD) as clients:
        for _ in range(ROTATIONS):
            _rotate(rotated)
            _is_over(rotated)
            if all(client.refused for client in clients):
                break
        assert [client.kind.name for client in clients if not client.refused] == []
        assert [client.errors for client in clients if client.kind.way is Way.PYTHON] == [[]]


def test_a_key_that_is_gone_without_grace_is_seen(rotated: Service) -> None:
    """Else the tests above would prove nothing. Only who looks again when a key is refused goes on."""
    rotated.grace = "40m"  # all may keep a key for minutes, so that none looks at Vault again by chance
    _rotate_with_another_worker(rotated)
    with started(rotated, KINDS, refresh="10m") as clients:
        _all_use_the_new_key(rotated, clients)
        done = rotated.rotator("rotate", rotated.target, "--leaked", "--yes", "--wait")
        assert done.returncode == 0, done.stderr
        for client in clients:
            wait_until(partial(_has_failed, client), f"a failed call of {client.kind.name}")
        assert [client.errors for client in clients if client.kind.way is Way.PYTHON] == [[]]


def _has_failed(client: Client) -> bool:
    """Restic tries again for minutes until it says so, and boto3 by our own provider with the new key, at once."""
    says_nothing = client.kind == RESTIC or client.kind.way is Way.PYTHON
    return bool(client.refused and (says_nothing or client.errors))


def _rotate_with_another_worker(service: Service) -> None:
    """A worker that has read the configuration as it is now."""
    service.workers[-1].stop()
    service.start()
    service.rotate()


def _write_table(file: Path, clients: Sequence[Client], seconds: float) -> None:
    """For docs/apps.md."""
    lines = [f"{ROTATIONS} rotations in {seconds:.0f} s, `grace` {GRACE}:", ""]
    lines += ["| client | by | calls | failed | keys used | reads of Vault | starts of the helper |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for each in clients:
        counted = [len(each.said), len(each.errors), len(each.keys), each.reads, each.starts]
        lines.append(f"| {each.kind.client} | {each.kind.way} | {' | '.join(map(str, counted))} |")
    file.write_text("\n".join([*lines, ""]))
