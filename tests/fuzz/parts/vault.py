"""What Vault answers, or something in front of it: to a login, to reads, writes and questions about rights."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.doubles import MemoryClock
from tests.fuzz.answers import NEXT, Wired, answer, mutated_conversation, parted
from tests.fuzz.limits import seen
from tests.fuzz.part import Part
from worker.adapters.vault.access import Clients, VaultAccess
from worker.adapters.vault.adapter import HvacClient, open_client
from worker.adapters.vault.approle import AppRole
from worker.adapters.vault.calls import VaultCalls
from worker.adapters.vault.kv import VaultStore
from worker.adapters.vault.login import GivenToken, TokenSource
from worker.adapters.vault.token import TokenKeeper
from worker.secret import Secret

ADDRESS = "http://127.0.0.1:9"
TOKEN = "hvs.CAESIPlantedTokenOfTheFuzz0123456789"
SECRET_ID = "0f4bd6b4-5c1d-4e0a-8d07-9f64ad3f8c21"
WRAPPED = "hvs.CAESIPlantedWrappingToken0123456789"
PUBLISHED = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYPLANTEDKEY"
_ID = "bad25b83-ecb0-ec1b-5ce4-109403c9c95b"
_ACCESS = VaultAccess(ADDRESS, role_id="a-role", secret_id=Secret(WRAPPED), secret_id_wrapped=True)


def _json(document: object, status: int = 200) -> bytes:
    return answer(status, json.dumps(document).encode())


def _said(data: object, status: int = 200, **more: object) -> bytes:
    """An answer as Vault words it (measured on OpenBao 2.7.2 and on HashiCorp Vault 1.21.4: docs/facts.md)."""
    envelope = {"request_id": _ID, "lease_id": "", "renewable": False, "lease_duration": 0, "wrap_info": None}
    return _json({**envelope, "data": data, "warnings": None, "auth": None, **more}, status)


def _refused(status: int, *errors: str) -> bytes:
    return _json({"errors": list(errors)}, status)


_VERSION = {
    "created_time": "2026-11-24T12:00:00.123456789Z",
    "custom_metadata": None,
    "deletion_time": "",
    "destroyed": False,
    "version": 7,
}
_LOOKUP = _said(
    {
        "accessor": "8609694a-cdbc-db9b-d345-e782dbb562ed",
        "creation_ttl": 3600,
        "creation_time": 1795521600,
        "id": TOKEN,
        "policies": ["default", "hostup-rotator"],
        "renewable": True,
        "ttl": 3500,
        "type": "service",
    }
)
_AUTH = {
    "client_token": TOKEN,
    "accessor": "8609694a-cdbc-db9b-d345-e782dbb562ed",
    "policies": ["hostup-rotator"],
    "lease_duration": 3600,
    "renewable": True,
}
_READ = _said({"data": {"access_key": "AKIA", "secret_key": PUBLISHED}, "metadata": _VERSION})
_DELETED = _said({"data": None, "metadata": {**_VERSION, "deletion_time": "2026-11-24T13:00:00Z"}}, 404)
_WROTE = _said(_VERSION)
_MOUNT = _said({"path": "secret/", "type": "kv", "options": {"version": "2"}})
_CONFIG = _said({"cas_required": False, "delete_version_after": "0s", "max_versions": 0})
_RIGHTS = _said({"secret/data/a": ["read", "update"], "capabilities": ["read"]})
_HEALTH = {"initialized": True, "sealed": False, "standby": False, "version": "1.21.4", "server_time_utc": 1795521600}
_LEADER = {"ha_enabled": True, "is_self": False, "leader_address": "", "performance_standby": False}
_LOGIN = NEXT.join(
    (
        _said({"creation_path": "auth/approle/role/a-role/secret-id", "creation_time": "2026-11-24T12:00:00Z"}),
        _said({"secret_id": SECRET_ID, "secret_id_accessor": "c1b3", "secret_id_ttl": 0}),
        _said(None, auth=_AUTH),
    )
)
_REFUSALS = (
    _refused(404),
    _refused(404, 'no handler for route "secret/data/a". route entry not found.'),
    _refused(400, "check-and-set parameter did not match the current version"),
    _refused(400, "invalid token"),
    _refused(403, "1 error occurred:\n\t* permission denied\n\n"),
    _refused(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"),
    _refused(429, 'request path "secret/data/a": rate limit quota exceeded'),
    _refused(472),
    _refused(500, "local node not active but active cluster node not found"),
    _refused(501, "Vault is not initialized"),
    _refused(503, "Vault is sealed"),
    answer(307, b"", Location="http://10.0.0.1:8200/v1/secret/data/a"),
    answer(502, b"<html><h1>502 Bad Gateway</h1></html>", Content_Type="text/html"),
    answer(204),
)

_CALLS: Mapping[bytes, Callable[[VaultStore], object]] = {
    b"read": lambda vault: vault.read("a"),
    b"read version": lambda vault: vault.read_version("a", 3),
    b"write": lambda vault: vault.write("a", {"secret_key": PUBLISHED}, 6),
    b"prepare": lambda vault: vault.prepare_record("a"),
    b"destroy": lambda vault: vault.destroy("a", 3),
    b"undelete": lambda vault: vault.undelete("a", 3),
    b"list": lambda vault: vault.list("a"),
    b"rights": lambda vault: vault.missing_capabilities({"secret/data/a": ("read", "create")}),
    b"settings": lambda vault: vault.mount_settings(),
    b"check": lambda vault: vault.check(),
    b"health": lambda vault: vault.health(),
    b"leave": lambda vault: vault.leave(),
    b"login": lambda vault: vault.read("a"),
}
_HONEST: Mapping[bytes, tuple[bytes, ...]] = {
    b"read": (_READ, _DELETED),
    b"read version": (_READ, _DELETED),
    b"write": (_WROTE,),
    b"prepare": (NEXT.join((_MOUNT, answer(204))),),
    b"destroy": (answer(204),),
    b"undelete": (answer(204),),
    b"list": (_said({"keys": ["media", "_keys/"]}),),
    b"rights": (NEXT.join((_MOUNT, _CONFIG, _RIGHTS)),),
    b"settings": (_CONFIG,),
    b"check": (_LOOKUP,),
    b"health": (_json(_HEALTH), NEXT.join((_json({**_HEALTH, "standby": True}, 429), _json(_LEADER)))),
    b"leave": (answer(204),),
    b"login": (NEXT.join((_LOGIN, _READ)),),
}
_wired = Wired()


def _seeds() -> Sequence[bytes]:
    found = []
    for operation, honest in _HONEST.items():
        before = b"" if operation in (b"login", b"health") else _LOOKUP + NEXT
        found += [operation + b"\n" + before + each for each in (*honest, *_REFUSALS)]
    return found


def _mutate(data: bytes, draw: random.Random) -> bytes:
    odd = (TOKEN, SECRET_ID, {"errors": [f"not {TOKEN}"]}, ["x"] * 1000)
    return mutated_conversation(data, draw, tuple(_CALLS), odd)


def _store(source: Callable[[Clients], TokenSource]) -> VaultStore:
    clock = MemoryClock()

    def open_for(token: str) -> HvacClient:
        return open_client(_wired.engine, ADDRESS, None, token, clock.sleep)

    calls = VaultCalls(TokenKeeper(source(Clients(open_for, open_for)), clock), open_for(""), deadline=30.0)
    return VaultStore(calls, "secret", clock)


def _run(data: bytes) -> Iterator[str]:
    found = parted(data, _CALLS)
    if found is None:
        return
    call, answers = found
    _wired.will_get(answers)
    if data.startswith(b"login\n"):
        vault = _store(lambda clients: AppRole(clients, _ACCESS))
    else:
        vault = _store(lambda clients: GivenToken(clients, Secret(TOKEN)))
    misplaced = data.count(PUBLISHED.encode()) != data.count(f'"secret_key": "{PUBLISHED}'.encode())
    for text in seen(lambda: _without_content(call(vault))):
        # Vault words its complaints without what it was not told in the same call, so nothing else is looked for there
        yield text.replace(PUBLISHED, "") if misplaced else text


def _without_content(result: object) -> object:
    """What a read hands over holds the secret, and is to."""
    return getattr(result, "version", None)


PART = Part("vault", _seeds, _mutate, _run, share=3000, secrets=(TOKEN, SECRET_ID, WRAPPED, PUBLISHED))
