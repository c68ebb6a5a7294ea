"""The new API key in answers of every form: it is found and said to be unsure; what is no key is not taken for one."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.unit.adapters.hostup_answering import LONG, REQUEST_ID, SHORT, v1
from tests.unit.adapters.salvaging import chunks, deflated, head, in_chunks, with_length
from tests.wire import Step, Wire, answer, cut, drip, raw, silence
from worker.adapters.hostup.api_keys import ApiKeyClient
from worker.adapters.hostup.new_api_key import searched
from worker.adapters.http.client import HttpClient
from worker.errors import HostUpError, HostUpRefused, HostUpUncertain
from worker.rotation.ports import NewApiKey
from worker.secret import Secret

OLD, NEW = "hk_old_0123456789_old", "hk_new_5f2c_9876543210_PLANTED"
DATA = {
    "key_id": "key_EXAMPLE0003",
    "key": NEW,
    "name": "rotator",
    "description": "",
    "scopes": ["read:something", "write:something"],
    "dns_permissions": [],
    "created_at": "2026-02-10T00:00:00.000Z",
    "message": "Save it now.",
}
BODY = json.dumps({"success": True, "requestId": REQUEST_ID, "data": DATA}).encode()


def rolled(client: HttpClient, step: Step, deadline: float = LONG) -> NewApiKey | HostUpError:
    with Wire(step) as wire:
        calls = ApiKeyClient(client, wire.url, roll_deadline=deadline, deadline=deadline)
        try:
            return calls.roll("key_EXAMPLE0001", Secret(OLD))
        except HostUpError as error:
            return error
        finally:
            assert [heard.target for heard in wire.heard] == ["/api/keys/key_EXAMPLE0001/roll"]
            assert wire.heard[0].headers["x-api-key"] == OLD


def without(name: str) -> bytes:
    data = {key: value for key, value in DATA.items() if key != name}
    return json.dumps({"success": True, "requestId": REQUEST_ID, "data": data}).encode()


IN_FORM: dict[str, Step] = {
    "as documented": answer(200, BODY),
    "201": answer(201, BODY),
    "says that it failed": answer(200, BODY.replace(b'"success": true', b'"success": false')),
    "more fields": answer(200, BODY.replace(b'"name"', b'"more": {"x": [1]}, "name"')),
    "in chunks": cut(in_chunks(BODY, [7])),
    "UTF-16": answer(200, BODY.decode().encode("utf-16")),
    "deflate without its wrapper": cut(with_length(deflated(BODY), "Content-Encoding: deflate")),
    "without an id": answer(200, without("key_id")),
    "without scopes": answer(200, without("scopes")),
    "scopes of a wrong type": answer(200, BODY.replace(b'["read:something", "write:something"]', b'"all"')),
    "without a requestId": answer(200, json.dumps({"data": DATA}).encode()),
}


@pytest.mark.parametrize("step", IN_FORM.values(), ids=IN_FORM)
def test_a_key_in_the_documented_place_is_sure(client: HttpClient, step: Step) -> None:
    new = rolled(client, step)
    assert isinstance(new, NewApiKey)
    assert (new.api_key.reveal(), new.sure) == (NEW, True)
    assert NEW not in repr(new)


OUT_OF_FORM: dict[str, Step] = {
    "500 with a key": answer(500, BODY),
    "a 4xx with a key": answer(409, BODY),
    "text before": answer(200, b"Notice: x\n" + BODY),
    "text behind": answer(200, BODY + b"<!-- x -->"),
    "cut behind the key": cut(raw(200, BODY)[: raw(200, BODY).index(b'"name"')]),
    "cut right behind its quote": cut(raw(200, BODY)[: raw(200, BODY).index(b'"name"') - 2]),
    "length too large": cut(head(f"Content-Length: {len(BODY) + 50}") + BODY),
    "no status line": cut(BODY),
    "a bad header": cut(b"HTTP/1.1 200 OK\r\nX-Powered-By PHP\r\n\r\n" + BODY),
    "chunks without saying so": cut(head() + chunks(BODY, [9])),
    "gzip without saying so": cut(with_length(gzip.compress(BODY))),
    "at another place": answer(200, json.dumps({"success": True, "key": NEW, "key_id": "key_2"}).encode()),
    "another name": answer(200, json.dumps({"data": {"apiKey": NEW}}).encode()),
    "in a list": answer(200, json.dumps({"data": [DATA]}).encode()),
}


@pytest.mark.parametrize("step", OUT_OF_FORM.values(), ids=OUT_OF_FORM)
def test_a_key_in_any_other_form_is_found_and_not_sure(client: HttpClient, step: Step) -> None:
    new = rolled(client, step)
    assert isinstance(new, NewApiKey)
    assert NEW in {new.api_key.reveal(), *(each.reveal() for each in new.others)}
    assert not new.sure
    assert new.salvaged


NO_KEY: dict[str, tuple[Step, type[HostUpError]]] = {
    "refused": (answer(400, v1("BAD_REQUEST", "No")), HostUpRefused),
    "401": (answer(401, v1("UNAUTHORIZED", "No")), HostUpRefused),
    "403": (answer(403, v1("FORBIDDEN", "No")), HostUpRefused),
    "404": (answer(404, v1("NOT_FOUND", "No")), HostUpRefused),
    "500": (answer(500, v1("INTERNAL_ERROR", "No")), HostUpUncertain),
    "a page": (answer(502, b"<html></html>", {"Content-Type": "text/html"}), HostUpUncertain),
    "nothing": (cut(b""), HostUpUncertain),
    "silence": (silence(), HostUpUncertain),
    "slowly": (drip(raw(200, BODY), 1.0), HostUpUncertain),
    "the key is cut": (cut(raw(200, BODY)[: raw(200, BODY).index(NEW.encode()) + 9]), HostUpUncertain),
    "an empty object": (answer(200, b"{}"), HostUpUncertain),
    "the key is a number": (answer(200, BODY.replace(f'"{NEW}"'.encode(), b"7")), HostUpUncertain),
    "the key is a word": (answer(200, BODY.replace(NEW.encode(), b"short")), HostUpUncertain),
    "the old key again": (answer(200, BODY.replace(NEW.encode(), OLD.encode())), HostUpUncertain),
    "a field's name": (
        answer(422, json.dumps({"errors": [{"key": "scopes", "message": "x"}]}).encode()),
        HostUpRefused,
    ),
    "a redirect": (answer(307, b"", {"Location": "https://elsewhere.example"}), HostUpRefused),
}


@pytest.mark.parametrize(("step", "kind"), NO_KEY.values(), ids=NO_KEY)
def test_without_a_key_it_is_told_what_is_known(client: HttpClient, step: Step, kind: type[HostUpError]) -> None:
    error = rolled(client, step, SHORT)
    assert isinstance(error, kind)
    assert error.hint
    assert OLD not in str(error)
    assert NEW[:12] not in str(error)


def test_two_keys_in_one_answer_are_both_kept() -> None:
    other = "hk_other_0123456789"
    text = BODY + BODY.replace(NEW.encode(), other.encode())
    assert [each.api_key.reveal() for each in searched(head() + text, Secret(OLD))] == [NEW, other]


def test_any_cut_is_read_and_never_fails() -> None:
    whole = with_length(BODY)
    for at in range(len(whole)):
        for found in searched(whole[:at], Secret(OLD)):
            assert found.api_key.reveal() == NEW
