"""What Vault, or something in front of it, answers to the helpers of apps: to a login, and to a read of the secret."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache

from tests.fuzz.answers import NEXT, answer, mutated_answer
from tests.fuzz.limits import seen
from tests.fuzz.part import Part
from tests.records import NOW
from worker.credentials.environment import Given, Server
from worker.credentials.formats import FORMATS
from worker.credentials.keys import AppKey, key_in
from worker.credentials.login import Session
from worker.credentials.vault import Vault
from worker.sandbox.listener import Listener
from worker.secret import Secret

TOKEN = "hvs.CAESIPlantedTokenOfAnApp0123456789abc"
SECRET_ID = "5b1d0d9e-7c1c-4e8a-9a43-2a6a5f0c7d11"
PUBLISHED = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYPLANTEDAPP"


def _said(status: int = 200, **document: object) -> bytes:
    return answer(status, json.dumps(document).encode())


_LOGIN = _said(auth={"client_token": TOKEN, "lease_duration": 3600, "renewable": True})
_PLAIN = {
    "access_key": "AKIA",
    "secret_key": PUBLISHED,
    "endpoint": "https://s3.example",
    "region": "eu-1",
    "rotation_id": "bad25b83-ecb0-ec1b-5ce4-109403c9c95b",
    "grace_seconds": 86400,
}
_ENV = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": PUBLISHED}
_VERSION = {"version": 7, "deletion_time": "", "destroyed": False}
_READS = (
    *(_said(data={"data": fields, "metadata": _VERSION}) for fields in (_PLAIN, _ENV)),
    _said(404, data={"data": None, "metadata": {**_VERSION, "deletion_time": "2026-11-24T13:00:00Z"}}),
    _said(403, errors=["1 error occurred:\n\t* permission denied\n\n"]),
    _said(403, errors=["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]),
    _said(503, errors=["Vault is sealed"]),
    answer(307, b"", Location="http://10.0.0.1:8200/v1/secret/data/a"),
    answer(502, b"<html><h1>502 Bad Gateway</h1></html>", Content_Type="text/html"),
)
_left: list[bytes] = []


@cache
def _server() -> Listener:
    """Each connection gets the next answer, then its end."""

    def serve(client: socket.socket) -> None:
        with suppress(OSError):  # the helper has read enough, and left
            client.recv(65_536)
            client.sendall(_left.pop(0) if _left else b"")

    return Listener(serve)


def _seeds() -> Sequence[bytes]:
    return [_LOGIN + NEXT + each for each in _READS] + [each + NEXT + _READS[0] for each in _READS[2:]]


def _mutate(data: bytes, draw: random.Random) -> bytes:
    answers = data.split(NEXT)
    at = draw.randrange(len(answers))
    sent = TOKEN if at else SECRET_ID  # in the call that this is the answer to
    odd = ({"errors": [f"not {sent}"]}, {"errors": ["\x1b[2J"]}, ["x"] * 1000, "a\nb", "\x9b31m")
    answers[at] = mutated_answer(answers[at], draw, odd)
    return NEXT.join(answers)


def _run(data: bytes) -> Iterator[str]:
    _left[:] = data.split(NEXT)
    server = Server(f"http://127.0.0.1:{_server().port}")
    session = Session(Vault(server), Given(role_id="a-role", secret_id=Secret(SECRET_ID), mount="approle"))
    misplaced = data.count(PUBLISHED.encode()) != data.count(b'KEY": "' + PUBLISHED.encode()) + data.count(
        b'secret_key": "' + PUBLISHED.encode()
    )
    for text in seen(lambda: _key(session)):
        yield text.replace(PUBLISHED, "") if misplaced else text


def _key(session: Session) -> AppKey:
    key = key_in(*session.read("secret", "a"))
    for form in FORMATS.values():
        form(key, NOW)
    return key


PART = Part("apps", _seeds, _mutate, _run, share=2000, secrets=(TOKEN, SECRET_ID, PUBLISHED))
