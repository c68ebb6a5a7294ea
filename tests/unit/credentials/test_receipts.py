"""Receipts on a real Vault: many readers write one document, and what stands in the way is told and not fatal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.servers import VaultServer, start_vault
from worker.credentials.environment import Given, Place, Server, places_named
from worker.credentials.keys import AppKey
from worker.credentials.login import Session
from worker.credentials.receipts import ReceiptWriter
from worker.credentials.vault import Vault
from worker.errors import VaultCasMismatch, VaultRefused
from worker.secret import Secret
from worker.targets.receipts import RECEIPTS_PATH, Receipts, receipts_in

KEY = AppKey("AK1", Secret("canary"), 3, rotation_id="rotation-1")
READERS = 20


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with start_vault(tmp_path_factory.mktemp("vault")) as server:
        yield server


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    """A secret that no other test has."""
    name = f"apps/{request.node.name}"
    return Place(name, "secret", name)


def session(vault: VaultServer, token: str = "") -> Session:
    return Session(Vault(Server(vault.address)), Given(Secret(token or vault.root_token)))


def left(vault: VaultServer, place: Place) -> Receipts:
    data, _ = session(vault).latest("secret", f"{RECEIPTS_PATH}/{place.path}")
    return receipts_in(data)


def writer(
    vault: VaultServer, place: Place, reader: str, said: list[str] | None = None, token: str = ""
) -> ReceiptWriter:
    told = [] if said is None else said
    made = ReceiptWriter(session(vault, token), place, reader, told.append)
    made.used(KEY)
    return made


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_many_readers_at_once_all_leave_their_receipt(vault: VaultServer, place: Place) -> None:
    writers = [writer(vault, place, f"web-{number} endpoint") for number in range(READERS)]

    def leave(each: ReceiptWriter) -> None:
        while True:  # as the thread of a writer does, which tries again later
            try:
                return each.leave()
            except VaultCasMismatch:
                continue

    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(leave, writers))
    found = left(vault, place)
    assert {receipt.reader for receipt in found.known} == {f"web-{number} endpoint" for number in range(READERS)}
    assert found.spoiled == 0


def test_a_receipt_tells_the_key_and_no_secret(vault: VaultServer, place: Place) -> None:
    writer(vault, place, "web-1 endpoint").leave()
    [receipt] = left(vault, place).known
    assert (receipt.access_key, receipt.version, receipt.rotation_id) == ("AK1", 3, "rotation-1")
    data, _ = session(vault).latest("secret", f"{RECEIPTS_PATH}/{place.path}")
    assert "canary" not in str(data)


def test_a_document_that_was_deleted_or_spoiled_is_written_anew(vault: VaultServer, place: Place) -> None:
    writer(vault, place, "web-1 endpoint").leave()
    url, headers = f"{vault.address}/v1/secret/data/{RECEIPTS_PATH}/{place.path}", {"X-Vault-Token": vault.root_token}
    httpx.delete(url, headers=headers, trust_env=False).raise_for_status()
    writer(vault, place, "web-2 endpoint").leave()
    assert [receipt.reader for receipt in left(vault, place).known] == ["web-2 endpoint"]
    body = {"data": {"web-2 endpoint": {"nested": [1]}, "x": None}}
    httpx.post(url, headers=headers, json=body, trust_env=False).raise_for_status()
    writer(vault, place, "web-2 endpoint").leave()
    assert left(vault, place).spoiled == 0


def test_a_write_over_another_version_is_refused(vault: VaultServer, place: Place) -> None:
    asked = session(vault)
    asked.write("secret", place.path, {"n": "1"}, 0)
    with pytest.raises(VaultCasMismatch):
        asked.write("secret", place.path, {"n": "2"}, 0)
    with pytest.raises(VaultRefused):
        asked.write("secret", f"{place.path}/", {"n": "2"}, 0)


def test_what_stands_in_the_way_is_told_once_and_the_key_is_served_all_the_same(
    vault: VaultServer, place: Place
) -> None:
    url, headers = f"{vault.address}/v1/auth/token/create", {"X-Vault-Token": vault.root_token}
    made = httpx.post(url, headers=headers, json={"policies": ["default"], "ttl": "1h"}, trust_env=False).json()
    said: list[str] = []
    each = writer(vault, place, "web-1 endpoint", said, made["auth"]["client_token"])
    each.start()
    until(lambda: bool(said))
    for _ in range(3):
        each.used(KEY)
    assert len(said) == 1
    assert f"{place.path}: no receipt could be left: Vault" in said[0]
    assert "canary" not in said[0]


def test_a_change_of_the_key_is_written_at_once(vault: VaultServer, place: Place) -> None:
    each = writer(vault, place, "web-1 endpoint")
    each.start()
    until(lambda: [receipt.access_key for receipt in left(vault, place).known] == ["AK1"])
    each.used(AppKey("AK2", Secret("canary"), 4))
    until(lambda: [(found.access_key, found.before) for found in left(vault, place).known] == [("AK2", "AK1")])


def test_where_receipts_lie_is_read_from_the_configuration(vault: VaultServer, tmp_path: Path) -> None:
    config = tmp_path / "rotator.toml"
    text = '[vault]\nreceipts_path = "/said/"\n[[target]]\nname = "media"\npath = "apps/media"\n'
    config.write_text(text)
    [place], _ = places_named(["media"], config)
    writer(vault, place, "web-1 endpoint").leave()
    assert len(receipts_in(session(vault).latest("secret", "said/apps/media")[0]).known) == 1
