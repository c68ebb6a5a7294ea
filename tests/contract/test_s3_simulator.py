"""The object storage as Ceph's gateway was measured (facts.md), with the real boto3 and botocore as clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import httpx
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from defusedxml import ElementTree

from tests.sandbox import HostUp, plain_client
from worker.sandbox.simulator import Simulator

WRONG = "wrong-secret"


@pytest.fixture(scope="module")
def session() -> Any:
    return boto3.session.Session()


@pytest.fixture
def endpoint(hostup: HostUp) -> str:
    url: str = hostup.status()["endpoint"]
    return url


@pytest.fixture
def key(hostup: HostUp) -> dict[str, str]:
    """A key that is not the last one."""
    hostup.create()
    return hostup.create()


def client(session: Any, endpoint: str, access_key: str, secret: str) -> Any:
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}, proxies={})
    return session.client(
        "s3",
        endpoint_url=endpoint,
        region_name="eu-north-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        config=config,
    )


def signed(endpoint: str, access_key: str, secret: str, region: str = "eu-north-1") -> dict[str, str]:
    request = AWSRequest("GET", f"{endpoint}/")
    S3SigV4Auth(Credentials(access_key, secret), "s3", region).add_auth(request)
    return dict(request.headers.items())


def send(
    endpoint: str, headers: Mapping[str, str], method: str = "GET", path: str = "/", body: bytes = b""
) -> httpx.Response:
    with plain_client(endpoint) as storage:
        return storage.request(method, path, headers=headers, content=body or None)


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


def test_an_app_can_work_with_a_key(session: Any, endpoint: str, key: dict[str, str]) -> None:
    s3 = client(session, endpoint, key["accessKey"], key["secretKey"])
    s3.create_bucket(Bucket="media")
    s3.head_bucket(Bucket="media")
    names = ["a b+c/ü&?=.txt", "a b+c/two", "other"]
    for name in names:
        s3.put_object(Bucket="media", Key=name, Body=name.encode(), ContentType="text/plain", Metadata={"who": "me"})

    found = s3.get_object(Bucket="media", Key=names[0])
    assert found["Body"].read() == names[0].encode()
    assert found["ContentType"] == "text/plain"
    assert found["Metadata"] == {"who": "me"}
    assert found["ETag"] == s3.head_object(Bucket="media", Key=names[0])["ETag"]

    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["media"]
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="media", Prefix="a b+c/")["Contents"]] == sorted(
        names[:2]
    )
    folders = s3.list_objects_v2(Bucket="media", Delimiter="/")
    assert [each["Prefix"] for each in folders["CommonPrefixes"]] == ["a b+c/"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="media", PaginationConfig={"PageSize": 1})
    assert [each["Key"] for page in pages for each in page["Contents"]] == sorted(names)

    for name in names:
        s3.delete_object(Bucket="media", Key=name)
    s3.delete_bucket(Bucket="media")
    assert s3.list_buckets()["Buckets"] == []


def test_a_large_object_comes_back_whole(session: Any, endpoint: str, key: dict[str, str]) -> None:
    s3 = client(session, endpoint, key["accessKey"], key["secretKey"])
    s3.create_bucket(Bucket="large")
    body = bytes(range(256)) * 8192

    s3.put_object(Bucket="large", Key="two-mebibytes", Body=body)

    assert s3.get_object(Bucket="large", Key="two-mebibytes")["Body"].read() == body


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("get_object", {"Bucket": "there", "Key": "missing"}, "NoSuchKey"),
        ("get_object", {"Bucket": "missing", "Key": "k"}, "NoSuchBucket"),
        ("put_object", {"Bucket": "missing", "Key": "k", "Body": b"x"}, "NoSuchBucket"),
        ("list_objects_v2", {"Bucket": "missing"}, "NoSuchBucket"),
        ("delete_bucket", {"Bucket": "there"}, "BucketNotEmpty"),
    ],
)
def test_what_is_missing(
    session: Any, endpoint: str, key: dict[str, str], operation: str, parameters: dict[str, Any], code: str
) -> None:
    s3 = client(session, endpoint, key["accessKey"], key["secretKey"])
    s3.create_bucket(Bucket="there")
    s3.put_object(Bucket="there", Key="present", Body=b"x")

    with pytest.raises(ClientError) as caught:
        getattr(s3, operation)(**parameters)

    assert caught.value.response["Error"]["Code"] == code


def test_without_a_right_signature_nothing_is_stored_or_read(session: Any, endpoint: str, key: dict[str, str]) -> None:
    s3 = client(session, endpoint, key["accessKey"], key["secretKey"])
    s3.create_bucket(Bucket="private")
    s3.put_object(Bucket="private", Key="k", Body=b"mine")

    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(session, endpoint, key["accessKey"], WRONG).put_object(Bucket="private", Key="k", Body=b"theirs")
    for method in ("GET", "PUT", "DELETE"):
        assert send(endpoint, {}, method, "/private/k").status_code == 403

    assert s3.get_object(Bucket="private", Key="k")["Body"].read() == b"mine"


def test_a_body_that_was_changed_on_the_way_is_refused(endpoint: str, key: dict[str, str]) -> None:
    request = AWSRequest("PUT", f"{endpoint}/changed", data=b"")
    S3SigV4Auth(Credentials(key["accessKey"], key["secretKey"]), "s3", "eu-north-1").add_auth(request)

    answer = send(endpoint, dict(request.headers.items()), "PUT", "/changed", b"changed")

    assert answer.status_code == 400
    assert "XAmzContentSHA256Mismatch" in answer.text
