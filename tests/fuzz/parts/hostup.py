"""What HostUp answers to a create, a delete and a look at its status, read by the client."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.fuzz.answers import Wired, mutated_conversation, parted
from tests.fuzz.limits import seen
from tests.fuzz.part import Part
from tests.unit.adapters.hostup_answering import API_KEY, hostup
from tests.unit.adapters.salvaging import ACCESS_KEY, LABEL, REQUEST_ID, SECRET, document
from tests.wire import raw
from worker.adapters.hostup.client import HostUpClient
from worker.adapters.http.client import HttpClient
from worker.sandbox.simulator.faults import CATALOGUE
from worker.sandbox.simulator.spoil import api_error, json_response, spoil
from worker.sandbox.wire import Response

_AT = "2026-02-10T00:00:00.000Z"
_STATUS = {
    "provisioned": True,
    "endpoint": "https://s3.hostup.se",
    "awsRegion": "eu-north-1",
    "region": "sweden",
    "keyCount": 3,
    "tenant": {"id": "t", "displayName": "T", "status": "active", "createdAt": _AT, "quotaMaxSizeGB": 100},
    "usage": {"numObjects": 1, "sizeBytes": 2},
}

Call = Callable[[HostUpClient], object]
_CALLS: Mapping[bytes, Call] = {
    b"create": lambda api: api.create_key(LABEL),
    b"delete": lambda api: api.delete_key(ACCESS_KEY),
    b"status": lambda api: api.status(),
}
_AS_AN_ID = re.compile(rb"(?i)(?:access_?key|request_?id)[^,}]{0,80}" + re.escape(SECRET.encode()))
_wired = Wired()
_client = HttpClient(_wired.engine)


def _seeds() -> Sequence[bytes]:
    """What our simulator answers, well and with each of its faults."""
    honest = {
        b"create": json_response(200, document()),
        b"delete": json_response(200, {"success": True, "requestId": REQUEST_ID, "data": {"deleted": True}}),
        b"status": json_response(200, {"success": True, "requestId": REQUEST_ID, "data": _STATUS}),
    }
    refused = api_error(400, "BAD_REQUEST", "Cannot delete the last access key.", REQUEST_ID, _AT)
    found = []
    for operation, response in honest.items():
        spoilt = [spoil(response, fault, REQUEST_ID, _AT) for fault in CATALOGUE.values()]
        found += [operation + b"\n" + _bytes(each) for each in (response, refused, *spoilt)]
    return list(dict.fromkeys(found))


def _bytes(response: Response) -> bytes:
    return response.raw or raw(response.status, response.body, dict(response.headers))


def _mutate(data: bytes, draw: random.Random) -> bytes:
    odd = (SECRET, API_KEY, LABEL, "x" + API_KEY, {"secretKey": SECRET}, {"accessKey": ACCESS_KEY})
    return mutated_conversation(data, draw, tuple(_CALLS), odd)


def _run(data: bytes) -> Iterator[str]:
    found = parted(data, _CALLS)
    if found is None:
        return
    call, answers = found
    _wired.will_get(answers)
    for text in seen(lambda: call(hostup(_client, "http://127.0.0.1:9"))):
        # a secret that stands where only an access key or a requestId may cannot be told from one
        yield text.replace(SECRET, "") if _AS_AN_ID.search(data) else text


PART = Part("hostup", _seeds, _mutate, _run, share=2500, secrets=(API_KEY, SECRET))
