"""All that is needed to see to one account's API key."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.clock import Clock
from worker.rotation.api_key.decide import Terms
from worker.rotation.api_key.place import KeyPlace
from worker.rotation.api_key.store import ApiKeyStore
from worker.rotation.ports import AccountPort, ApiKeyGrants, ApiKeysPort
from worker.secret import Secret


@dataclass(frozen=True, slots=True)
class ApiKeyDesk:
    """All that is needed for one account's API key. ``bootstrap`` is the key that makes another one, if there is one.

    ``grants`` are the name and the scopes of the configuration, for where no answer ever told them. ``busy`` is held by
    the thread of a worker that sees to the key.
    """

    account: str
    hostup: ApiKeysPort
    place: KeyPlace
    store: ApiKeyStore
    circuit: AccountPort
    clock: Clock
    terms: Terms
    grants: ApiKeyGrants = field(default_factory=ApiKeyGrants)
    bootstrap: Callable[[], Secret | None] = lambda: None
    busy: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
