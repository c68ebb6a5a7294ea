"""An API key of HostUp that is renewed in its file: a call refused for it is made once more, and only that one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.adapters.hostup_answering import LONG, SHORT, body, created, v1
from tests.wire import Step, Wire, answer, cut, raw, silence
from worker.adapters.hostup.client import HostUpClient
from worker.adapters.http.client import HttpClient
from worker.errors import HostUpError, HostUpRefused, HostUpUncertain
from worker.secret import Secret
from worker.settings.credential import Credential

REFUSED = answer(401, v1("UNAUTHORIZED", "Invalid API key"))
STATUS = answer(200, body({"provisioned": True, "keyCount": 1}))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "key"
    made.write_text("first-api-key")
    return made


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire(STATUS) as made:
        yield made


def reading(client: HttpClient, wire: Wire, file: Path, deadline: float = LONG) -> HostUpClient:
    key = Credential(Secret("first-api-key"), file, "HOSTUP_API_KEY_FILE")
    return HostUpClient(client, wire.url, key, create_deadline=deadline, deadline=deadline)


def keys(wire: Wire) -> list[str]:
    return [heard.headers["x-api-key"] for heard in wire.heard]


def renewing(file: Path, then: Step) -> Step:
    """The key is renewed while a call is under way."""

    def step(*args: object) -> bool:
        file.write_text("second-api-key")
        return then(*args)  # type: ignore[arg-type]  # a step's own

    return step


def test_a_renewed_key_is_used_without_a_restart(client: HttpClient, wire: Wire, file: Path) -> None:
    hostup = reading(client, wire, file)
    hostup.status()
    file.write_text("second-api-key")
    hostup.status()
    assert keys(wire) == ["first-api-key", "second-api-key"]


def test_a_refused_call_is_made_once_more_by_the_renewed_key(client: HttpClient, wire: Wire, file: Path) -> None:
    hostup = reading(client, wire, file)
    wire.script(renewing(file, REFUSED), STATUS)
    assert hostup.status().key_count == 1
    file.write_text("third-api-key")
    wire.script(renewing(file, REFUSED), answer(200, created()))
    assert hostup.create_key("a label").access_key == "AKIAEXAMPLE"
    assert keys(wire) == ["third-api-key", "second-api-key"]
    file.write_text("third-api-key")
    wire.script(renewing(file, REFUSED), answer(200, body({"deleted": True})))
    assert hostup.delete_key("AKIAEXAMPLE").status == 200


def test_without_another_key_it_is_made_once(client: HttpClient, wire: Wire, file: Path) -> None:
    hostup = reading(client, wire, file)
    wire.script(REFUSED)
    for call in (hostup.status, lambda: hostup.create_key("a label"), lambda: hostup.delete_key("AKIAEXAMPLE")):
        with pytest.raises(HostUpRefused):
            call()
    assert len(wire.heard) == 3


def test_it_is_made_twice_at_most(client: HttpClient, wire: Wire, file: Path) -> None:
    hostup = reading(client, wire, file)
    wire.script(renewing(file, REFUSED), REFUSED)
    with pytest.raises(HostUpRefused) as caught:
        hostup.create_key("a label")
    assert keys(wire) == ["first-api-key", "second-api-key"]
    assert "api-key" not in str(caught.value)


NOT_REFUSED_FOR_IT = {
    "403": answer(403, v1("FORBIDDEN", "No")),
    "400": answer(400, v1("BAD_REQUEST", "No")),
    "429": answer(429, v1("TOO_MANY_REQUESTS", "No")),
    "500": answer(500, v1("INTERNAL_ERROR", "No")),
    "a key in a 401": answer(401, created()),
    "a cut 401": cut(raw(401, created())[:-40]),
    "no answer": cut(b""),
    "silence": silence(),
}


@pytest.mark.parametrize("then", NOT_REFUSED_FOR_IT.values(), ids=NOT_REFUSED_FOR_IT)
def test_whatever_else_a_create_meets_it_is_made_once(client: HttpClient, wire: Wire, file: Path, then: Step) -> None:
    hostup = reading(client, wire, file, SHORT)
    wire.script(renewing(file, then))
    with pytest.raises(HostUpError):
        hostup.create_key("a label")
    assert keys(wire) == ["first-api-key"]


def test_the_second_try_may_be_uncertain(client: HttpClient, wire: Wire, file: Path) -> None:
    hostup = reading(client, wire, file)
    wire.script(renewing(file, REFUSED), cut(b""))
    with pytest.raises(HostUpUncertain):
        hostup.create_key("a label")


def test_a_key_that_is_refused_gives_way_to_the_one_before(client: HttpClient, wire: Wire, file: Path) -> None:
    hostup = reading(client, wire, file)
    hostup.status()
    file.write_text("second-api")  # half written
    wire.script(REFUSED, STATUS)
    hostup.status()
    hostup.status()
    assert keys(wire) == ["second-api", "first-api-key", "first-api-key"]
