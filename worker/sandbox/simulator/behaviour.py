"""How the simulator behaves; every value can be changed while it runs (``PATCH /_sim/behaviour``)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

OWNER = "hostup-sandbox"
"""The Owner ID that a signed ListBuckets answers with."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Durations are in seconds unless the name says otherwise. The defaults are those of docs/facts.md.

    Spread and lingering are looked at with every request, not laid down when a key is made: set ``spread`` to an hour,
    then to 0, and the key works from that moment on.
    """

    spread: float = 0.0
    """How long a new key is still refused with InvalidAccessKeyId."""
    linger: float = 0.0
    """How long a deleted key goes on working."""
    busy_cache: float = 900.0
    """How long a key that was in heavy use when it was deleted is refused with AccessDenied."""
    busy_calls: int = 10
    """So many accepted calls within ``busy_window`` are heavy use; 0 switches this off."""
    busy_window: float = 1.0
    latency_ms: float = 0.0
    """Added to every call of the HostUp API."""
    s3_latency_ms: float = 0.0
    parallel_creates: int = 0
    """More creates at once get a 500 and make nothing, as Ceph does for one user; 0 means no such limit."""
    last_key_protected: bool = True
    """HostUp's own 400 "Cannot delete the last access key"."""
    delete_form: str = "base64"
    """What the path of a delete must hold: ``base64``, ``plain`` or ``both`` (the API's page says base64)."""
    old_api_key_lives: float = 0.0
    """How long an API key goes on working that was rolled; nothing is documented, so it ends at once."""
    provisioned: bool = True
    suspended: bool = False
    """The user is suspended: UserSuspended for a right signature."""
    blind: bool = False
    """A wrong secret of a living key is refused as if the key were dead, as some gateways do (Ceph with Keystone)."""
    may_list: bool = True
    """Whether keys may list buckets; if not, AccessDenied for a right signature."""
    clock_offset: float = 0.0
    """How far the object storage's clock is ahead."""
    record_s3: str = "all"
    """Which S3 calls enter the ledger: ``all``, ``changes`` (of a key's outcome) or ``none``."""


class BehaviourBox:
    """Holds the behaviour of the moment."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.now = behaviour
        self._lock = threading.Lock()

    def change(self, values: Mapping[str, object]) -> Behaviour:
        """Change the named values; raises ValueError for an unknown name or a value of the wrong type."""
        with self._lock:
            known = {field.name for field in fields(Behaviour)}
            for name, value in values.items():
                if name not in known:
                    raise ValueError(f"unknown behaviour {name!r}; there are: {', '.join(sorted(known))}")
                _check(name, value, getattr(self.now, name))
            self.now = replace(self.now, **values)  # type: ignore[arg-type]  # names and types were checked above
            return self.now


def _check(name: str, value: object, before: object) -> None:
    numbers = isinstance(before, int | float) and not isinstance(before, bool)
    fits = isinstance(value, int | float) and not isinstance(value, bool) if numbers else type(value) is type(before)
    if not fits:
        raise ValueError(f"behaviour {name!r} takes {'a number' if numbers else type(before).__name__}")
