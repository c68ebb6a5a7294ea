"""Keys that are kept fresh in memory, for a process that lives long: one look for all who ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Condition, Event, Thread

from worker.credentials.ending import guarded
from worker.credentials.environment import Place
from worker.credentials.keys import AppKey, key_in, look_every
from worker.errors import RotatorError

Say = Callable[[str], None]
Read = Callable[[str, str], tuple[dict[str, object], int]]

BETWEEN_WISHES = 1.0
"""Seconds between two looks that somebody asks for: a program that is refused over and over must not load Vault."""


class Keeper:
    """One secret. A thread looks at Vault; who asks for the key gets what is known, and waits for the first look only.

    ``read`` is that of a session. ``on_change`` is called by that thread after the key has changed, the first time
    included; ``broke`` when it ends by an error that is none of Vault's. All in seconds of the monotonic clock, which
    no step of the wall clock moves.
    """

    def __init__(
        self,
        read: Read,
        place: Place,
        refresh: timedelta,
        say: Say,
        *,
        on_change: Callable[[AppKey], None],
        broke: Callable[[], None],
    ) -> None:
        self.place = place
        self._read = read
        self._refresh = refresh
        self._say = say
        self._on_change = on_change
        self._changed = Condition()
        self._wanted = Event()
        self._ended = False
        self._key: AppKey | None = None
        self._error: RotatorError | None = None
        self._begun = self._done = 0
        self._thread = Thread(target=guarded(self._run, broke), name=f"keeper of {place.name}", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def end(self) -> None:
        """Look no more; a look under way is not waited for."""
        self._ended = True
        self._wanted.set()

    def key(self, seconds: float) -> AppKey:
        """The last good key. Raises what the last look raised where there has never been one.

        ``seconds`` are waited at most for a first look.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._key or self._error, seconds)
            return self._known()

    def look_now(self, seconds: float) -> AppKey:
        """The key after one more look, or as it is known when that takes longer than ``seconds``.

        A look under way does not count: it may have seen what was there before the wish.
        """
        with self._changed:
            wanted = self._begun + 1
            self._wanted.set()
            self._changed.wait_for(lambda: self._done >= wanted, seconds)
            return self._known()

    def _known(self) -> AppKey:
        if self._key:
            return self._key
        raise self._error or RotatorError("Vault has not answered yet", hint="Ask again.", target=self.place.name)

    def _run(self) -> None:
        while not self._ended:
            began = time.monotonic()
            self._wanted.clear()
            self._look()
            wait = look_every(self._refresh, [self._key] if self._key else [])
            self._wanted.wait(wait.total_seconds())
            left = BETWEEN_WISHES - (time.monotonic() - began)
            if left > 0 and not self._ended:
                time.sleep(left)

    def _look(self) -> None:
        with self._changed:
            self._begun += 1
        found, error = self._found()
        with self._changed:
            before, told = self._key, self._error
            self._key, self._error = found or before, error
            self._done = self._begun
            self._changed.notify_all()
        if error and str(error) != str(told):
            self._say(f"{self.place.name}: {error}" + ("; the last good key stays in use" if before else ""))
        elif found and told:
            self._say(f"{self.place.name}: Vault answers again")
        if found and (before is None or found.access_key != before.access_key or found.fields != before.fields):
            self._on_change(found)

    def _found(self) -> tuple[AppKey | None, RotatorError | None]:
        try:
            fields, version = self._read(self.place.mount, self.place.path)
            return key_in(fields, version, self.place.names), None
        except RotatorError as error:
            return None, error
