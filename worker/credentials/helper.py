"""One look for a program that is started for every key: Vault, else what is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from worker.credentials.cache import Cache, Kept
from worker.credentials.environment import Place
from worker.credentials.keys import AppKey, key_in, look_every
from worker.errors import CacheUnusable, RotatorError

REFRESH = timedelta(seconds=30)

Say = Callable[[str], None]
Read = Callable[[str, str], tuple[dict[str, object], int]]


@dataclass(frozen=True, slots=True)
class Helper:
    """What a look needs; ``cache`` is None where nothing shall be kept. ``say`` takes what a person should read.

    ``read`` is :meth:`worker.credentials.vault.Vault.read` with a login; most looks end before it is called.
    """

    read: Read
    cache: Cache | None
    say: Say
    refresh: timedelta = REFRESH

    def key(self, place: Place, now: datetime) -> AppKey:
        """The key to use now. While one is kept, no trouble with Vault is an error; it is told.

        Raises what reading the secret raised where nothing is kept.
        """
        kept = self._kept(place)
        known = _key_of(kept, place)
        if kept and known and timedelta(0) <= now - kept.tried_at < look_every(self.refresh, [known]):
            return known
        try:
            fields, version = self.read(place.mount, place.path)
            key = key_in(fields, version, place.names)
        except RotatorError as error:
            if kept is None or known is None:
                raise
            self.say(f"the key of {kept.read_at:%Y-%m-%d %H:%M:%S} UTC goes on being used: {error}")
            self._keep(place, replace(kept, tried_at=now))
            return known
        self._keep(place, Kept(fields, version, now, now))
        return key

    def _kept(self, place: Place) -> Kept | None:
        if self.cache is None:
            return None
        try:
            return self.cache.read(place)
        except CacheUnusable as error:
            self.say(str(error))
            return None

    def _keep(self, place: Place, kept: Kept) -> None:
        if self.cache is None:
            return
        try:
            self.cache.write(place, kept)
        except CacheUnusable as error:
            self.say(str(error))


def _key_of(kept: Kept | None, place: Place) -> AppKey | None:
    if kept is None:
        return None
    try:
        return key_in(kept.fields, kept.version, place.names)
    except RotatorError:  # kept for other names than those asked for now
        return None
