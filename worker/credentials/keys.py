"""An app's secret, read as a key; and how long a program may count on it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from worker.errors import CredentialsUnusable
from worker.secret import Secret
from worker.targets.fields import PRESETS, FieldMap

LIFETIME = timedelta(minutes=30)
"""How long a program may keep a key before it asks again.

Botocore asks again at each request where less than 15 minutes are left (its ``_advisory_refresh_timeout``).
"""
SHORTEST_REFRESH = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class AppKey:
    """The key that an app's secret holds, as it was at version ``version`` of the secret.

    ``grace`` is how long it goes on working after the next one is published; None where the secret does not say.
    """

    access_key: str
    secret_key: Secret
    version: int
    endpoint: str = ""
    region: str = ""
    rotation_id: str = ""
    grace: timedelta | None = None
    fields: Mapping[str, object] = field(default_factory=dict, repr=False)
    """All that the secret holds, under its own names."""


def key_in(fields: Mapping[str, object], version: int, names: FieldMap | None = None) -> AppKey:
    """The key in an app's secret; of which preset its names are is found out, unless ``names`` tells them.

    Raises CredentialsUnusable, which quotes names and no values.
    """
    for each in [names] if names else PRESETS.values():
        found = _read(fields, version, each)
        if found:
            return found
    wanted = [names] if names else list(PRESETS.values())
    pairs = " or ".join(f"{each.name_of('access_key')} and {each.name_of('secret_key')}" for each in wanted)
    raise CredentialsUnusable(
        f"the secret holds no key under the names {pairs}",
        hint=f"It holds {_names(fields)}. Is this the path of an app's secret? Names of your own: --fields.",
    )


def _read(fields: Mapping[str, object], version: int, names: FieldMap) -> AppKey | None:
    access_key, secret_key = names.read(fields, "access_key"), names.read(fields, "secret_key")
    if not access_key or not secret_key:
        return None
    return AppKey(
        access_key,
        Secret(secret_key),
        version,
        names.read(fields, "endpoint") or "",
        names.read(fields, "region") or "",
        names.read(fields, "rotation_id") or "",
        _grace(fields.get(names.name_of("grace_seconds"))),
        dict(fields),
    )


def _grace(seconds: object) -> timedelta | None:
    """Written as a number by the worker; as a text by who adopts a key with Vault's own command."""
    text = str(seconds)
    if isinstance(seconds, bool) or not text.isascii() or not text.isdecimal() or len(text) > len("34560000"):
        return None
    return timedelta(seconds=int(text)) or None


def _names(fields: Mapping[str, object]) -> str:
    shown = sorted(name[:40] for name in fields)[:20]
    return ", ".join(shown) or "nothing"


def expiration(now: datetime, grace: timedelta | None) -> datetime:
    """Until when a program may keep a key that was looked at ``now``: half an hour, and at most half of ``grace``.

    The other half is for what lies between: a program that asks late, and a key that was read a while ago.
    """
    return now + min(LIFETIME, grace / 2 if grace else LIFETIME)


def look_every(wanted: timedelta, keys: Sequence[AppKey]) -> timedelta:
    """How often to look at Vault: as ``wanted``, but at least four times in the shortest grace of the keys."""
    quarters = [key.grace / 4 for key in keys if key.grace]
    return max(SHORTEST_REFRESH, min([wanted, *quarters]))
