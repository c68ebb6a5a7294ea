"""The worker's own API key: what HostUp answers to a roll, a create and a look with it, and its record in Vault."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from tests.fuzz.answers import Wired, answer, mutated_conversation, parted
from tests.fuzz.limits import seen
from tests.fuzz.mutations import is_shallow, mutated_json
from tests.fuzz.part import Part
from tests.records import MINUTE, NOW
from tests.unit.adapters.test_new_api_key import BODY, NEW, OLD
from worker.adapters.hostup.api_keys import ApiKeyClient
from worker.adapters.http.client import HttpClient
from worker.rotation.api_key.codec import decode, encode
from worker.rotation.api_key.record import ApiKeyRecord, Call, Phase, Trouble
from worker.rotation.ports import ApiKeyGrants
from worker.sandbox.simulator.faults import CATALOGUE
from worker.sandbox.simulator.spoil import json_response, spoil
from worker.secret import Secret

_GRANTS = ApiKeyGrants("rotator", ("read:something",), ("dns",))
_CALLS: Mapping[bytes, Callable[[ApiKeyClient], object]] = {
    b"roll": lambda api: api.roll("key_EXAMPLE0001", Secret(OLD)),
    b"create": lambda api: api.create(_GRANTS, Secret(OLD)),
    b"prove": lambda api: api.prove(Secret(OLD)),
}
_RECORD = b"record\n"
_STATUS = {"success": True, "requestId": "r", "data": {"provisioned": True, "endpoint": "https://s3", "keyCount": 3}}
_wired = Wired()
_client = HttpClient(_wired.engine)


def _seeds() -> Sequence[bytes]:
    at, document = "2026-02-10T00:00:00.000Z", json.loads(BODY)
    spoilt = [spoil(json_response(200, document), fault, "r", at) for fault in CATALOGUE.values()]
    answers = [answer(200, BODY), *(each.raw or answer(each.status, each.body) for each in spoilt)]
    made = [name + b"\n" + each for name in (b"roll", b"create") for each in answers]
    proven = b"prove\n" + answer(200, json.dumps(_STATUS).encode())
    return [*made, proven, *(_RECORD + json.dumps(encode(record)).encode() for record in _records())]


def _records() -> Iterator[ApiKeyRecord]:
    bare = ApiKeyRecord("default", rolled_at=NOW, key_id="key_EXAMPLE0001", grants=_GRANTS)
    yield bare
    call = Call(
        id="call-1", by="root@host", trigger="schedule", started_at=NOW, old_key_id="key_EXAMPLE0001", old_mark="mark",
        holder="holder", until=NOW + MINUTE, next_look=NOW + MINUTE,
    )  # fmt: skip
    for phase in Phase:
        yield replace(bare, phase=phase, call=call, trouble=Trouble("no answer", "wait", NOW, retry_at=NOW + MINUTE))


def _mutate(data: bytes, draw: random.Random) -> bytes:
    odd = (NEW, OLD, {"key": NEW}, [NEW], "." * 300)
    if data.startswith(_RECORD):
        text = data.removeprefix(_RECORD).decode("utf-8", "replace")
        return _RECORD + mutated_json(text, draw, odd).encode("utf-8", "replace")
    return mutated_conversation(data, draw, tuple(_CALLS), odd)


def _run(data: bytes) -> Iterator[str]:
    if data.startswith(_RECORD):
        yield from _read(data.removeprefix(_RECORD))
        return
    found = parted(data, _CALLS)
    if found is None:
        return
    call, answers = found
    _wired.will_get(answers)
    api = ApiKeyClient(_client, "http://127.0.0.1:9", roll_deadline=30, deadline=30)
    # what is no key by its form, or is called an id, cannot be told from other words of the answer
    yield from (text for text in seen(lambda: call(api)) if answers.count(NEW.encode()) == answers.count(_IN_PLACE))


_IN_PLACE = f'"key": "{NEW}"'.encode()


def _read(text: bytes) -> Iterator[str]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict) and is_shallow(document, 150):
        yield from seen(lambda: encode(decode(document, "default")) and "")


PART = Part("api_key", _seeds, _mutate, _run, share=1500, secrets=(OLD, NEW))
