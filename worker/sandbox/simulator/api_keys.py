"""The simulated account's API keys: who may call the API, by which key, and how long an old one goes on working."""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from worker.sandbox.files import replace_private
from worker.sandbox.simulator.behaviour import BehaviourBox
from worker.sandbox.simulator.ledger import Ledger

SCOPES = ("sandbox:object-storage", "sandbox:keys")
"""Of the first key: names of our own, as none is documented for what the worker calls. They allow everything."""


@dataclass(slots=True)
class ApiKey:
    """An API key; it changes with its life, under the store's lock. Times are seconds since the epoch."""

    key_id: str
    api_key: str = field(repr=False)
    name: str
    scopes: tuple[str, ...]
    dns_permissions: tuple[str, ...]
    created_at: float
    ended_at: float | None = None


class ApiKeys:
    """All API keys there ever were; ``first`` is the one to begin with. With ``path`` they are kept over restarts."""

    def __init__(self, first: str, ledger: Ledger, behaviour: BehaviourBox, path: Path | None = None) -> None:
        self._ledger = ledger
        self._behaviour = behaviour
        self._path = path
        self._lock = threading.Lock()
        kept = list(_load(path)) if path and path.exists() else []
        self._keys = kept or [ApiKey(_new_id(), first, "first", SCOPES, (), time.time())]

    def knows(self, given: str) -> bool:
        """Whether calls by this key are allowed now."""
        now = time.time()
        with self._lock:
            return any(self._lives(key, now) and _same(key, given) for key in self._keys)

    def roll(self, key_id: str, call: int | None = None) -> ApiKey | None:
        """Replace a key by one with a new id; None where there is none of this id that lives."""
        with self._lock:
            old = next((key for key in self._keys if key.key_id == key_id and key.ended_at is None), None)
            if old is None:
                return None
            old.ended_at = time.time()
            new = ApiKey(_new_id(), _new_key(), old.name, old.scopes, old.dns_permissions, time.time())
            return self._added(new, "roll_api_key", call)

    def create(self, name: str, scopes: tuple[str, ...], dns: tuple[str, ...] = (), call: int | None = None) -> ApiKey:
        """Make one more key."""
        with self._lock:
            return self._added(ApiKey(_new_id(), _new_key(), name, scopes, dns, time.time()), "create_api_key", call)

    def end(self, key_id: str) -> bool:
        """End a key by hand, at once; False when none of this id lives."""
        with self._lock:
            for key in self._keys:
                if key.key_id == key_id and key.ended_at is None:
                    key.ended_at = 0.0
                    self._save()
                    return True
        return False

    def describe(self) -> list[dict[str, Any]]:
        """Every key there ever was, with itself and whether it works now: for checkers, over the admin API only."""
        now = time.time()
        with self._lock:
            return [{**asdict(key), "works": self._lives(key, now)} for key in self._keys]

    def _lives(self, key: ApiKey, now: float) -> bool:
        return key.ended_at is None or now < key.ended_at + self._behaviour.now.old_api_key_lives

    def _added(self, key: ApiKey, operation: str, call: int | None) -> ApiKey:
        """With the lock held: state and ledger in step."""
        self._keys.append(key)
        self._save()
        about = {} if call is None else {"call": call}
        self._ledger.enter("effect", operation=operation, key_id=key.key_id, **about)
        return key

    def _save(self) -> None:
        if self._path:
            replace_private(self._path, json.dumps([asdict(key) for key in self._keys]))


def _same(key: ApiKey, given: str) -> bool:
    return hmac.compare_digest(given.encode(), key.api_key.encode())


def _new_id() -> str:
    return f"key_{secrets.token_hex(8)}"


def _new_key() -> str:
    return f"hk_{secrets.token_urlsafe(30)}"


def _load(path: Path) -> Iterator[ApiKey]:
    loaded: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    for each in loaded:
        scopes, dns = tuple(each.pop("scopes")), tuple(each.pop("dns_permissions"))
        yield ApiKey(**each, scopes=scopes, dns_permissions=dns)
