"""The simulated account's keys: made, deleted, spreading, lingering."""

from __future__ import annotations

import json
import secrets
import string
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from worker.sandbox.files import replace_private
from worker.sandbox.simulator.behaviour import BehaviourBox
from worker.sandbox.simulator.ledger import Ledger

_KEY_CHARACTERS = string.ascii_uppercase + string.digits
_SECRET_CHARACTERS = string.ascii_letters + string.digits + "+/"
_REMEMBERED_USES = 100


@dataclass(slots=True)
class Key:
    """A key; it changes with its life, under the store's lock."""

    access_key: str
    secret_key: str = field(repr=False)
    label: str
    created_at: float
    """Seconds since the epoch, as all times here."""
    deleted_at: float | None = None
    was_busy: bool = False
    uses: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_USES), repr=False)


class State(StrEnum):
    """What the object storage knows of a key at this moment."""

    UNKNOWN = "unknown"
    WORKS = "works"
    DENIED = "denied"


class LastKey(Exception):
    """The account's only key cannot be deleted."""


class TooManyCreates(Exception):
    """More creates at once than this gateway takes; nothing was made."""


class KeyStore:
    """All keys there ever were. With ``path`` the living ones are kept in that file (mode 0600) over restarts."""

    def __init__(self, ledger: Ledger, behaviour: BehaviourBox, path: Path | None = None) -> None:
        self._ledger = ledger
        self._behaviour = behaviour
        self._path = path
        self._lock = threading.Lock()
        self._creating = 0
        self._keys = {key.access_key: key for key in _load(path)} if path and path.exists() else {}
        self._living = len(self._keys)

    @contextmanager
    def creating(self) -> Iterator[None]:
        """Count one create under way; raises TooManyCreates."""
        with self._lock:
            limit = self._behaviour.now.parallel_creates
            if limit and self._creating >= limit:
                raise TooManyCreates
            self._creating += 1
        try:
            yield
        finally:
            with self._lock:
                self._creating -= 1

    def create(self, label: str, call: int | None = None, access_key: str | None = None) -> Key:
        """Make a key; raises ValueError when ``access_key`` is given and was there before."""
        name = access_key or _random(_KEY_CHARACTERS, 20)
        secret = _random(_SECRET_CHARACTERS, 40)
        with self._lock:
            if name in self._keys:
                raise ValueError(f"access key {name} was there before")
            key = self._keys[name] = Key(name, secret, label, time.time())
            self._living += 1
            self._changed("create", key, call)
        return key

    def delete(self, access_key: str, call: int | None = None) -> bool:
        """Delete a key; False when there is none. Raises LastKey, except for a delete by hand (no ``call``)."""
        with self._lock:
            key = self._keys.get(access_key)
            if key is None or key.deleted_at is not None:
                return False
            if call is not None and self._behaviour.now.last_key_protected and self._living == 1:
                raise LastKey
            key.deleted_at = time.time()
            key.was_busy = self._is_busy(key)
            self._living -= 1
            self._changed("delete", key, call)
        return True

    def count(self) -> int:
        """How many keys there are, as ``keyCount`` has it."""
        with self._lock:
            return self._living

    def look_up(self, access_key: str) -> tuple[State, str]:
        """What the object storage knows of a key now, and its secret (empty when unknown)."""
        behaviour, now = self._behaviour.now, time.time()
        with self._lock:
            key = self._keys.get(access_key)
            if key is None:
                return State.UNKNOWN, ""
            if key.deleted_at is not None and now >= key.deleted_at + behaviour.linger:
                cached = key.was_busy and now < key.deleted_at + behaviour.linger + behaviour.busy_cache
                return (State.DENIED if cached else State.UNKNOWN), ""
            if key.deleted_at is None and now < key.created_at + behaviour.spread:
                return State.UNKNOWN, ""
            return State.WORKS, key.secret_key

    def used(self, access_key: str) -> None:
        """Take down that a call with this key was accepted; enough of them soon before a delete are heavy use."""
        with self._lock:
            self._keys[access_key].uses.append(time.time())

    def describe(self) -> list[dict[str, object]]:
        """Every key there ever was, with its secret: for checkers, over the admin API only."""
        with self._lock:
            return [_plain(key) for key in self._keys.values()]

    def _is_busy(self, key: Key) -> bool:
        behaviour = self._behaviour.now
        since = time.time() - behaviour.busy_window
        return 0 < behaviour.busy_calls <= sum(at >= since for at in key.uses)

    def _changed(self, operation: str, key: Key, call: int | None) -> None:
        """Keep the state and the ledger in step, within the lock: the order of effects is the ledger's order."""
        if self._path:
            living = [_plain(each) for each in self._keys.values() if each.deleted_at is None]
            replace_private(self._path, json.dumps(living))
        about = {} if call is None else {"call": call}
        self._ledger.enter("effect", operation=operation, access_key=key.access_key, label=key.label, **about)


def _random(characters: str, length: int) -> str:
    return "".join(characters[byte % len(characters)] for byte in secrets.token_bytes(length))


def _plain(key: Key) -> dict[str, object]:
    return {
        "access_key": key.access_key,
        "secret_key": key.secret_key,
        "label": key.label,
        "created_at": key.created_at,
        "deleted_at": key.deleted_at,
    }


def _load(path: Path) -> Iterator[Key]:
    loaded: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    for each in loaded:
        yield Key(each["access_key"], each["secret_key"], each["label"], each["created_at"])
