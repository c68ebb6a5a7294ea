"""What is made of every kind of answer, and of none, over a real socket."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable

import pytest

from tests.contract.vault.answers import document, errors, login, token, told
from tests.contract.vault.conftest import CANARY, Connect, everything_told
from tests.wire import Step, Wire, answer, cut, drip, raw, reset, silence
from worker.adapters.vault.kv import VaultStore
from worker.errors import (
    VaultCasMismatch,
    VaultDenied,
    VaultError,
    VaultLoginFailed,
    VaultMountMissing,
    VaultNoLeader,
    VaultNotVersioned,
    VaultRefused,
    VaultSealed,
    VaultStandby,
    VaultTooLarge,
    VaultUnavailable,
)
from worker.secret import Secret

TOKEN = "hvs.CANARYCANARYCANARYCANARY"
HTML = {"Content-Type": "text/html"}
DENIED = "1 error occurred:\n\t* permission denied\n\n"


def written(answered: Step, connected: Connect, deadline: float = 30.0) -> object:
    """What a write with a canary in it comes to when this is the answer."""
    with Wire(token(), answered) as wire:
        store = connected(wire.url, token=Secret(TOKEN), deadline=deadline)
        return store.write("app", {"secret_key": CANARY}, 4)


@pytest.mark.parametrize(
    ("answered", "error"),
    [
        (errors(400, "check-and-set parameter did not match the current version"), VaultCasMismatch),
        (errors(400, "check-and-set parameter required for this call"), VaultRefused),
        (errors(403, DENIED), VaultDenied),  # the same to the token's lookup of itself that follows
        (errors(403, "permission denied"), VaultLoginFailed),  # and this
        (errors(404, 'no handler for route "secret/data/app". route entry not found.'), VaultMountMissing),
        (errors(400, "Upgrading from non-versioned to versioned data. This backend will ..."), VaultUnavailable),
        (errors(404, "namespace not found"), VaultRefused),
        (errors(405, "unsupported operation"), VaultRefused),
        (errors(412, "required index state not present"), VaultRefused),
        (errors(413, "http: request body too large"), VaultTooLarge),
        (errors(500, "local node not active but active cluster node not found"), VaultNoLeader),
        (errors(472), VaultStandby),
        (errors(473), VaultStandby),
        (answer(301, headers={"Location": "https://127.0.0.1:1/"}), VaultStandby),
        (answer(307, headers={"Location": "https://127.0.0.1:1/"}), VaultStandby),
        (errors(500, "internal error"), VaultUnavailable),
        (errors(501, "Vault is not initialized"), VaultSealed),
        (errors(502, "bad gateway"), VaultUnavailable),
        (errors(503, "Vault is sealed"), VaultSealed),
        (errors(503, "something else"), VaultUnavailable),
        (answer(204), VaultNotVersioned),
        (answer(403, b"<html>no</html>", HTML), VaultUnavailable),
        (answer(404, b"<html>default backend</html>", HTML), VaultUnavailable),
        (told({"message": "no Route matched"}, 404), VaultUnavailable),
        (answer(400, b"Client sent an HTTP request to an HTTPS server."), VaultUnavailable),
        (answer(502, b"<html>Bad gateway</html>", HTML), VaultUnavailable),
        (answer(503, b"<html>sealed</html>", HTML), VaultUnavailable),
        (answer(200, b"<html>Welcome</html>", HTML), VaultUnavailable),
        (answer(200), VaultUnavailable),
        (answer(200, b'{"data": {"version": 5'), VaultUnavailable),
        (answer(200, b"\xff\xfe\x00"), VaultUnavailable),
        (answer(200, b"[" * 100_000), VaultUnavailable),
        (answer(200, b"[]"), VaultUnavailable),
        (told({}), VaultUnavailable),
        (told({"data": None}), VaultUnavailable),
        (told({"data": []}), VaultUnavailable),
        (told({"data": {}}), VaultUnavailable),
        (told({"data": {"version": "5"}}), VaultUnavailable),
        (told({"data": {"version": True}}), VaultUnavailable),
        (told({"data": {"version": -1}}), VaultUnavailable),
        (told({"errors": "no list"}, 400), VaultUnavailable),
        (told({"errors": [{"no": "text"}]}, 400), VaultUnavailable),
        (cut(b""), VaultUnavailable),
        (cut(b"HTTP/1.1 200 OK\r\nContent-Le"), VaultUnavailable),
        (cut(raw(200, b'{"data": {"version": 5}}')[:-3]), VaultUnavailable),
        (cut(b"garbage\r\n\r\n"), VaultUnavailable),
        (reset(), VaultUnavailable),
    ],
)
def test_each_answer_to_a_write_has_its_error(answered: Step, error: type[VaultError], connected: Connect) -> None:
    with pytest.raises(VaultError) as caught:
        written(answered, connected)
    assert type(caught.value) is error
    assert caught.value.hint
    known = everything_told(caught.value)
    assert CANARY not in known
    assert TOKEN not in known
    assert "<html>" not in known


def test_a_whole_answer_is_a_written_version(connected: Connect) -> None:
    told_version = told({"request_id": "r-1", "data": {"version": 5, "created_time": "", "destroyed": False}})
    assert str(written(told_version, connected)) == "Written(version=5, vault_request_id='r-1')"


def test_a_success_that_cannot_be_read_may_have_been_one(connected: Connect) -> None:
    for garbage in (b"<html>", b'{"data": {}}'):
        with pytest.raises(VaultUnavailable, match="may have been done"):
            written(answer(200, garbage), connected)


@pytest.mark.parametrize(
    "late", [silence(), drip(raw(200, b'{"data": {"version": 5}}'), 0.05)], ids=["silent", "drips"]
)
def test_the_deadline_holds_for_the_call_as_a_whole(late: Step, connected: Connect) -> None:
    with pytest.raises(VaultUnavailable, match="no whole response in time; it may have been done"):
        written(late, connected, deadline=0.7)


def test_the_deadline_holds_for_login_and_call_together(connected: Connect) -> None:
    slow_token = drip(raw(200, json.dumps({"data": {"ttl": 0}}).encode()), 0.005)
    with Wire(slow_token, drip(raw(200, b'{"data": {"version": 5}}'), 0.01)) as wire:
        store = connected(wire.url, token=Secret(TOKEN), deadline=0.9)
        with pytest.raises(VaultUnavailable, match="in time"):
            store.write("app", {}, 0)


def test_without_a_connection_nothing_was_sent(connected: Connect) -> None:
    with Wire(token()) as gone:
        address = gone.url
    with pytest.raises(VaultUnavailable, match="nothing was sent") as caught:
        connected(address, token=Secret(TOKEN)).write("app", {"secret_key": CANARY}, 0)
    assert "VAULT_ADDR" in caught.value.hint


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_neither_token_nor_secret_elsewhere(connected: Connect, status: int) -> None:
    with Wire(document()) as elsewhere:
        moved = answer(status, headers={"Location": f"{elsewhere.url}/v1/secret/data/app"})
        asks: tuple[Callable[[VaultStore], object], ...] = (
            lambda store: store.write("app", {"secret_key": CANARY}, 0),
            lambda store: store.read("app"),
        )
        for ask in asks:
            with Wire(token(), moved) as wire, pytest.raises(VaultStandby) as caught:
                ask(connected(wire.url, token=Secret(TOKEN)))
            assert "VAULT_ADDR" in caught.value.hint
        with Wire(moved) as wire, pytest.raises(VaultStandby):
            connected(wire.url, role_id="role", secret_id=Secret(CANARY)).read("app")
        assert elsewhere.heard == []


def test_every_call_says_who_asks_and_in_which_namespace(connected: Connect) -> None:
    with Wire(login(TOKEN, 60), document()) as wire:
        store = connected(wire.url, role_id="role", secret_id=Secret("s"), namespace="team/a")
        store.read("app")
        assert [heard.headers.get("x-vault-namespace") for heard in wire.heard] == ["team/a", "team/a"]
        assert [heard.headers.get("x-vault-token") for heard in wire.heard] == [None, TOKEN]
        assert {heard.headers.get("x-vault-request") for heard in wire.heard} == {"true"}
        wire.script(told({"initialized": True, "sealed": True, "standby": True, "version": "1.21.4"}, 503))
        assert store.health().sealed
        assert not {"x-vault-namespace", "x-vault-token"} & wire.heard[0].headers.keys()


def test_a_list_is_asked_for_with_a_method_that_gateways_know(connected: Connect) -> None:
    with Wire(token(), told({"data": {"keys": ["a", "b/"]}})) as wire:
        assert connected(wire.url, token=Secret(TOKEN)).list("folder") == ("a", "b/")
        assert (wire.heard[-1].method, wire.heard[-1].target) == ("GET", "/v1/secret/metadata/folder?list=true")


def test_a_policys_no_is_a_denial_and_an_unknown_token_a_failed_login(connected: Connect) -> None:
    with Wire(token(), errors(403, DENIED), token()) as wire, pytest.raises(VaultDenied):
        connected(wire.url, token=Secret(TOKEN)).read("app")
    both = errors(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
    with Wire(token(), both) as wire, pytest.raises(VaultLoginFailed):
        connected(wire.url, token=Secret(TOKEN)).read("app")


@pytest.mark.parametrize(
    "text",
    [
        f"the token {TOKEN} is odd",
        "other tokens: s.ExKXqmnL33T4cB3F6yp4r0AI, b.AAAAAQLRxPgKrdDUgv",
        f"got {CANARY}",
        "598e8432-31a6-c63c-ac7b-7dc64878a438 is used up",
    ],
)
def test_vaults_words_are_quoted_without_what_may_be_secret(connected: Connect, text: str) -> None:
    with pytest.raises(VaultRefused, match=r"status 400\): .*\*\*\*") as caught:
        written(errors(400, text), connected)
    known = everything_told(caught.value)
    for secret in (TOKEN, CANARY, "ExKXqmnL33T4cB3F6yp4r0AI", "AAAAAQLRxPgKrdDUgv", "598e8432"):
        assert secret not in known


def test_long_words_are_not_quoted(connected: Connect) -> None:
    with pytest.raises(VaultRefused) as caught:
        written(errors(400, "x" * 1000), connected)
    assert "xxx" not in everything_told(caught.value)


def test_a_403_of_a_proxys_is_no_reason_to_log_in_again(connected: Connect) -> None:
    with Wire(login(TOKEN, 60), answer(403, b"<html>no</html>", HTML)) as wire:
        with pytest.raises(VaultUnavailable):
            connected(wire.url, role_id="role", secret_id=Secret("s")).read("app")
        assert len(wire.heard) == 2


@pytest.mark.parametrize(("answered", "error"), [(errors(400), VaultRefused), (errors(500), VaultUnavailable)])
def test_only_a_404_without_a_message_is_a_missing_document(
    answered: Step, error: type[VaultError], connected: Connect
) -> None:
    with Wire(token(), answered) as wire, pytest.raises(error):
        connected(wire.url, token=Secret(TOKEN)).read("app")


READS: list[tuple[Callable[[VaultStore], object], Step]] = [
    (lambda store: store.read("app"), told({"data": {"data": [CANARY], "metadata": {"version": 1}}})),
    (lambda store: store.read("app"), told({"data": {"data": {}, "metadata": {"version": None}}})),
    (lambda store: store.read("app"), told({"data": {"data": None, "metadata": {}}}, 404)),
    (lambda store: store.list("app"), told({"data": {"keys": [1]}})),
    (lambda store: store.list("app"), told({"data": {"keys": CANARY}})),
    (lambda store: store.missing_capabilities({}), told({"data": None})),
    (lambda store: store.check(), told({"data": {"ttl": "1h"}})),
]


@pytest.mark.parametrize(("ask", "answered"), READS)
def test_answers_of_the_wrong_shape_are_unreadable(
    ask: Callable[[VaultStore], object], answered: Step, connected: Connect
) -> None:
    with Wire(token(), answered) as wire, pytest.raises(VaultUnavailable) as caught:
        ask(connected(wire.url, token=Secret(TOKEN)))
    assert CANARY not in everything_told(caught.value)


@pytest.mark.parametrize(
    "answered", [told({"sealed": "no"}), answer(502, b"<html>", HTML), answer(200, b"true"), answer(204)]
)
def test_a_health_that_cannot_be_read(answered: Step, connected: Connect) -> None:
    with Wire(answered) as wire, pytest.raises(VaultUnavailable):
        connected(wire.url).health()


@pytest.mark.parametrize("unit", [b"{},", b"[],", b'{"":{}},', b"0,"])
def test_an_answer_of_millions_of_values_takes_no_memory(unit: bytes, connected: Connect) -> None:
    body = b'{"data":{"keys":[' + unit * (4_000_000 // len(unit)) + b'""]}}'
    with Wire(token(), answer(200, body)) as wire:
        store = connected(wire.url, token=Secret(TOKEN))
        tracemalloc.start()
        try:
            with pytest.raises(VaultUnavailable, match="cannot be read"):
                store.list("app")
            assert tracemalloc.get_traced_memory()[1] < 40_000_000
        finally:
            tracemalloc.stop()


def test_an_answer_without_a_time_or_a_request_id_is_still_a_document(connected: Connect) -> None:
    for time in (None, "soon", "2026-11-24T07:25:49", 5):
        odd = told({"data": {"data": {"n": 1}, "metadata": {"version": 1, "created_time": time}}})
        with Wire(token(), odd) as wire:
            found = connected(wire.url, token=Secret(TOKEN)).read("app")
        assert (found.data, found.created_at, found.vault_request_id) == ({"n": 1}, None, None)
