"""Records in Vault: read, and changed by check-and-set only.

A change is a function from record to record, applied to the record as it is now and again if another writer was first.
Each write carries a fresh nonce, so after a write whose answer was lost, reading shows whether it was ours.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from worker.clock import Clock
from worker.errors import VaultCasMismatch, VaultError, VaultUnavailable
from worker.events import Event
from worker.rotation.claims import KeyClaims
from worker.rotation.history import Entry, decode_entry
from worker.rotation.ports import VaultPort
from worker.rotation.record import Record, decode, encode, history_of

ATTEMPTS = 12
"""How often a change is applied again because others wrote in between, before it fails."""

PAUSE_FIRST = 0.2
PAUSE_LONGEST = 5.0
"""Seconds between tries to record what must not be lost."""

Change = Callable[[Record], Record]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A record as it was read or written, with the version that the next write must name.

    ``entries`` are those that the last change added to the history.
    """

    record: Record
    version: int
    vault_request_id: str | None = None
    entries: tuple[Entry, ...] = ()


class RecordStore:
    """The records and archives below ``state_path`` (which has no slash at its ends)."""

    def __init__(self, vault: VaultPort, state_path: str, clock: Clock) -> None:
        self._vault = vault
        self._root = state_path
        self._clock = clock
        self.claims = KeyClaims(vault, state_path)

    def path(self, target: str) -> str:
        """Where a target's record lies, inside the mount."""
        return f"{self._root}/{target}"

    @property
    def account_path(self) -> str:
        """Where the document about the account as a whole lies."""
        return f"{self._root}/_account"

    def load(self, target: str, app_path: str) -> Loaded:
        """Read a target's record; one that was never written is an empty record at version 0.

        Raises RecordError, VaultError.
        """
        document = self._vault.read(self.path(target))
        if document.data is None:
            return Loaded(Record(target=target, path=app_path), document.version, document.vault_request_id)
        return Loaded(decode(document.data, target), document.version, document.vault_request_id)

    def history(self, target: str) -> tuple[Entry, ...]:
        """The history in a target's record, whatever else is wrong with it. Raises RecordError, VaultError."""
        data = self._vault.read(self.path(target)).data
        return () if data is None else history_of(data, target).entries()

    def targets(self) -> tuple[str, ...]:
        """The names of all records there are."""
        return tuple(n for n in self._vault.list(self._root) if not n.startswith("_") and not n.endswith("/"))

    def change(self, loaded: Loaded, change: Change) -> Loaded:
        """Apply a change and write it. Where it changes nothing, nothing is written.

        Raises what the change raises, RecordError, VaultError; after an error the change may have been written.
        """
        nonces: set[str] = set()
        for _ in range(ATTEMPTS):
            changed = change(loaded.record)
            if changed is loaded.record:
                return replace(loaded, entries=())
            entries = changed.history.added
            nonce = secrets.token_hex(8)
            nonces.add(nonce)
            try:
                return replace(self._write(loaded, replace(changed, nonce=nonce)), entries=entries)
            except VaultCasMismatch:
                loaded = self._reload(loaded)
            except VaultUnavailable as error:
                loaded = self._reload_after(loaded, error)
            if loaded.record.nonce in nonces:
                return replace(loaded, entries=entries)
        raise VaultCasMismatch(
            "other writers were first every time",
            operation="write",
            path=self.path(loaded.record.target),
            hint="It is tried again; if this stays, look for another program that writes to this path.",
        )

    def change_until_written(self, loaded: Loaded, change: Change, patience: float = math.inf) -> Loaded:
        """Apply a change that must not be lost: go on until it is written, for ``patience`` seconds.

        Where the record itself cannot be used, raises RecordError (see :meth:`rescue`); VaultError afterwards.
        """
        pause = PAUSE_FIRST
        give_up = self._clock.monotonic() + patience
        while True:
            try:
                return self.change(loaded, change)
            except VaultError as error:
                if self._clock.monotonic() > give_up:
                    raise
                _log_retry(loaded.record.target, error)
            self._clock.sleep(pause)
            pause = min(pause * 2, PAUSE_LONGEST)

    def rescue(self, target: str, name: str, content: Mapping[str, object]) -> None:
        """Keep what must not be lost beside a record that cannot be used; goes on until it is written."""
        pause = PAUSE_FIRST
        while True:
            try:
                self.put_rescued(target, name, content)
            except VaultError as error:
                _log_retry(target, error)
            else:
                return
            self._clock.sleep(pause)
            pause = min(pause * 2, PAUSE_LONGEST)

    def put_rescued(self, target: str, name: str, content: Mapping[str, object]) -> str:
        """Keep a document beside the records, once; answers its path. Raises VaultError."""
        path = self._rescued_path(target, name)
        there = self._vault.read(path)
        if there.data is None:
            self._vault.prepare_record(path)  # one version only: the next one takes a secret in it away
            self._vault.write(path, content, there.version)
        return path

    def targets_with_rescued(self) -> tuple[str, ...]:
        """The targets for which something was rescued that nobody has dealt with."""
        names = (name.removesuffix("/") for name in self._vault.list(f"{self._root}/_rescued"))
        return tuple(name for name in names if self.rescued(name))

    def rescued(self, target: str) -> dict[str, Mapping[str, object]]:
        """What was rescued for a target and is not dealt with, by name."""
        names = self._vault.list(f"{self._root}/_rescued/{target}")
        found = {name: self._vault.read(self._rescued_path(target, name)).data for name in names}
        return {name: data for name, data in found.items() if data and not data.get("settled")}

    def settle_rescued(self, target: str, name: str, how: str) -> None:
        """Note that something rescued was dealt with; secrets in it are no longer needed. Raises VaultError."""
        path = self._rescued_path(target, name)
        there = self._vault.read(path)
        self._vault.write(path, {**_without_secrets(there.data or {}), "settled": how}, there.version)

    def rewrite(self, record: Record, version: int) -> Loaded:
        """Write a record over ``version`` of a document that cannot be read. Raises VaultError."""
        return self._write(Loaded(record, version), replace(record, nonce=secrets.token_hex(8)))

    def archive(self, loaded: Loaded, keep: int) -> Loaded:
        """Move all but the newest ``keep`` entries of the history into an archive document of their own.

        The archive is written first, under the number of its first entry; a crash in between leaves entries in both
        places, and the next try finds the archive written.
        """
        moved = loaded.record.history.stored[:-keep]
        path = f"{self._root}/_archive/{loaded.record.target}/{decode_entry(moved[0]).number:012d}"
        there = self._vault.read(path)
        if there.data is None:
            self._vault.write(path, {"entries": list(moved)}, cas=there.version)
        else:
            moved = _texts(there.data)
        gone = frozenset(moved)
        return self.change(loaded, lambda record: replace(record, history=record.history.without(gone)))

    def archived(self, target: str) -> Iterator[Entry]:
        """All archived entries of a target, oldest first."""
        folder = f"{self._root}/_archive/{target}"
        for name in sorted(self._vault.list(folder)):
            yield from map(decode_entry, _texts(self._vault.read(f"{folder}/{name}").data or {}))

    def _rescued_path(self, target: str, name: str) -> str:
        return f"{self._root}/_rescued/{target}/{name}"

    def _write(self, loaded: Loaded, record: Record) -> Loaded:
        path = self.path(record.target)
        if loaded.version == 0:
            self._vault.prepare_record(path)
        written = self._vault.write(path, encode(record), loaded.version)
        kept = replace(record, history=record.history.written())
        return Loaded(kept, written.version, written.vault_request_id)

    def _reload(self, loaded: Loaded) -> Loaded:
        return self.load(loaded.record.target, loaded.record.path)

    def _reload_after(self, loaded: Loaded, error: VaultUnavailable) -> Loaded:
        """Find out what became of a write; when that fails too, the first error is the more useful one."""
        try:
            return self._reload(loaded)
        except VaultError:
            raise error from None


def _without_secrets(value: object) -> Any:
    if isinstance(value, Mapping):
        return {name: "***" if "secret" in name.lower() else _without_secrets(inner) for name, inner in value.items()}
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value


def _log_retry(target: str, error: VaultError) -> None:
    import structlog  # noqa: PLC0415 - loading it takes longer than `rotator status TARGET` may take

    structlog.get_logger(__name__).warning(Event.RECORD_WRITE_RETRIED, target=target, error=str(error))


def _texts(data: Mapping[str, object]) -> tuple[str, ...]:
    entries = data.get("entries")
    return tuple(str(entry) for entry in entries) if isinstance(entries, list) else ()
