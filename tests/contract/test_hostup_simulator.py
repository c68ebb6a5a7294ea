"""The HostUp API as it is documented; see conftest.py for what it is tried on."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.sandbox import BASE, HostUp, plain_client


def test_create_answers_as_the_page_shows(hostup: HostUp) -> None:
    answer = hostup.post({"label": "media 4711"})

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    document = answer.json()
    assert document["success"] is True
    assert uuid.UUID(document["requestId"]).version
    assert_just_now(document["timestamp"])
    key = document["data"]["key"]
    assert set(key) == {"accessKey", "secretKey", "label"}
    assert key["label"] == "media 4711"
    assert all(isinstance(key[name], str) and key[name] for name in key)


def test_every_create_makes_another_key(hostup: HostUp) -> None:
    before = hostup.key_count()

    answers = [hostup.post({"label": "the same"}).json() for _ in range(3)]

    assert len({answer["data"]["key"]["accessKey"] for answer in answers}) == 3
    assert len({answer["data"]["key"]["secretKey"] for answer in answers}) == 3
    assert len({answer["requestId"] for answer in answers}) == 3
    assert hostup.key_count() == before + 3


def test_creates_at_the_same_time_all_count(hostup: HostUp) -> None:
    before = hostup.key_count()

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: hostup.create(f"at once {number}"), range(8)))

    assert len({key["accessKey"] for key in made}) == 8
    assert {key["label"] for key in made} == {f"at once {number}" for number in range(8)}
    assert hostup.key_count() == before + 8


@pytest.mark.parametrize("body", [{}, {"label": ""}, {"label": 7}, {"label": None}, ["label"], "label"])
def test_a_label_is_required(hostup: HostUp, body: object) -> None:
    before = hostup.key_count()

    assert_error(hostup.post(body), 400, "BAD_REQUEST")

    assert hostup.key_count() == before


def test_a_body_that_is_not_json_is_refused(hostup: HostUp) -> None:
    assert_error(hostup.client.post(f"{BASE}/keys", content=b"label=x"), 400, "BAD_REQUEST")


@pytest.mark.parametrize("headers", [{"X-API-Key": "wrong"}, {"X-API-Key": ""}, {"Authorization": "Bearer wrong"}])
def test_a_wrong_api_key_is_refused_and_nothing_is_done(hostup: HostUp, headers: dict[str, str]) -> None:
    key = hostup.create()
    before = hostup.key_count()
    with plain_client(str(hostup.client.base_url), headers) as stranger:
        other = HostUp(stranger)
        assert_error(other.post({"label": "x"}), 401)
        assert_error(other.delete(key["accessKey"]), 401)
        assert_error(stranger.get(BASE), 401)

    assert hostup.key_count() == before


def test_the_api_key_may_be_a_bearer_token(hostup: HostUp) -> None:
    token = hostup.client.headers["X-API-Key"]
    with plain_client(str(hostup.client.base_url)) as client:
        assert client.get(BASE, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_delete_takes_the_key_in_base64(hostup: HostUp) -> None:
    hostup.create()
    key = hostup.create()
    before = hostup.key_count()

    answer = hostup.delete(key["accessKey"])

    assert answer.status_code == 200
    document = answer.json()
    assert document["success"] is True
    assert document["data"] == {"deleted": True}
    assert uuid.UUID(document["requestId"]).version
    assert_just_now(document["timestamp"])
    assert hostup.key_count() == before - 1


def test_delete_does_not_take_the_key_as_it_is(hostup: HostUp) -> None:
    hostup.create()
    key = hostup.create()
    before = hostup.key_count()

    assert hostup.delete_segment(key["accessKey"]).status_code in (400, 404)

    assert hostup.key_count() == before


def test_a_key_that_is_gone_is_not_found(hostup: HostUp) -> None:
    hostup.create()
    key = hostup.create()
    assert hostup.delete(key["accessKey"]).status_code == 200

    assert_error(hostup.delete(key["accessKey"]), 404)
    assert_error(hostup.delete("NEVERTHERE0000000000"), 404)


def test_the_last_key_cannot_be_deleted(hostup: HostUp) -> None:
    there_were_others = hostup.key_count() > 0
    key = hostup.create()

    answer = hostup.delete(key["accessKey"])

    if there_were_others:
        assert answer.status_code == 200
    else:
        assert_error(answer, 400, "BAD_REQUEST")
        assert answer.json()["message"] == "Cannot delete the last access key. Create a new key first."
        assert hostup.key_count() == 1


def test_status_tells_where_the_storage_is(hostup: HostUp) -> None:
    answer = hostup.client.get(BASE)

    document = answer.json()
    assert answer.status_code == 200
    assert uuid.UUID(document["requestId"]).version
    data = document["data"]
    assert data["provisioned"] is True
    assert data["awsRegion"] == "eu-north-1"
    assert isinstance(data["keyCount"], int)
    assert isinstance(data["bucketCount"], int)
    assert set(data["tenant"]) >= {"id", "displayName", "status"}
    assert set(data["usage"]) == {"numObjects", "sizeBytes"}
    with plain_client(data["endpoint"]) as storage:
        assert storage.get("/").status_code == 200


def test_an_unknown_route_is_an_error_with_a_request_id(hostup: HostUp) -> None:
    assert_error(hostup.client.get("/api/nothing-here"), 404)


def test_a_connection_takes_many_requests(hostup: HostUp) -> None:
    lines = set()
    for _ in range(5):
        answer = hostup.client.get(BASE)
        assert answer.status_code == 200
        lines.add(answer.extensions["network_stream"].get_extra_info("client_addr"))

    assert len(lines) == 1


def assert_error(answer: httpx.Response, status: int, code: str | None = None) -> None:
    """The error that the page documents: code, error and message are always there."""
    assert answer.status_code == status
    document = answer.json()
    assert {"code", "error", "message"} <= set(document)
    assert all(isinstance(document[name], str) and document[name] for name in ("code", "error", "message"))
    assert uuid.UUID(document["requestId"]).version
    assert code is None or document["code"] == code


def assert_just_now(timestamp: str) -> None:
    assert timestamp.endswith("Z")
    assert abs(datetime.fromisoformat(timestamp) - datetime.now(UTC)) < timedelta(minutes=5)
