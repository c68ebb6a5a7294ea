"""Botocore credentials that follow a secret: a key that is refused is looked for at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace

import pytest
from botocore.session import Session

from tests.sandbox import wait_until
from worker.credentials.botocore import BETWEEN_REFUSALS, FreshCredentials
from worker.credentials.environment import Place
from worker.errors import VaultSealed

LONG = 60.0
DEAD = "InvalidAccessKeyId"
PLACE = Place("a", "secret", "a")


@dataclass
class Vault:
    """What lies in Vault; a look waits where ``held``, and tells what was there when it began."""

    access_key: str = "OLD"
    sealed: bool = False
    looks: int = 0
    held: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.held.set()

    def read(self, _mount: str, _path: str) -> tuple[dict[str, object], int]:
        self.looks += 1
        found = self.access_key
        assert self.held.wait(LONG)
        if self.sealed:
            raise VaultSealed("sealed", hint="")
        return {"access_key": found, "secret_key": "SK"}, self.looks


def refusal(code: str) -> tuple[object, object]:
    return SimpleNamespace(status_code=403), {"Error": {"Code": code}}


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def fresh(vault: Vault) -> FreshCredentials:
    made = FreshCredentials(vault.read, PLACE, timedelta(hours=1))
    assert made.get_frozen_credentials().access_key == "OLD"
    return made


@pytest.mark.parametrize("code", [DEAD, "AccessDenied", "403", "SignatureDoesNotMatch"])
def test_a_refused_key_is_looked_for_at_once_however_short_ago_a_look_was(
    vault: Vault, fresh: FreshCredentials, code: str
) -> None:
    vault.access_key = "NEW"
    assert fresh.retry_if_refused(response=refusal(code)) == 0
    assert fresh.get_frozen_credentials().access_key == "NEW"
    vault.access_key = "NEWER"  # leaked as well, within the same second
    assert fresh.retry_if_refused(response=refusal(code)) == 0, "another key, another look"


@pytest.mark.parametrize("response", [None, (None, None), refusal("NoSuchKey"), refusal("SlowDown")])
def test_what_is_no_refusal_is_left_to_botocore(
    vault: Vault, fresh: FreshCredentials, response: tuple[object, object] | None
) -> None:
    vault.access_key = "NEW"
    assert fresh.retry_if_refused(response=response) is None
    assert fresh.key.access_key == "OLD"


def test_a_program_that_lacks_a_right_does_not_look_each_time(vault: Vault, fresh: FreshCredentials) -> None:
    before = vault.looks
    for _ in range(50):
        assert fresh.retry_if_refused(response=refusal("AccessDenied")) is None
    assert vault.looks <= before + 1 + 50 * BETWEEN_REFUSALS / LONG + 1


def test_a_key_that_is_surely_dead_is_looked_for_again_after_a_look_in_vain(
    vault: Vault, fresh: FreshCredentials
) -> None:
    assert fresh.retry_if_refused(response=refusal("AccessDenied")) is None
    vault.access_key = "NEW"
    assert fresh.retry_if_refused(response=refusal(DEAD)) == 0


def test_a_look_that_began_before_the_refusal_does_not_count(vault: Vault, fresh: FreshCredentials) -> None:
    with ThreadPoolExecutor(2) as pool:
        vault.held.clear()
        fresh.get_frozen_credentials()
        first = pool.submit(fresh.retry_if_refused, response=refusal(DEAD))
        assert first.result(LONG) is None, "this thread never used a key"

        def refused() -> object:
            fresh.get_frozen_credentials()
            return fresh.retry_if_refused(response=refusal(DEAD))

        before = vault.looks
        early = pool.submit(refused)
        wait_until(lambda: vault.looks > before, "a look under way")
        vault.access_key = "NEW"
        late = pool.submit(refused)
        vault.held.set()
        assert late.result(LONG) == 0
        assert early.result(LONG) in (0, None), "it looked before the new key was there"


def test_many_threads_with_one_dead_key_share_the_look(vault: Vault, fresh: FreshCredentials) -> None:
    vault.held.clear()
    before = vault.looks
    ready = threading.Barrier(8)

    def refused() -> object:
        fresh.get_frozen_credentials()
        ready.wait(LONG)
        return fresh.retry_if_refused(response=refusal("AccessDenied"))

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(refused) for _ in range(8)]
        wait_until(lambda: vault.looks > before, "a look under way")
        vault.access_key = "NEW"
        vault.held.set()
        for each in asked:
            each.result(LONG)
    assert vault.looks == before + 1


def test_while_vault_is_away_the_last_good_key_stays(vault: Vault, fresh: FreshCredentials) -> None:
    vault.sealed = True
    assert fresh.retry_if_refused(response=refusal(DEAD)) is None
    assert fresh.get_frozen_credentials().access_key == "OLD"
    vault.sealed, vault.access_key = False, "NEW"
    assert fresh.retry_if_refused(response=refusal(DEAD)) == 0


def test_a_session_of_ones_own_works_with_it(vault: Vault, fresh: FreshCredentials) -> None:
    from worker.credentials.botocore import _attached  # noqa: PLC0415 - without a Vault server

    inner = Session()
    _attached(inner, fresh)
    assert inner.get_credentials() is fresh
    vault.access_key = "NEW"
    assert 0 in [answer for _, answer in inner.emit("needs-retry.s3.ListBuckets", response=refusal(DEAD))]
