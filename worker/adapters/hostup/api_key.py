"""Where the API key comes from that calls to HostUp are made with: a variable, a file, or a path in Vault."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NoReturn, Protocol

from worker.adapters.http.deadline import seconds_left
from worker.clock import Clock
from worker.errors import HostUpCall, HostUpKeyMissing, VaultError
from worker.events import Event
from worker.rotation.ports import Document, VaultPort
from worker.secret import Secret
from worker.settings.credential import log, no_logs
from worker.settings.values import secret_word

FRESH_SECONDS = 3.0
"""So long a key that was read from Vault is used without reading it again: all workers have a new one within this."""

PATIENCE_SECONDS = 5.0
POLL_SECONDS = 0.1
"""How long a refused call waits for the key that a roll is about to bring, and how often it looks."""

SHARE = 0.6
"""Of what is left of the call's time: the rest is for the call itself."""


class ApiKey(Protocol):
    """The API key of one account; may be used by many threads at once."""

    def current(self) -> Secret:
        """The key to use now. Raises HostUpKeyMissing where it cannot be had."""
        ...

    def other_than(self, refused: Secret) -> Secret | None:
        """What to try after a refusal (401); None: there is nothing else."""
        ...

    def is_rolled(self) -> bool:
        """Whether a refusal says nothing of the account, as the key is just being rolled."""
        ...


class KeyInVault:
    """The key in a secret of Vault, under the field ``api_key``; read at first use, and then again and again.

    ``path`` is inside ``mount``; ``shown`` is what people call it by. ``on_new`` is given each value before anything is
    done with it. ``rolling`` tells whether a roll is on record, so that the next key may be on its way. While Vault is
    away, or what stands there cannot be used, the last good value stays in use.
    """

    def __init__(
        self,
        vault: VaultPort,
        path: str,
        clock: Clock,
        rolling: Callable[[], bool],
        *,
        mount: str = "secret",
        shown: str = "api_key_path",
        on_new: Callable[[Secret], None] = no_logs,
    ) -> None:
        self._vault = vault
        self._path = path
        self._clock = clock
        self._rolling = rolling
        self._place = f"{mount}/{path}"
        self._shown = shown
        self._on_new = on_new
        self._lock = threading.Lock()
        self._value: Secret | None = None
        self._read_at = float("-inf")
        self._told = ""

    def current(self) -> Secret:
        """See :class:`ApiKey`."""
        known = self._value
        # who has a key need not wait for another thread that reads
        if known and (self._is_fresh() or not self._lock.acquire(blocking=False)):
            return known
        if not known:
            self._lock.acquire()
        try:
            if not self._value or not self._is_fresh():
                self._read()
            return self._value or self._missing(f"there is no API key at {self._place}")
        finally:
            self._lock.release()

    def _is_fresh(self) -> bool:
        return self._clock.monotonic() - self._read_at < FRESH_SECONDS

    def other_than(self, refused: Secret) -> Secret | None:
        """See :class:`ApiKey`. While a roll is on record it waits for the next key, but not for long."""
        patience = min(PATIENCE_SECONDS, seconds_left() * SHARE)
        give_up = self._clock.monotonic() + patience
        while True:
            with self._lock:
                self._read()
                value = self._value
            if value and value != refused:
                return value
            if self._clock.monotonic() >= give_up or not self.is_rolled():
                return None
            self._clock.sleep(POLL_SECONDS)

    def is_rolled(self) -> bool:
        """See :class:`ApiKey`."""
        return self._rolling()

    def _read(self) -> None:
        """With the lock held. Raises HostUpKeyMissing where there is no key, and was none before."""
        try:
            value = self._in(self._vault.read(self._path))
        except VaultError as error:
            self._keep(f"the API key cannot be read from Vault: {error.what}", error.hint)
            return
        except ValueError as problem:
            hint = "Put the key there, in the field api_key, with its id at HostUp in the field key_id."
            self._keep(f"there is no API key at {self._place}: {problem}", hint)
            return
        self._read_at = self._clock.monotonic()
        self._told = ""
        if value != self._value:
            self._on_new(value)
            known, self._value = self._value, value
            if known:
                log(logging.INFO, Event.CREDENTIAL_RENEWED, variable=self._shown)

    def _in(self, document: Document) -> Secret:
        if document.data is None:
            raise ValueError(f"the secret is {document.absence or 'not there'}")
        found = document.data.get("api_key")
        if not isinstance(found, str) or not found:
            raise ValueError("the secret has no field api_key")
        try:
            return secret_word(found)
        except ValueError as problem:
            raise ValueError(f"its field api_key {problem}") from None

    def _keep(self, what: str, hint: str) -> None:
        """Go on with the last good value, if there is one; said once for each kind of trouble."""
        if self._value is None:
            self._missing(what, hint)
        self._read_at = self._clock.monotonic()
        if what != self._told:
            self._told = what
            kept = f"{hint} The last good value stays in use."
            log(logging.WARNING, Event.CREDENTIAL_KEPT, variable=self._shown, error=what, hint=kept)

    def _missing(self, what: str, hint: str = "") -> NoReturn:
        raise HostUpKeyMissing(f"{what}; nothing was sent", HostUpCall("api_key"), hint=hint)
