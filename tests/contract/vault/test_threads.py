"""One store, many threads."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.contract.vault.answers import document, login
from tests.contract.vault.conftest import ANYTHING, Connect, Role, SteppedClock
from tests.servers import wait_until
from tests.wire import Wire
from worker.adapters.http.deadline import within
from worker.adapters.vault.kv import VaultStore
from worker.adapters.vault.login import Login
from worker.adapters.vault.token import TokenKeeper
from worker.errors import VaultCasMismatch, VaultLoginFailed, VaultUnavailable
from worker.rotation.ports import Written
from worker.secret import Secret


def in_threads(count: int, run: Callable[[], object]) -> list[object]:
    """Run it in so many threads at once; an error takes the place of its result."""
    results: list[object] = []
    start = threading.Barrier(count)

    def one() -> None:
        start.wait()
        try:
            results.append(run())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def accessors(root: Any) -> set[str]:
    return set(root.auth.token.list_accessors()["data"]["keys"])


def test_of_many_writers_exactly_one_wins_each_version(store: VaultStore, path: str) -> None:
    for version in range(5):
        results = in_threads(8, partial(store.write, path, {"n": version}, version))
        assert sorted(type(result) is Written for result in results) == [False] * 7 + [True]
        assert sum(isinstance(result, VaultCasMismatch) for result in results) == 7
    assert store.read(path).version == 5


def test_many_threads_share_one_first_login_and_one_login_after_a_revocation(
    connected: Connect, role: Callable[..., Role], root: Any, path: str
) -> None:
    made = role(ANYTHING, token_ttl="1h")
    store = connected(role_id=made.role_id, secret_id=Secret(made.secret_id()))
    before = accessors(root)
    assert in_threads(8, lambda: store.read(path).version) == [0] * 8
    first = accessors(root) - before
    assert len(first) == 1
    root.auth.token.revoke_accessor(*first)
    assert in_threads(8, lambda: store.read(path).version) == [0] * 8
    assert len(accessors(root) - before) == 1


def test_while_one_thread_renews_the_others_work_on(connected: Connect, clock: SteppedClock) -> None:
    go_on = threading.Event()

    def late_renewal(line: socket.socket, ended: threading.Event) -> bool:
        go_on.wait(30)
        return login("s.first", 60)(line, ended)

    with Wire(login("s.first", 60), document()) as wire:
        store = connected(wire.url, role_id="role", secret_id=Secret("secret"))
        store.read("a")
        clock.seconds += 41
        wire.script(late_renewal, document(2))
        renewing = threading.Thread(target=store.keep_alive)
        renewing.start()
        try:
            wait_until(lambda: len(wire.heard) == 1, "the renewal is under way")
            assert store.read("a").version == 2
            assert renewing.is_alive()
        finally:
            go_on.set()
            renewing.join()


class SlowSource:
    """A login that takes its time."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def log_in(self) -> Login:
        self.asked.set()
        self.go_on.wait(30)
        raise VaultLoginFailed("refused at last")

    def changed(self) -> bool:
        return False


def test_a_refused_login_shows_as_a_token_that_has_ended(clock: SteppedClock) -> None:
    source = SlowSource()
    source.go_on.set()
    keeper = TokenKeeper(source, clock)
    assert keeper.ends_in() is None, "nobody has tried yet"
    with within(30), pytest.raises(VaultLoginFailed):
        keeper.current()
    assert keeper.ends_in() == 0


def test_who_waits_for_anothers_login_does_not_wait_longer_than_its_own_deadline(clock: SteppedClock) -> None:
    source = SlowSource()
    keeper = TokenKeeper(source, clock)

    def patient() -> None:
        with within(30), pytest.raises(VaultLoginFailed):
            keeper.current()

    thread = threading.Thread(target=patient)
    thread.start()
    try:
        assert source.asked.wait(30)
        with within(0.1), pytest.raises(VaultUnavailable, match="another thread is still logging in"):
            keeper.current()
    finally:
        source.go_on.set()
        thread.join()
