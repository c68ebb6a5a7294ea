"""Ways to a token, on a real server: given, from a file, by AppRole with a plain or a wrapped secret_id."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.contract.vault.answers import document, errors, login, token
from tests.contract.vault.conftest import ANYTHING, CANARY, Connect, Role, everything_told
from tests.servers import wait_until
from tests.wire import Step, Wire, silence
from worker.adapters.http.trust import TlsFiles
from worker.adapters.vault.kv import VaultAccess, VaultStore, connect
from worker.clock import SystemClock
from worker.errors import ConfigurationError, VaultLoginFailed
from worker.secret import Secret

MakeRole = Callable[..., Role]


def new_token(root: Any, **settings: Any) -> tuple[str, str]:
    """A token that may do anything, and its accessor."""
    auth = root.auth.token.create(policies=["root"], **settings)["auth"]
    return auth["client_token"], auth["accessor"]


def approle(connected: Connect, role: Role, **access: Any) -> VaultStore:
    if "secret_id" not in access:
        access["secret_id"] = Secret(role.secret_id())
    return connected(role_id=role.role_id, **access)


def test_a_given_token_and_what_is_known_of_it(connected: Connect, root: Any) -> None:
    token, accessor = new_token(root, ttl="1h")
    facts = connected(token=Secret(token)).check()
    assert (facts.method, facts.accessor, facts.policies, facts.renewable) == ("token", accessor, ("root",), True)
    assert facts.ttl is not None
    assert 3500 < facts.ttl <= 3600


def test_a_token_that_vault_does_not_know_is_a_failed_login(connected: Connect, root: Any, path: str) -> None:
    token, accessor = new_token(root)
    known = connected(token=Secret(token))
    known.read(path)
    root.auth.token.revoke_accessor(accessor)
    for store in (known, connected(token=Secret(token))):
        with pytest.raises(VaultLoginFailed, match="does not know the token") as caught:
            store.read(path)
        assert token not in everything_told(caught.value)


@pytest.mark.parametrize("bad", ["", "two words", "two\nlines", "tökén", "x" * 9000])
def test_what_cannot_be_a_token_is_not_sent(connected: Connect, path: str, bad: str) -> None:
    with pytest.raises(VaultLoginFailed, match="holds no Vault token") as caught:
        connected(token=Secret(bad)).read(path)
    assert not bad or bad not in everything_told(caught.value)


def test_approle_with_a_plain_secret_id(connected: Connect, role: MakeRole, path: str) -> None:
    made = role(ANYTHING, token_ttl="1h")
    store = approle(connected, made)
    store.write(path, {"n": 1}, 0)
    facts = store.check()
    assert (facts.method, facts.policies, facts.renewable) == ("AppRole", ("default", made.name), True)


def test_a_revoked_token_is_replaced_by_a_new_login(connected: Connect, role: MakeRole, root: Any, path: str) -> None:
    store = approle(connected, role(ANYTHING))
    before = store.check().accessor
    root.auth.token.revoke_accessor(before)
    store.write(path, {"n": 1}, 0)
    assert store.read(path).version == 1
    assert store.check().accessor not in (None, before)


def test_a_token_that_ended_while_the_worker_idled_is_replaced(
    connected: Connect, role: MakeRole, root: Any, path: str
) -> None:
    store = approle(connected, role(ANYTHING, token_ttl="1s", token_max_ttl="1s"))
    ended = store.check().accessor
    wait_until(lambda: ended not in root.auth.token.list_accessors()["data"]["keys"], "the token ends")
    assert store.read(path).version == 0


@pytest.mark.parametrize("said", [{"secret_id_wrapped": True}, {}], ids=["said to be", "found out"])
def test_a_wrapped_secret_id_is_opened_once_and_serves_every_later_login(
    connected: Connect, role: MakeRole, root: Any, path: str, said: dict[str, bool]
) -> None:
    made = role(ANYTHING)
    store = approle(connected, made, secret_id=Secret(made.wrapped_secret_id()), **said)
    for _ in range(3):
        assert store.read(path).version == 0
        root.auth.token.revoke_accessor(store.check().accessor)
    assert store.read(path).version == 0


def test_a_wrapped_secret_id_that_was_opened_before_is_an_alarm(connected: Connect, role: MakeRole, path: str) -> None:
    made = role(ANYTHING)
    wrapped = made.wrapped_secret_id()
    assert approle(connected, made, secret_id=Secret(wrapped), secret_id_wrapped=True).read(path).version == 0
    with pytest.raises(VaultLoginFailed, match="somebody else may have opened it") as caught:
        approle(connected, made, secret_id=Secret(wrapped), secret_id_wrapped=True).read(path)
    assert "alarm" in caught.value.hint
    assert wrapped not in everything_told(caught.value)


def test_one_that_was_opened_before_and_is_not_said_to_be_wrapped_fails_with_a_hint(
    connected: Connect, role: MakeRole, path: str
) -> None:
    made = role(ANYTHING)
    wrapped = made.wrapped_secret_id()
    approle(connected, made, secret_id=Secret(wrapped)).read(path)
    with pytest.raises(VaultLoginFailed, match="refused the AppRole login") as caught:
        approle(connected, made, secret_id=Secret(wrapped)).read(path)
    assert "wrapping token that was opened before" in caught.value.hint


def test_a_wrapping_token_that_somebody_swapped_is_not_opened(
    connected: Connect, role: MakeRole, root: Any, path: str
) -> None:
    made = role(ANYTHING)
    swapped = root.sys.wrap({"secret_id": made.secret_id()}, ttl=300)["wrap_info"]["token"]
    with pytest.raises(VaultLoginFailed, match="swapped"):
        approle(connected, made, secret_id=Secret(swapped), secret_id_wrapped=True).read(path)
    assert root.sys.unwrap(swapped)["data"]["secret_id"]


def test_a_secret_id_of_ones_own_that_looks_like_a_token_is_used_as_it_is(
    connected: Connect, role: MakeRole, root: Any, path: str
) -> None:
    made = role(ANYTHING)
    own = f"s.{uuid.uuid4().hex}"
    root.auth.approle.create_custom_secret_id(made.name, own)
    assert approle(connected, made, secret_id=Secret(own)).read(path).version == 0


def test_a_wrong_secret_id_and_a_wrong_mount_of_approle(connected: Connect, role: MakeRole, path: str) -> None:
    made = role(ANYTHING)
    for access in ({"secret_id": Secret(CANARY)}, {"approle_mount": "elsewhere"}, {"secret_id": None}):
        with pytest.raises(VaultLoginFailed, match="refused the AppRole login") as caught:
            approle(connected, made, **access).read(path)
        assert "VAULT_SECRET_ID" in caught.value.hint
        assert CANARY not in everything_told(caught.value)
        assert made.role_id not in everything_told(caught.value)


def test_a_role_that_needs_no_secret_id(connected: Connect, role: MakeRole, path: str) -> None:
    made = role(ANYTHING, bind_secret_id=False, token_bound_cidrs=["127.0.0.1/32"])
    assert approle(connected, made, secret_id=None).read(path).version == 0


def test_a_token_file_is_read_again_when_it_was_rewritten(connected: Connect, root: Any, tmp_path: Path) -> None:
    first, second = new_token(root), new_token(root)
    file = tmp_path / "token"
    file.write_text(first[0] + "\n")
    store = connected(token_file=file)
    assert store.check().accessor == first[1]
    (tmp_path / "new").write_text(second[0])
    (tmp_path / "new").rename(file)
    assert store.check().accessor == second[1]


def test_a_token_file_is_read_again_on_a_403(connected: Connect, root: Any, tmp_path: Path, path: str) -> None:
    first, second = new_token(root), new_token(root)
    file = tmp_path / "token"
    file.write_text(first[0])
    os.utime(file, (1, 1))
    store = connected(token_file=file)
    assert store.check().accessor == first[1]
    file.write_text(second[0])
    os.utime(file, (1, 1))  # nothing of the file tells that it is another one
    root.auth.token.revoke_accessor(first[1])
    assert store.read(path).version == 0
    assert store.check().accessor == second[1]


def test_a_token_file_caught_in_the_middle_does_not_stop_the_work(
    connected: Connect, root: Any, tmp_path: Path, path: str
) -> None:
    token, accessor = new_token(root)
    file = tmp_path / "token"
    file.write_text(token)
    store = connected(token_file=file)
    store.read(path)
    file.write_text("")
    assert store.read(path).version == 0
    file.write_text("two words")
    with pytest.raises(VaultLoginFailed, match="holds no Vault token"):
        store.keep_alive()
    file.unlink()
    assert store.read(path).version == 0
    with pytest.raises(VaultLoginFailed, match="cannot be read"):
        store.keep_alive()
    store.keep_alive()
    root.auth.token.revoke_accessor(accessor)
    with pytest.raises(VaultLoginFailed, match=str(file)):
        store.read(path)


def test_a_token_file_that_is_not_there(connected: Connect, tmp_path: Path, path: str) -> None:
    with pytest.raises(VaultLoginFailed, match="cannot be read") as caught:
        connected(token_file=tmp_path / "none").read(path)
    assert "VAULT_TOKEN_FILE" in caught.value.hint


def test_settings_that_cannot_work_are_told_before_any_call(connected: Connect, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    cases: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("http://vault.example.com:8200", {}, "VAULT_ADDR"),
        ("https://127.0.0.1:1", {"tls": TlsFiles(str(tmp_path / "none.pem"))}, "VAULT_CACERT"),
        ("https://127.0.0.1:1", {"tls": TlsFiles(str(tmp_path / "empty.pem"))}, "VAULT_CACERT"),
        ("https://127.0.0.1:1", {"token": None}, "no way to log in"),
        ("https://127.0.0.1:1", {"mount": "a/../b"}, "vault.mount"),
        ("https://127.0.0.1:1", {"namespace": "tëam"}, "VAULT_NAMESPACE"),
    )
    for address, access, named in cases:
        with pytest.raises(ConfigurationError, match=named):
            connected(address, **access)


def test_a_renewed_secret_id_is_read_from_its_file(
    connected: Connect, role: MakeRole, root: Any, tmp_path: Path, path: str
) -> None:
    made, file = role(ANYTHING, secret_id_num_uses=1), tmp_path / "secret_id"
    file.write_text(f"{made.secret_id()}\n")
    store = approle(connected, made, secret_id=None, secret_id_file=file)
    before = store.check().accessor
    file.write_text(made.secret_id())
    after = store.check().accessor
    assert after not in (None, before)
    root.auth.token.revoke_accessor(after)
    with pytest.raises(VaultLoginFailed, match="refused the AppRole login"):
        store.read(path)  # that one is used up as well
    file.write_text(made.secret_id())
    assert store.read(path).version == 0


def test_a_new_wrapped_secret_id_is_opened_when_its_file_changes(
    connected: Connect, role: MakeRole, root: Any, tmp_path: Path, path: str
) -> None:
    made, file = role(ANYTHING), tmp_path / "secret_id"
    file.write_text(made.wrapped_secret_id())
    store = approle(connected, made, secret_id=None, secret_id_file=file, secret_id_wrapped=True)
    first = store.check().accessor
    root.auth.token.revoke_accessor(first)
    second = store.check().accessor  # by the one that was opened before
    file.write_text(made.wrapped_secret_id())
    assert len({first, second, store.check().accessor}) == 3
    assert store.read(path).version == 0


@pytest.mark.parametrize("content", ["", "two words\n", "ünï", None])
def test_a_secret_id_file_that_holds_none_stops_nothing(
    connected: Connect, role: MakeRole, root: Any, tmp_path: Path, path: str, content: str | None
) -> None:
    made, file = role(ANYTHING, token_ttl="1h"), tmp_path / "secret_id"
    file.write_text(made.secret_id())
    store = approle(connected, made, secret_id=None, secret_id_file=file)
    store.write(path, {"n": 1}, 0)
    file.unlink()
    if content is not None:
        file.write_text(content)
    with capture_logs() as logs:
        assert store.read(path).version == 1
        store.keep_alive()
        root.auth.token.revoke_accessor(store.check().accessor)
        assert store.read(path).version == 1  # by the last one that was good
    assert [log["event"] for log in logs] == ["credential.kept"]
    assert "VAULT_SECRET_ID_FILE" in logs[0]["error"]


def test_a_renewed_role_id_is_read_from_its_file(
    connected: Connect, role: MakeRole, root: Any, tmp_path: Path, path: str
) -> None:
    """As when somebody made the role anew."""
    settings: dict[str, Any] = {"bind_secret_id": False, "token_bound_cidrs": ["127.0.0.1/32"]}
    first, second = role(ANYTHING, **settings), role(ANYTHING, **settings)
    file = tmp_path / "role_id"
    file.write_text(first.role_id)
    store = connected(role_id=first.role_id, role_id_file=file)
    store.write(path, {"n": 1}, 0)
    assert root.auth.token.lookup_accessor(store.check().accessor)["data"]["meta"]["role_name"] == first.name
    root.auth.approle.delete_role(first.name)
    file.write_text(second.role_id)
    assert store.read(path).version == 1
    assert root.auth.token.lookup_accessor(store.check().accessor)["data"]["meta"]["role_name"] == second.name


def test_what_is_read_from_files_is_told_to_the_redaction(
    connected: Connect, role: MakeRole, root: Any, tmp_path: Path, path: str
) -> None:
    seen: list[Secret] = []
    made, secret_id, token = role(ANYTHING), tmp_path / "secret_id", tmp_path / "token"
    secret_id.write_text(made.secret_id())
    approle(connected, made, secret_id=None, secret_id_file=secret_id, on_new=seen.append).read(path)
    token.write_text(new_token(root)[0])
    connected(token_file=token, on_new=seen.append).read(path)
    assert seen == [Secret(secret_id.read_text()), Secret(token.read_text())]


def test_a_token_of_approle_is_revoked_at_the_end(connected: Connect, role: MakeRole, root: Any, path: str) -> None:
    store = approle(connected, role(ANYTHING, token_ttl="1h"))
    store.read(path)
    accessor = store.check().accessor
    assert root.auth.token.lookup_accessor(accessor)["data"]["accessor"] == accessor
    store.leave()
    with pytest.raises(Exception, match=r"invalid accessor|not found|permission denied"):
        root.auth.token.lookup_accessor(accessor)
    store.leave()  # there is nothing left to revoke


def test_a_token_that_was_handed_over_is_never_revoked(connected: Connect, root: Any, tmp_path: Path) -> None:
    token, accessor = new_token(root, ttl="1h")
    file = tmp_path / "token"
    file.write_text(token)
    for store in (connected(token=Secret(token)), connected(token_file=file)):
        store.check()
        store.close()
    assert root.auth.token.lookup_accessor(accessor)["data"]["accessor"] == accessor


def test_an_end_without_vault_is_no_error_and_takes_no_time() -> None:
    with Wire(login("hvs.x", 60), document(), silence()) as wire:
        access = VaultAccess(wire.url, role_id="role", secret_id=Secret("s"))
        store = connect(access, "secret", SystemClock(), deadline=30)
        store.read("app")
        since = time.monotonic()
        store.close()
        assert time.monotonic() - since < 10
        assert wire.heard[-1].target == "/v1/auth/token/revoke-self"


@pytest.mark.parametrize(
    "dead",
    [
        errors(403, "permission denied"),
        errors(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"),
        errors(403, "1 error occurred:\n\t* invalid token\n\n"),
        errors(400, "invalid token"),
        errors(400, "1 error occurred:\n\t* invalid token\n\n"),
    ],
)
def test_a_dead_token_in_all_its_words_leads_to_one_new_login(connected: Connect, dead: Step) -> None:
    with Wire(login("hvs.x", 60), dead, dead, login("hvs.y", 60), document()) as wire:
        store = connected(wire.url, role_id="role", secret_id=Secret("s"))
        assert store.read("app").version == 1
        logins = [heard for heard in wire.heard if heard.target.endswith("/login")]
        assert len(logins) == 2


def test_a_given_token_that_is_used_up_is_named(connected: Connect) -> None:
    with Wire(token(), errors(400, "invalid token")) as wire, pytest.raises(VaultLoginFailed) as caught:
        connected(wire.url, token=Secret("s")).read("app")
    assert caught.value.hint
