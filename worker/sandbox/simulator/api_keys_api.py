"""The simulated ``POST /api/keys/{keyId}/roll`` and ``POST /api/keys``, as far as they are documented."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote

from worker.sandbox.simulator.api_call import ApiCall, json_of
from worker.sandbox.simulator.api_keys import ApiKey, ApiKeys
from worker.sandbox.wire import Request, Response

KEY_OPERATIONS = ("roll_api_key", "create_api_key")


def about_api_keys(operation: str, request: Request, call: ApiCall, api_keys: ApiKeys) -> Response:
    """Carry out one of :data:`KEY_OPERATIONS`."""
    return _roll(request, call, api_keys) if operation == "roll_api_key" else _create(request, call, api_keys)


def _roll(request: Request, call: ApiCall, api_keys: ApiKeys) -> Response:
    made = api_keys.roll(unquote(request.path.split("/")[3]), call.number)
    if made is None:
        return call.error(404, "NOT_FOUND", "API key not found")
    return call.success(_shown(made, "API key rolled. Save it now: it is not shown again."))


def _create(request: Request, call: ApiCall, api_keys: ApiKeys) -> Response:
    wanted = _wanted(request)
    if wanted is None:
        return call.error(400, "BAD_REQUEST", "name, scopes and is_test are required")
    made = api_keys.create(*wanted, call.number)
    return call.success(_shown(made, "API key created. Save it now: it is not shown again."))


def _shown(key: ApiKey, message: str) -> dict[str, object]:
    """An API key, in the order of fields that the pages show."""
    return {
        "key_id": key.key_id,
        "key": key.api_key,
        "name": key.name,
        "description": "",
        "scopes": list(key.scopes),
        "dns_permissions": list(key.dns_permissions),
        "created_at": datetime.fromtimestamp(key.created_at, UTC).isoformat(timespec="seconds"),
        "message": message,
    }


def _wanted(request: Request) -> tuple[str, tuple[str, ...], tuple[str, ...]] | None:
    """The name, the scopes and the DNS permissions of a key to be made; None for what the page does not allow."""
    body = json_of(request)
    name, scopes, dns = body.get("name"), body.get("scopes"), body.get("dns_permissions", [])
    right = isinstance(name, str) and name and isinstance(body.get("is_test"), bool)
    if not right or not isinstance(name, str) or not isinstance(scopes, list) or not isinstance(dns, list):
        return None
    return name, tuple(map(str, scopes)), tuple(map(str, dns))
