"""What the object storage answers to a probe, read as a verdict on the key."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.fuzz.answers import NEXT, Wired, mutated_conversation, parted
from tests.fuzz.limits import seen
from tests.fuzz.part import Part
from tests.unit.adapters.salvaging import ACCESS_KEY, SECRET
from tests.wire import raw
from worker.adapters.http.client import HttpClient
from worker.adapters.s3.probe import StorageProbe
from worker.rotation.ports import Probe
from worker.sandbox.simulator.behaviour import OWNER
from worker.sandbox.simulator.buckets import Buckets
from worker.sandbox.simulator.faults import CATALOGUE
from worker.sandbox.simulator.spoil import s3_error, spoil
from worker.sandbox.wire import Response
from worker.secret import Secret

_CODES = (
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "RequestTimeTooSkewed",
    "UserSuspended",
    "InvalidArgument",
)
_CALLS: Mapping[bytes, Callable[[StorageProbe], Probe]] = {
    b"works": lambda probe: probe.works(ACCESS_KEY, Secret(SECRET)),
    b"lives": lambda probe: probe.lives(ACCESS_KEY),
}
_wired = Wired()
_client = HttpClient(_wired.engine)


def _seeds() -> Sequence[bytes]:
    buckets = Buckets()
    listings = [buckets.listing(OWNER), buckets.listing("anonymous")]
    refusals = [s3_error(403, code, "tx0000-sandbox-default", "message") for code in _CODES]
    spoilt = [spoil(listings[0], fault, "tx0000-sandbox-default", "") for fault in CATALOGUE.values()]
    answers = [_bytes(response) for response in (*listings, *refusals, *spoilt)]
    denied, wrong = _bytes(refusals[0]), _bytes(refusals[2])
    found = [operation + b"\n" + each for operation in _CALLS for each in answers]
    return list(dict.fromkeys([*found, b"works\n" + denied + NEXT + wrong]))


def _bytes(response: Response) -> bytes:
    return response.raw or raw(response.status, response.body, {"Connection": "close", **dict(response.headers)})


def _mutate(data: bytes, draw: random.Random) -> bytes:
    return mutated_conversation(data, draw, tuple(_CALLS))


def _run(data: bytes) -> Iterator[str]:
    found = parted(data, _CALLS)
    if found is None:
        return
    call, answers = found
    _wired.will_get(answers)
    probe = StorageProbe(_client, "http://127.0.0.1:9", "eu-north-1", deadline=30.0)
    yield from seen(lambda: _readable(call(probe)))


class _OddVerdict(Exception):
    """A verdict that nobody can print, or that says nothing."""


def _readable(probe: Probe) -> Probe:
    texts = [text for text in (probe.code, probe.request_id, probe.detail) if text]
    if not all(text.isprintable() and len(text) <= 1000 for text in texts):
        raise _OddVerdict(repr(probe))
    return probe


PART = Part("storage", _seeds, _mutate, _run, share=2500, secrets=(SECRET,))
