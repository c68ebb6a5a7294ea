"""An app with the real boto3 on the simulated object storage."""

from __future__ import annotations

from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.sandbox import send

WRONG = "wrong-secret"


class InChunks(S3SigV4Auth):
    """Signs a request whose body comes in chunks."""

    def payload(self, request: AWSRequest) -> str:  # noqa: ARG002 - of a method of botocore's
        return "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@pytest.fixture(scope="module")
def session() -> Any:
    return boto3.session.Session()


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


def test_a_part_of_an_object(session: Any, endpoint: str, key: dict[str, str]) -> None:
    s3 = client(session, endpoint, key["accessKey"], key["secretKey"])
    s3.create_bucket(Bucket="parts")
    s3.put_object(Bucket="parts", Key="k", Body=b"0123456789")

    for wanted, body, shown in [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=8-", b"89", "bytes 8-9/10"),
        ("bytes=0-99", b"0123456789", "bytes 0-9/10"),
    ]:
        found = s3.get_object(Bucket="parts", Key="k", Range=wanted)
        assert (found["Body"].read(), found["ContentRange"]) == (body, shown)
    with pytest.raises(ClientError, match="InvalidRange"):
        s3.get_object(Bucket="parts", Key="k", Range="bytes=10-")


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"3;chunk-signature=ab\r\nabc\r\n2\r\nde\r\n0\r\nx-amz-checksum-crc32:AA==\r\n\r\n", "abcde"),
        (b"3;chunk-signature=ab\r\nab", "IncompleteBody"),
        (b"no chunks at all", "IncompleteBody"),
    ],
)
def test_an_upload_in_chunks(session: Any, endpoint: str, key: dict[str, str], body: bytes, outcome: str) -> None:
    """As minio-go (and so restic) sends everything over http, and the SDKs streams."""
    s3 = client(session, endpoint, key["accessKey"], key["secretKey"])
    s3.create_bucket(Bucket="chunks")
    request = AWSRequest("PUT", f"{endpoint}/chunks/k")
    InChunks(Credentials(key["accessKey"], key["secretKey"]), "s3", "eu-north-1").add_auth(request)

    answer = send(endpoint, dict(request.headers.items()), "PUT", "/chunks/k", body)

    if answer.status_code == 200:
        assert s3.get_object(Bucket="chunks", Key="k")["Body"].read().decode() == outcome
    else:
        assert outcome in answer.text


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
