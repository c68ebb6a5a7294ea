"""Keys in memory: one look for all who ask, one that begins after a wish, and an end that is seen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import pytest

from tests.servers import wait_until
from worker.credentials.environment import Place
from worker.credentials.keeper import Keeper
from worker.errors import CredentialsMissing, RotatorError, VaultSealed

LONG = 60.0
Found = tuple[dict[str, object], int]


@dataclass
class Slow:
    """Vault as a test wants it: each look waits until it is let go, and tells what was there when it began."""

    access_key: str = "AK1"
    error: Exception | None = None
    begun: int = 0
    goes: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def read(self, _mount: str, _path: str) -> Found:
        self.begun += 1
        found = self.access_key
        assert self.goes.acquire(timeout=LONG)
        if self.error:
            raise self.error
        return {"access_key": found, "secret_key": "SK"}, self.begun

    def has_begun(self, looks: int) -> bool:
        return self.begun == looks


@contextmanager
def _keeping(vault: Slow, broke: Callable[[], None] = lambda: None) -> Iterator[Keeper]:
    place = Place("a", "secret", "a")
    keeper = Keeper(vault.read, place, timedelta(hours=1), lambda _: None, on_change=lambda _: None, broke=broke)
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.end()
        vault.goes.release(9)


def test_one_look_serves_all_who_wait_for_it() -> None:
    vault = Slow()
    with ThreadPoolExecutor(20) as pool, _keeping(vault) as keeper:
        asked = [pool.submit(keeper.key, LONG) for _ in range(20)]
        wait_until(partial(vault.has_begun, 1), "the look has begun")
        vault.goes.release()
        assert {each.result(LONG).access_key for each in asked} == {"AK1"}
        assert vault.begun == 1


def test_one_more_look_serves_all_who_were_refused() -> None:
    vault = Slow()
    with ThreadPoolExecutor(20) as pool, _keeping(vault) as keeper:
        vault.goes.release()
        keeper.key(LONG)
        vault.access_key = "AK2"
        asked = [pool.submit(keeper.look_now, LONG) for _ in range(20)]
        vault.goes.release(9)
        assert {each.result(LONG).access_key for each in asked} == {"AK2"}
        assert vault.begun < 5, "a few may have come after the look had begun"


def test_who_was_refused_gets_what_was_there_after_that_and_not_what_a_look_before_it_finds() -> None:
    vault = Slow()
    with ThreadPoolExecutor(1) as pool, _keeping(vault) as keeper:
        wait_until(partial(vault.has_begun, 1), "a look is under way that sees the old key")
        vault.access_key = "AK2"
        waits = threading.Event()
        asked = pool.submit(_refused, keeper, waits)
        assert waits.wait(LONG)
        vault.goes.release()
        wait_until(partial(vault.has_begun, 2), "another look, for who was refused meanwhile")
        assert not asked.done()
        vault.goes.release()
        assert asked.result(LONG) == "AK2"


def _refused(keeper: Keeper, waits: threading.Event) -> str:
    waits.set()
    return keeper.look_now(LONG).access_key


def test_what_is_wrong_with_vault_is_told_to_who_asks_and_the_last_good_key_stays() -> None:
    vault = Slow(error=CredentialsMissing("there is none"))
    vault.goes.release(9)
    with _keeping(vault) as keeper:
        with pytest.raises(CredentialsMissing):
            keeper.key(LONG)
        vault.error = None
        assert keeper.look_now(LONG).access_key == "AK1"
        vault.error = VaultSealed("Vault is sealed")
        assert keeper.look_now(LONG).access_key == "AK1"


def test_who_waits_for_longer_than_told_is_told() -> None:
    with _keeping(Slow()) as keeper, pytest.raises(RotatorError, match="has not answered yet"):
        keeper.key(0.01)


@pytest.mark.parametrize("error", [RuntimeError("nobody thought of it"), SystemExit()])
def test_an_error_that_nobody_thought_of_is_not_silent(error: Exception) -> None:
    vault, broke = Slow(error=error), threading.Event()
    vault.goes.release()
    with _keeping(vault, broke.set):
        assert broke.wait(LONG)
