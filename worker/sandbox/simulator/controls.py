"""The simulator's controls from Python: order faults, change behaviour, read the ledger."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from worker.sandbox.simulator.faults import Fault
from worker.sandbox.simulator.ledger import Call, calls

_TIMEOUT = 10.0
"""Seconds for one control, which only touches memory."""


class SimulatorRefused(ValueError):
    """The simulator did not take an order; the text says why."""


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key as the simulator knows it, with its secret; times are seconds since the epoch."""

    access_key: str
    secret_key: str = field(repr=False)
    label: str
    created_at: float
    deleted_at: float | None

    @property
    def exists(self) -> bool:
        """Whether it was not deleted."""
        return self.deleted_at is None


@dataclass(frozen=True, slots=True)
class KnownApiKey:
    """An API key as the simulator knows it; ``works``: calls by it are allowed now."""

    key_id: str
    api_key: str = field(repr=False)
    name: str
    scopes: tuple[str, ...]
    works: bool


@dataclass(frozen=True, slots=True)
class SimulatorAdmin:
    """Speaks to the admin port of a simulator; ``url`` is its base.

    Every method raises OSError when the simulator cannot be reached and SimulatorRefused when it refuses.
    """

    url: str

    def order(self, fault: Fault) -> None:
        """Order a fault; faults are served oldest first."""
        self._ask("POST", "faults", asdict(fault))

    def open_faults(self) -> list[dict[str, Any]]:
        """The faults still to come."""
        return list(self._ask("GET", "faults"))

    def clear(self) -> None:
        """Forget all faults, and end all waiting."""
        self._ask("DELETE", "faults")
        self.release()

    def release(self) -> None:
        """End everything that waits: hanging answers are sent, late effects take place now."""
        self._ask("POST", "release", {})

    def behave(self, **values: object) -> dict[str, Any]:
        """Change :class:`worker.sandbox.simulator.behaviour.Behaviour`; answers all of it."""
        return dict(self._ask("PATCH", "behaviour", values))

    def add_key(self, label: str, access_key: str | None = None) -> KnownKey:
        """Make a key by hand, as a person does in HostUp's panel."""
        request = {"label": label} | ({"access_key": access_key} if access_key else {})
        name = self._ask("POST", "keys", request)["access_key"]
        return self.keys()[name]

    def remove_key(self, access_key: str) -> bool:
        """Delete a key by hand, as a person does; False when there is none."""
        return bool(self._ask("DELETE", f"keys/{quote(access_key, safe='')}")["deleted"])

    def keys(self) -> dict[str, KnownKey]:
        """Every key there ever was, by name."""
        return {each["access_key"]: KnownKey(**each) for each in self._ask("GET", "keys")}

    def api_keys(self) -> tuple[KnownApiKey, ...]:
        """Every API key there ever was, oldest first."""
        return tuple(
            KnownApiKey(each["key_id"], each["api_key"], each["name"], tuple(each["scopes"]), works=each["works"])
            for each in self._ask("GET", "api-keys")
        )

    def add_api_key(self, name: str, *scopes: str) -> KnownApiKey:
        """Make an API key by hand, as a person does in HostUp's panel."""
        key_id = self._ask("POST", "api-keys", {"name": name, "scopes": scopes})["key_id"]
        return next(key for key in self.api_keys() if key.key_id == key_id)

    def end_api_key(self, key_id: str) -> bool:
        """End an API key by hand, as a person does; False when none of this id lives."""
        return bool(self._ask("DELETE", f"api-keys/{quote(key_id, safe='')}")["deleted"])

    def ledger(self, since: int = 0) -> list[dict[str, Any]]:
        """The entries after number ``since``; their kinds are in :mod:`worker.sandbox.simulator.ledger`."""
        return list(self._ask("GET", f"ledger?since={since}"))

    def calls(self, operation: str | None = None) -> tuple[Call, ...]:
        """The calls of the HostUp API, put together; only those of one operation, if given."""
        return tuple(call for call in calls(self.ledger()) if operation in (None, call.operation))

    def s3_uses(self, access_key: str | None = None) -> Iterator[dict[str, Any]]:
        """The ledger's entries of the object storage; only those with one key, if given."""
        for entry in self.ledger():
            if entry["kind"] == "s3" and access_key in (None, entry["access_key"]):
                yield entry

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT)
        try:
            connection.request(method, f"/_sim/{path}", None if body is None else json.dumps(body))
            answer = connection.getresponse()
            document = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise SimulatorRefused(document.get("error", answer.reason))
        return document
