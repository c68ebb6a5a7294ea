"""What the HostUp client sends to delete a key or to see the status, and what it makes of the answers."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest

from tests.unit.adapters.hostup_answering import REQUEST_ID, body, hostup, problem, v1
from tests.wire import Wire, answer
from worker.adapters.http.client import HttpClient
from worker.errors import (
    HostUpError,
    HostUpLastKey,
    HostUpRateLimited,
    HostUpRefused,
    HostUpUncertain,
    UsageError,
)
from worker.rotation.ports import DeletedKey, StorageStatus


class TestDelete:
    ACCESS_KEY = "???>>>a"
    """Its base64 holds ``+``, ``/`` and ``=``."""

    DELETED = body({"deleted": True})

    def test_the_key_is_one_base64_segment(self, client: HttpClient) -> None:
        with Wire(answer(200, self.DELETED)) as wire:
            deleted = hostup(client, wire.url).delete_key(self.ACCESS_KEY)
        segment = base64.b64encode(self.ACCESS_KEY.encode()).decode()
        assert {"+", "/", "="} <= set(segment)
        segment = segment.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
        assert [(heard.method, heard.target) for heard in wire.heard] == [
            ("DELETE", f"/api/object-storage/keys/{segment}")
        ]
        assert deleted == DeletedKey(200, REQUEST_ID, "base64")

    def test_the_key_is_one_plain_segment(self, client: HttpClient) -> None:
        with Wire(answer(200, self.DELETED)) as wire:
            deleted = hostup(client, wire.url).delete_key("../a+b/c%2F=?#", form="plain")
        assert [heard.target for heard in wire.heard] == ["/api/object-storage/keys/..%2Fa%2Bb%2Fc%252F%3D%3F%23"]
        assert deleted.form == "plain"

    @pytest.mark.parametrize("access_key", ["", ".", "..", "a b", "a\n", "\ud800", "x" * 129])
    @pytest.mark.parametrize("form", ["plain", "base64"])
    def test_a_name_that_would_reach_another_page_is_not_sent(
        self, client: HttpClient, access_key: str, form: str
    ) -> None:
        with Wire(answer(200, self.DELETED)) as wire:
            with pytest.raises(HostUpRefused, match="no key has such a name"):
                hostup(client, wire.url).delete_key(access_key, form=form)
            assert wire.heard == []

    def test_an_unknown_form_is_not_sent(self, client: HttpClient) -> None:
        with Wire(answer(200, self.DELETED)) as wire:
            with pytest.raises(UsageError, match="hex"):
                hostup(client, wire.url).delete_key("AKIA", form="hex")
            assert wire.heard == []

    @pytest.mark.parametrize(
        ("status", "text", "request_id"),
        [
            (200, body({}), REQUEST_ID),
            (200, b"{}", None),
            (204, b"", None),
            (404, v1("NOT_FOUND", "no such key"), REQUEST_ID),
            (404, b"<html>", None),
            (410, v1("GONE", "deleted before"), REQUEST_ID),
        ],
    )
    def test_done_or_gone_is_a_result(
        self, client: HttpClient, status: int, text: bytes, request_id: str | None
    ) -> None:
        with Wire(answer(status, text)) as wire:
            assert hostup(client, wire.url).delete_key("AKIA") == DeletedKey(status, request_id, "base64")

    @pytest.mark.parametrize(
        ("status", "text", "kind"),
        [
            (400, v1("BAD_REQUEST", "Cannot delete the last access key. Create a new key first."), HostUpLastKey),
            (400, problem("Bad Request", "cannot delete the LAST Access Key"), HostUpLastKey),
            (400, v1("BAD_REQUEST", "malformed key"), HostUpRefused),
            (403, v1("FORBIDDEN", "Cannot delete the last access key"), HostUpRefused),
            (400, b"Cannot delete the last access key", HostUpRefused),
            (429, v1("RATE", "slow down"), HostUpRateLimited),
            (302, b"", HostUpRefused),
            (408, b"", HostUpUncertain),
            (500, v1("INTERNAL_ERROR", "Cannot delete the last access key"), HostUpUncertain),
            (200, b"<html>", HostUpUncertain),
            (200, body({"deleted": False}), HostUpUncertain),
            (200, body({"deleted": True}, success=False), HostUpUncertain),
        ],
    )
    def test_errors(self, client: HttpClient, status: int, text: bytes, kind: type[HostUpError]) -> None:
        with Wire(answer(status, text)) as wire, pytest.raises(HostUpError) as caught:
            hostup(client, wire.url).delete_key("AKIAEXAMPLE")
        assert type(caught.value) is kind
        assert caught.value.answer.operation == "delete_key"
        assert "AKIAEXAMPLE" in caught.value.what


class TestStatus:
    FULL: Mapping[str, object] = {
        "provisioned": True,
        "endpoint": "https://s3.hostup.se",
        "awsRegion": "eu-north-1",
        "region": "sto",
        "keyCount": 3,
    }

    def read(self, client: HttpClient, text: bytes) -> StorageStatus:
        with Wire(answer(200, text)) as wire:
            status = hostup(client, wire.url).status()
        assert [(heard.method, heard.target) for heard in wire.heard] == [("GET", "/api/object-storage")]
        return status

    def test_full(self, client: HttpClient) -> None:
        expected = StorageStatus(
            provisioned=True, endpoint="https://s3.hostup.se", region="eu-north-1", key_count=3, request_id=REQUEST_ID
        )
        assert self.read(client, body(self.FULL)) == expected

    def test_only_the_field_that_is_always_there(self, client: HttpClient) -> None:
        expected = StorageStatus(provisioned=False, endpoint=None, region=None, key_count=None, request_id=REQUEST_ID)
        assert self.read(client, body({"provisioned": False})) == expected

    @pytest.mark.parametrize(
        ("count", "problem"),
        [
            (True, "The keyCount is not a whole number."),
            (-1, "The keyCount is negative."),
            (2.0, "The keyCount is not a whole number."),
            ("3", "The keyCount is not a whole number."),
            (None, ""),
            ([3], "The keyCount is not a whole number."),
            (float("nan"), "The keyCount is not a whole number."),
            (10**400, "The keyCount is above 1000000000."),
        ],
    )
    def test_a_strange_count_is_no_count(self, client: HttpClient, count: object, problem: str) -> None:
        status = self.read(client, body({**self.FULL, "keyCount": count}))
        assert (status.key_count, status.count_problem) == (None, problem)

    @pytest.mark.parametrize("value", [5, "", None, "has blanks", ["x"]])
    def test_strange_addresses_are_none(self, client: HttpClient, value: object) -> None:
        status = self.read(client, body({**self.FULL, "endpoint": value, "awsRegion": value}))
        assert (status.endpoint, status.region) == (None, None)

    @pytest.mark.parametrize(
        "text",
        [b"<html>", b"{}", body({}), body({"provisioned": 1}), body(FULL, success=False)],
        ids=["html", "empty", "no data", "not a bool", "success false"],
    )
    def test_unusable(self, client: HttpClient, text: bytes) -> None:
        with pytest.raises(HostUpUncertain, match="read the status"):
            self.read(client, text)
