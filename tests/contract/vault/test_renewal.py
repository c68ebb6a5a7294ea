"""A token is renewed when two thirds of its lease have passed, and replaced when that no longer helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.vault.answers import document, errors, login, token, told
from tests.contract.vault.conftest import ANYTHING, Connect, Role, SteppedClock
from tests.wire import Step, Wire, cut
from worker.adapters.vault.kv import VaultStore
from worker.errors import VaultDenied, VaultLoginFailed, VaultSealed, VaultUnavailable
from worker.secret import Secret


@pytest.fixture
def renewed(root: Any) -> Callable[[VaultStore], bool]:
    """Whether Vault has renewed the token that the store uses."""

    def look(store: VaultStore) -> bool:
        accessor = store.check().accessor
        return "last_renewal" in root.auth.token.lookup_accessor(accessor)["data"]

    return look


@pytest.fixture(params=["token", "AppRole"])
def brief(request: pytest.FixtureRequest, connected: Connect, role: Callable[..., Role], root: Any) -> VaultStore:
    """A store that is logged in with a token of 60 s."""
    if request.param == "token":
        store = connected(token=Secret(root.auth.token.create(ttl="60s")["auth"]["client_token"]))
    else:
        made = role(ANYTHING, token_ttl="60s")
        store = connected(role_id=made.role_id, secret_id=Secret(made.secret_id()))
    assert store.check().method == request.param
    return store


@pytest.mark.parametrize("use", [VaultStore.keep_alive, lambda store: store.read("a")], ids=["keep_alive", "a call"])
def test_a_token_is_renewed_after_two_thirds_of_its_lease_and_not_before(
    brief: VaultStore, clock: SteppedClock, renewed: Callable[[VaultStore], bool], use: Callable[[VaultStore], object]
) -> None:
    accessor = brief.check().accessor
    clock.seconds += 37
    use(brief)
    assert not renewed(brief)
    clock.seconds += 4
    use(brief)
    assert renewed(brief)
    assert brief.check().accessor == accessor


def test_keep_alive_calls_nothing_before_the_first_use(connected: Connect) -> None:
    connected("http://127.0.0.1:1").keep_alive()


def test_a_token_without_end_is_left_alone(connected: Connect, clock: SteppedClock, path: str) -> None:
    store = connected()
    store.read(path)
    clock.seconds += 1e9
    store.keep_alive()
    assert store.read(path).version == 0


def test_near_its_greatest_lifetime_an_approle_token_is_replaced(connected: Connect, clock: SteppedClock) -> None:
    with Wire(login("s.first", 60), document()) as wire:
        store = connected(wire.url, role_id="role", secret_id=Secret("secret"))
        store.read("a")
        wire.script(login("s.first", 19), login("s.second", 60), document())
        clock.seconds += 41
        store.read("a")
        assert [(heard.target, heard.headers.get("x-vault-token")) for heard in wire.heard] == [
            ("/v1/auth/token/renew-self", "s.first"),
            ("/v1/auth/approle/login", None),
            ("/v1/secret/data/a", "s.second"),
        ]


@pytest.mark.parametrize("refusal", [(), (errors(403, "permission denied"),)], ids=["not renewable", "refused"])
def test_a_token_that_will_end_works_on_while_keep_alive_says_so(
    connected: Connect, clock: SteppedClock, refusal: tuple[Step, ...]
) -> None:
    renewable = bool(refusal)
    with Wire(token(60, renewable=renewable), document()) as wire:
        store = connected(wire.url, token=Secret("s.given"))
        store.read("a")
        clock.seconds += 41
        left = token(19, creation_ttl=60, renewable=renewable)
        wire.script(*refusal, left, document())
        assert store.read("a").version == 1
        assert store.read("a").version == 1
        assert sum(heard.target.endswith("/data/a") for heard in wire.heard) == 2
        assert len(wire.heard) == 3 + len(refusal)
        with pytest.raises(VaultLoginFailed, match="ends in 19 s and cannot be renewed"):
            store.keep_alive()
        store.keep_alive()
        assert store.read("a").version == 1
        clock.seconds += 2
        wire.script(*refusal, left)
        with pytest.raises(VaultLoginFailed, match="ends in 19 s and cannot be renewed"):
            store.keep_alive()


def test_a_token_that_somebody_else_renews_is_good_news(connected: Connect, clock: SteppedClock) -> None:
    with Wire(token(60), document()) as wire:
        store = connected(wire.url, token=Secret("s.given"))
        store.read("a")
        clock.seconds += 41
        wire.script(token(59, creation_ttl=60))
        store.keep_alive()
        wire.script(document())
        clock.seconds += 20
        store.keep_alive()
        assert wire.heard == []


def test_while_vault_cannot_renew_the_token_works_on_until_its_end(connected: Connect, clock: SteppedClock) -> None:
    with Wire(login("s.first", 60), document()) as wire:
        store = connected(wire.url, role_id="role", secret_id=Secret("secret"))
        store.read("a")
        clock.seconds += 41
        wire.script(errors(503, "Vault is sealed"), document())
        assert store.read("a").version == 1
        with pytest.raises(VaultSealed):
            store.keep_alive()
        clock.seconds += 20
        wire.script(cut(b""))
        with pytest.raises(VaultUnavailable) as caught:
            store.read("a")
        assert caught.value.path == "auth/token/renew-self"
        wire.script(errors(403, "permission denied"), login("s.second", 60), document(7))
        assert store.read("a").version == 7


def test_a_denied_path_does_not_make_a_new_login_each_time(connected: Connect, clock: SteppedClock) -> None:
    denied = errors(403, "1 error occurred:\n\t* permission denied\n\n")
    with Wire(login("s.first", 3600), document()) as wire:
        store = connected(wire.url, role_id="role", secret_id=Secret("secret"))
        store.read("a")
        for _ in range(3):
            wire.script(denied, token(3600), denied)
            with pytest.raises(Exception, match="denied"):
                store.read("b")
            assert [heard.target for heard in wire.heard] == ["/v1/secret/data/b", "/v1/auth/token/lookup-self"]
        clock.seconds += 61
        wire.script(denied, login("s.second", 3600), document(9))
        assert store.read("b").version == 9


def test_a_refused_login_is_not_tried_again_at_once(connected: Connect, clock: SteppedClock) -> None:
    with Wire(errors(400, "invalid role or secret ID")) as wire:
        store = connected(wire.url, role_id="r-1", secret_id=Secret("s-1"))
        for _ in range(3):
            with pytest.raises(VaultLoginFailed, match="invalid role or secret ID"):
                store.read("a")
        assert len(wire.heard) == 1
        wire.script(login("s.first", 60), document(3))
        clock.seconds += 11
        assert store.read("a").version == 3


def test_a_new_token_is_renewed_in_its_own_time(connected: Connect, clock: SteppedClock) -> None:
    with Wire(login("s.first", 3600), document()) as wire:
        store = connected(wire.url, role_id="role", secret_id=Secret("secret"))
        store.read("a")
        clock.seconds += 2401
        unknown = errors(403, "permission denied")
        wire.script(errors(503, "Vault is sealed"), unknown, login("s.second", 60), document())
        store.read("a")
        clock.seconds += 41
        wire.script(login("s.second", 60), document())
        store.read("a")
        assert wire.heard[0].target == "/v1/auth/token/renew-self"


DENIED = errors(403, "1 error occurred:\n\t* permission denied\n\n")
GONE = told({}, 204)


def _logins(wire: Wire) -> int:
    return sum(heard.target.endswith("/login") for heard in wire.heard)


def _revoked(wire: Wire) -> list[str | None]:
    return [heard.headers.get("x-vault-token") for heard in wire.heard if heard.target.endswith("/revoke-self")]


def test_a_token_that_was_replaced_is_revoked_once_nobody_uses_it(connected: Connect, clock: SteppedClock) -> None:
    with Wire(login("s.first", 3600), document()) as wire:
        store = connected(wire.url, role_id="role", secret_id=Secret("secret"))
        store.read("a")
        clock.seconds += 61
        wire.script(DENIED, login("s.second", 3600), document(), GONE)
        store.read("b")
        store.keep_alive()
        assert _revoked(wire) == [], "another thread may be in a call with it"
        clock.seconds += 61
        for _ in range(2):
            store.keep_alive()
        assert _revoked(wire) == ["s.first"]
        store.leave()
        assert _revoked(wire) == ["s.first", "s.second"]


@pytest.mark.parametrize("says", [GONE, DENIED, cut(b"")], ids=["yes", "no", "nothing"])
def test_at_the_end_all_are_revoked_whatever_becomes_of_one(
    connected: Connect, clock: SteppedClock, says: Step
) -> None:
    with Wire(login("s.first", 3600), document()) as wire:
        store = connected(wire.url, role_id="role", secret_id=Secret("secret"))
        store.read("a")
        clock.seconds += 61
        wire.script(DENIED, login("s.second", 3600), document())
        store.read("b")
        wire.script(says)
        store.leave()
        assert set(_revoked(wire)) == {"s.first", "s.second"}


def test_on_a_real_server_one_token_is_left(
    connected: Connect, role: Callable[..., Role], root: Any, clock: SteppedClock, tmp_path: Path, path: str
) -> None:
    made, file = role(ANYTHING, token_ttl="1h"), tmp_path / "secret-id"
    file.write_text(made.secret_id())
    store = connected(role_id=made.role_id, secret_id_file=file)
    seen = [store.check().accessor]
    for _ in range(2):
        file.write_text(made.secret_id())
        store.read(path)
        seen.append(store.check().accessor)
    assert len(set(seen)) == 3
    clock.seconds += 61
    store.keep_alive()
    known = root.list("auth/token/accessors")["data"]["keys"]
    assert [accessor for accessor in seen if accessor in known] == seen[-1:]


def test_a_right_that_is_missing_for_good_costs_fewer_and_fewer_logins(connected: Connect, clock: SteppedClock) -> None:
    """A look each minute for a day, with a token of an hour."""
    with Wire(login("s.x", 10**6), document()) as wire:
        store = connected(wire.url, role_id="role", secret_id=Secret("secret"))
        store.read("a")
        made = []
        for _ in range(24 * 60):
            clock.seconds += 60
            wire.script(DENIED, login("s.x", 10**6), DENIED)
            with pytest.raises(VaultDenied):
                store.read("b")
            made.append(_logins(wire))
        assert 6 < sum(made) < 36


def test_a_right_that_comes_with_another_login_is_had_within_a_minute_again(
    connected: Connect, clock: SteppedClock
) -> None:
    with Wire(login("s.x", 10**6), document()) as wire:
        store = connected(wire.url, role_id="role", secret_id=Secret("secret"))
        store.read("a")
        for wait in (61, 121):
            clock.seconds += wait
            wire.script(DENIED, login("s.x", 10**6), DENIED)
            with pytest.raises(VaultDenied):
                store.read("b")
        for wait in (241, 61):
            clock.seconds += wait
            wire.script(DENIED, login("s.x", 10**6), document(9))
            assert store.read("b").version == 9
