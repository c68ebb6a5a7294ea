"""The object storage as Ceph's gateway was measured (docs/facts.md), signed by the real botocore."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from defusedxml import ElementTree

from tests.sandbox import HostUp, send, signed
from worker.sandbox.simulator.server import Simulator

WRONG = "wrong-secret"


def ask(endpoint: str, headers: Mapping[str, str], method: str = "GET") -> tuple[int, str | None]:
    """Status and error code of one ``/``; every answer has the storage's own request id."""
    answer = send(endpoint, headers, method)
    assert answer.headers["x-amz-request-id"]
    code = ElementTree.fromstring(answer.text).findtext("Code") if answer.text else None
    return answer.status_code, code


def owner(endpoint: str, headers: Mapping[str, str]) -> str | None:
    answer = send(endpoint, headers)
    found: str | None = ElementTree.fromstring(answer.text).findtext("{*}Owner/{*}ID")
    return found


def test_a_living_key_lists_as_its_user(endpoint: str, key: dict[str, str]) -> None:
    headers = signed(endpoint, key["accessKey"], key["secretKey"])

    assert ask(endpoint, headers) == (200, None)
    assert owner(endpoint, headers) not in (None, "", "anonymous")


def test_without_authorization_it_lists_as_anonymous(endpoint: str) -> None:
    assert ask(endpoint, {}) == (200, None)
    assert owner(endpoint, {}) == "anonymous"


def test_any_region_in_the_scope_will_do(endpoint: str, key: dict[str, str]) -> None:
    assert ask(endpoint, signed(endpoint, key["accessKey"], key["secretKey"], "nowhere-1")) == (200, None)


@pytest.mark.parametrize("secret", [WRONG, ""])
def test_a_wrong_secret_shows_that_the_key_lives(endpoint: str, key: dict[str, str], secret: str) -> None:
    assert ask(endpoint, signed(endpoint, key["accessKey"], secret)) == (403, "SignatureDoesNotMatch")


def test_an_unknown_key(endpoint: str) -> None:
    assert ask(endpoint, signed(endpoint, "NEVERTHERE0000000000", WRONG)) == (403, "InvalidAccessKeyId")


def test_a_removed_key(hostup: HostUp, endpoint: str, key: dict[str, str]) -> None:
    assert hostup.delete(key["accessKey"]).status_code == 200

    for secret in (key["secretKey"], WRONG):
        assert ask(endpoint, signed(endpoint, key["accessKey"], secret)) == (403, "InvalidAccessKeyId")


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256 nonsense",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256",
        "Bearer token",
    ],
)
def test_a_malformed_authorization(endpoint: str, key: dict[str, str], authorization: str) -> None:
    headers = signed(endpoint, key["accessKey"], key["secretKey"]) | {"Authorization": authorization}

    assert ask(endpoint, headers) == (400, "InvalidArgument")


def test_the_hash_of_the_body_is_demanded(endpoint: str, key: dict[str, str]) -> None:
    headers = signed(endpoint, key["accessKey"], key["secretKey"])
    del headers["X-Amz-Content-SHA256"]

    assert ask(endpoint, headers) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("name", ["X-Amz-Date", "X-Amz-Content-SHA256"])
def test_what_was_signed_must_not_change(endpoint: str, key: dict[str, str], name: str) -> None:
    headers = signed(endpoint, key["accessKey"], key["secretKey"])
    changed = "UNSIGNED-PAYLOAD" if "SHA" in name else headers[name][:-2] + ("9Z" if headers[name][-2] != "9" else "8Z")

    assert ask(endpoint, headers | {name: changed}) == (403, "SignatureDoesNotMatch")


def test_head_has_no_code(endpoint: str, key: dict[str, str]) -> None:
    assert ask(endpoint, signed(endpoint, key["accessKey"], WRONG), "HEAD") == (403, None)


def test_a_signature_of_another_method(endpoint: str, key: dict[str, str]) -> None:
    assert ask(endpoint, signed(endpoint, key["accessKey"], key["secretKey"]), "POST") == (403, "SignatureDoesNotMatch")


def test_a_removed_key_that_was_busy_is_denied(
    simulator: Simulator, hostup: HostUp, endpoint: str, key: dict[str, str]
) -> None:
    headers = signed(endpoint, key["accessKey"], key["secretKey"])
    simulator.admin.behave(busy_calls=3, busy_window=60)
    for _ in range(3):
        assert ask(endpoint, headers) == (200, None)
    assert hostup.delete(key["accessKey"]).status_code == 200

    assert ask(endpoint, headers) == (403, "AccessDenied")
    assert ask(endpoint, signed(endpoint, key["accessKey"], WRONG)) == (403, "AccessDenied")

    simulator.admin.behave(busy_cache=0)
    assert ask(endpoint, headers) == (403, "InvalidAccessKeyId")


def test_a_key_that_may_not_list(simulator: Simulator, endpoint: str, key: dict[str, str]) -> None:
    simulator.admin.behave(may_list=False)

    assert ask(endpoint, signed(endpoint, key["accessKey"], key["secretKey"])) == (403, "AccessDenied")
    assert ask(endpoint, signed(endpoint, key["accessKey"], WRONG)) == (403, "SignatureDoesNotMatch")


def test_a_suspended_user(simulator: Simulator, endpoint: str, key: dict[str, str]) -> None:
    simulator.admin.behave(suspended=True)

    assert ask(endpoint, signed(endpoint, key["accessKey"], key["secretKey"])) == (403, "UserSuspended")
    assert ask(endpoint, signed(endpoint, key["accessKey"], WRONG)) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_off_is_told_before_the_key_is_looked_at(
    simulator: Simulator, endpoint: str, key: dict[str, str], minutes: int
) -> None:
    simulator.admin.behave(clock_offset=minutes * 60)

    for name in (key["accessKey"], "NEVERTHERE0000000000"):
        assert ask(endpoint, signed(endpoint, name, WRONG)) == (403, "RequestTimeTooSkewed")

    simulator.admin.behave(clock_offset=minutes * 60 * 14 / 16)
    assert ask(endpoint, signed(endpoint, key["accessKey"], key["secretKey"])) == (200, None)


def test_a_new_key_is_unknown_until_it_has_spread(simulator: Simulator, hostup: HostUp, endpoint: str) -> None:
    simulator.admin.behave(spread=3600)
    key = hostup.create()
    headers = signed(endpoint, key["accessKey"], key["secretKey"])

    assert ask(endpoint, headers) == (403, "InvalidAccessKeyId")

    simulator.admin.behave(spread=0)
    assert ask(endpoint, headers) == (200, None)


def test_a_deleted_key_lingers(simulator: Simulator, hostup: HostUp, endpoint: str, key: dict[str, str]) -> None:
    simulator.admin.behave(linger=3600)
    headers = signed(endpoint, key["accessKey"], key["secretKey"])
    assert hostup.delete(key["accessKey"]).status_code == 200

    assert ask(endpoint, headers) == (200, None)
    assert ask(endpoint, signed(endpoint, key["accessKey"], WRONG)) == (403, "SignatureDoesNotMatch")

    simulator.admin.behave(linger=0)
    assert ask(endpoint, headers) == (403, "InvalidAccessKeyId")
