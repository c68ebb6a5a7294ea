"""Leaving receipts: a process that hands out or writes an app's key says in Vault which one it uses (docs/apps.md).

A receipt holds no secret. It is left by a thread of its own: a slow Vault must not hold up keys, and a receipt that
cannot be left is told and tried again, and is no error of the app.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Thread

from worker.credentials.environment import Place
from worker.credentials.keys import AppKey
from worker.credentials.login import Session
from worker.errors import RotatorError, VaultCasMismatch
from worker.targets.receipts import BEAT, RECEIPTS_PATH, Receipt, with_receipt

Say = Callable[[str], None]

TRIED_AGAIN = 30.0
"""Seconds after a receipt could not be left."""

TRIES = 8
"""How often one receipt is written while other readers of the secret are quicker."""


class ReceiptWriter:
    """Says for one secret which key ``reader`` uses, whenever that changes and every ten minutes.

    ``reader`` is what :func:`worker.targets.receipts.reader_name` makes.
    """

    def __init__(self, session: Session, place: Place, reader: str, say: Say) -> None:
        self._session = session
        self._place = place
        self._path = f"{place.receipts or RECEIPTS_PATH}/{place.path}"
        self._reader = reader
        self._say = say
        self._used: tuple[AppKey, datetime] | None = None
        self._news = Event()
        self._told = ""
        self._thread = Thread(target=self._run, name=f"receipts of {place.name}", daemon=True)

    def start(self) -> None:
        """Begin; nothing is left before a key is in use."""
        self._thread.start()

    def used(self, key: AppKey) -> None:
        """This key is in use from now on. Returns at once; may be told the same again and again."""
        before = self._used
        if before and (before[0].access_key, before[0].version) == (key.access_key, key.version):
            return
        again = before is not None and before[0].access_key == key.access_key
        self._used = (key, before[1] if before and again else datetime.now(UTC))
        self._news.set()

    def leave(self) -> None:
        """Write what is known now. Raises what Vault's calls raise."""
        if self._used is None:
            return
        key, since = self._used
        for tried in range(1, TRIES + 1):
            now = datetime.now(UTC)
            receipt = Receipt(self._reader, key.access_key, key.version, key.rotation_id, since, now)
            data, version = self._session.latest(self._place.mount, self._path)
            try:
                self._session.write(self._place.mount, self._path, with_receipt(data, receipt), version)
            except VaultCasMismatch:
                if tried == TRIES:
                    raise
                time.sleep(random.uniform(0, 0.1 * 2**tried))  # noqa: S311 - to be out of step, not to be secret
            else:
                return

    def _run(self) -> None:
        wait = BEAT.total_seconds()
        while True:
            self._news.wait(wait)
            self._news.clear()
            wait = BEAT.total_seconds() if self._left() else TRIED_AGAIN

    def _left(self) -> bool:
        try:
            self.leave()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the process that hands out keys
            why = str(error) if isinstance(error, RotatorError) else type(error).__name__
            if why != self._told:
                self._told = why
                self._say(f"{self._place.name}: no receipt could be left: {why}")
            return False
        if self._told:
            self._told = ""
            self._say(f"{self._place.name}: receipts are left again")
        return True
