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
from worker.rotation.claims import KeyClaims
from worker.rotation.endpoint import EndpointNotes
from worker.rotation.fresh import see_that_it_is_new, see_that_it_is_there
from worker.rotation.history import Entry, History, decode_entry
from worker.rotation.ports import Absence, Document, VaultPort
from worker.rotation.record import Record, decode, encode, history_of
from worker.rotation.until_written import PAUSE_FIRST, until_written
from worker.targets.account import DEFAULT_ACCOUNT, account_option, named_for
from worker.targets.target import Target

ATTEMPTS = 12
"""How often a change is applied again because others wrote in between, before it fails."""

UNAVAILABLE_ATTEMPTS = 4
"""How often a write is tried that Vault does not take, although it can be read: a standby without leader is such."""

Change = Callable[[Record], Record]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A record as read or written, the version that the next write must name, and the entries that a change added."""

    record: Record
    version: int
    vault_request_id: str | None = None
    entries: tuple[Entry, ...] = ()


def unseen(target: str) -> int:  # noqa: ARG001 - whichever it is
    """Nobody can tell whether there ever was a record."""
    return 0


class RecordStore:
    """The records and archives below ``state_path`` (which has no slash at its ends); ``mount`` is for messages.

    ``seen_version`` tells the highest version of a target's record that any worker has seen, 0 where none is known.
    """

    def __init__(
        self,
        vault: VaultPort,
        state_path: str,
        clock: Clock,
        mount: str = "secret",
        seen_version: Callable[[str], int] = unseen,
    ) -> None:
        self._vault = vault
        self._root = state_path
        self._clock = clock
        self.claims = KeyClaims(vault, state_path)
        self._mount = mount
        self._seen_version = seen_version

    def path(self, target: str) -> str:
        """Where a target's record lies, inside the mount."""
        return f"{self._root}/{target}"

    def account_path(self, account: str = DEFAULT_ACCOUNT) -> str:
        """Where the document about an account as a whole lies."""
        return f"{self._root}/{named_for(account, '_account', '/')}"

    def endpoint(self, account: str = DEFAULT_ACCOUNT) -> EndpointNotes:
        """What is kept of the object storage's endpoint of an account."""
        return EndpointNotes(self._vault, self._root, self._clock, self._mount, account)

    def load(self, target: str, app_path: str, at_least: int = 0) -> Loaded:
        """Read a target's record; one that was never written is an empty record at version 0.

        ``at_least`` this version of it is known to be there.

        Raises RecordDeleted for one that was deleted or destroyed, RecordError, VaultError.
        """
        document = self._read(self.path(target), target, f"Have it made anew: `rotator repair {target}`.", at_least)
        if document.data is None:
            return Loaded(Record(target=target, path=app_path), document.version, document.vault_request_id)
        return Loaded(decode(document.data, target), document.version, document.vault_request_id)

    def open(self, target: Target) -> Loaded:
        """Read a target's record, and where there is none see that it is a new target.

        Raises RecordDeleted where there are signs of a record, RecordError, VaultError.
        """
        loaded = self.load(target.name, target.path)
        if loaded.version == 0:
            seen = self._seen_version(target.name)
            see_that_it_is_new(self._vault, target, self._archive_folder(target.name), seen)
        return loaded

    def history(self, target: str) -> History:
        """The history in a target's record, whatever else is wrong with it. Raises RecordError, VaultError."""
        data = self._read(self.path(target), target, f"Have it made anew: `rotator repair {target}`.").data
        return History() if data is None else history_of(data, target)

    def targets(self) -> tuple[str, ...]:
        """The names of all records there are."""
        return tuple(n for n in self._vault.list(self._root) if not n.startswith("_") and not n.endswith("/"))

    def change(self, loaded: Loaded, change: Change) -> Loaded:
        """Apply a change and write it. Where it changes nothing, nothing is written.

        Raises what the change raises, RecordError, VaultError; after an error the change may have been written.
        """
        nonces: set[str] = set()
        failures: list[VaultUnavailable] = []
        for _ in range(ATTEMPTS):
            changed = change(loaded.record)
            if changed is loaded.record:
                return replace(loaded, entries=())
            entries = changed.history.added_as_written()
            nonce = secrets.token_hex(8)
            nonces.add(nonce)
            try:
                return replace(self._write(loaded, replace(changed, nonce=nonce)), entries=entries)
            except VaultCasMismatch:
                loaded = self._reload(loaded)
            except VaultUnavailable as error:
                failures.append(error)
                loaded = self._reload_after(loaded, error)
            if loaded.record.nonce in nonces:
                return replace(loaded, entries=entries)
            if len(failures) == UNAVAILABLE_ATTEMPTS:
                raise failures[-1]
            if failures:
                self._clock.sleep(PAUSE_FIRST * len(failures))
        raise VaultCasMismatch(
            "other writers were first every time",
            operation="write",
            path=self.path(loaded.record.target),
            hint="It is tried again; if this stays, look for another program that writes to this path.",
        )

    def change_until_written(self, loaded: Loaded, change: Change, patience: float = math.inf) -> Loaded:
        """Apply a change that must not be lost: go on until it is written, for ``patience`` seconds.

        Where the record itself cannot be used, raises RecordError (see :meth:`rescue`), and VaultTooLarge where it has
        become too large for Vault; VaultError afterwards.
        """
        return until_written(lambda: self.change(loaded, change), self._clock, loaded.record.target, patience=patience)

    def rescue(self, target: str, name: str, content: Mapping[str, object]) -> None:
        """Keep what must not be lost beside a record that cannot be used; goes on until it is written."""
        until_written(lambda: self.put_rescued(target, name, content), self._clock, target)

    def put_rescued(self, target: str, name: str, content: Mapping[str, object]) -> str:
        """Keep a document beside the records, once; answers its path. Raises VaultError.

        Where one of this name was deleted, it is kept beside that: it must be kept now, and undelete still works.
        """
        path = self._rescued_path(target, name)
        there = self._vault.read(path)
        if there.absence is Absence.DELETED:
            return self.put_rescued(target, f"{name}-again", content)
        if there.data is None:
            self._vault.prepare_record(path)  # one version only: the next one takes a secret in it away
            self._vault.write(path, content, there.version)
        return path

    def targets_with_rescued(self) -> tuple[str, ...]:
        """The targets for which something was ever rescued."""
        return tuple(name.removesuffix("/") for name in self._vault.list(f"{self._root}/_rescued"))

    def rescued(self, target: str) -> dict[str, Mapping[str, object]]:
        """What was rescued for a target and is not dealt with, by name. Raises RecordDeleted, VaultError."""
        names = self._vault.list(f"{self._root}/_rescued/{target}")
        found = {name: self._beside(self._rescued_path(target, name), target).data for name in names}
        return {name: data for name, data in found.items() if data and not data.get("settled")}

    def settle_rescued(self, target: str, name: str, how: str) -> None:
        """Note that something rescued was dealt with; secrets in it are no longer needed.

        Raises RecordDeleted, VaultError.
        """
        path = self._rescued_path(target, name)
        there = self._beside(path, target)
        self._vault.write(path, {**_without_secrets(there.data or {}), "settled": how}, there.version)

    def rewrite(self, record: Record, version: int) -> Loaded:
        """Write a record over ``version`` of a document that cannot be read. Raises VaultError."""
        return self._write(Loaded(record, version), replace(record, nonce=secrets.token_hex(8)))

    def archive(self, loaded: Loaded, keep: int) -> Loaded:
        """Move all but the newest ``keep`` entries of the history into an archive document of their own.

        Fewer stay where they are long, and more where they would be too much for one document.

        The archive is written first, under the number of its first entry; a crash in between leaves entries in both
        places, and the next try finds the archive written.
        """
        moved = loaded.record.history.oldest(keep)
        path = f"{self._archive_folder(loaded.record.target)}/{decode_entry(moved[0]).number:012d}"
        there = self._vault.read(path)
        if there.data is None:
            self._vault.write(path, {"entries": list(moved)}, cas=there.version)
        else:
            moved = _texts(there.data)
        gone = frozenset(moved)
        return self.change(loaded, lambda record: replace(record, history=record.history.without(gone)))

    def archived(self, target: str) -> Iterator[Entry]:
        """All archived entries of a target, oldest first. Raises RecordDeleted, VaultError."""
        return map(decode_entry, self.archived_texts(target))

    def archived_texts(self, target: str) -> Iterator[str]:
        """The same as they stand in Vault."""
        folder = self._archive_folder(target)
        for name in sorted(self._vault.list(folder)):
            yield from _texts(self._beside(f"{folder}/{name}", target).data or {})

    def account(self, account: str = DEFAULT_ACCOUNT) -> Document:
        """The document about an account as a whole. Raises RecordDeleted, VaultError."""
        command = f"rotator settle --foreign N{account_option(account)}"
        return self._read(self.account_path(account), None, f"Note how many keys are foreign: `{command}`.")

    def _read(self, path: str, target: str | None, otherwise: str, at_least: int = 0) -> Document:
        return see_that_it_is_there(self._vault.read(path, at_least), self._mount, path, target, otherwise)

    def _beside(self, path: str, target: str) -> Document:
        """Read what lies beside a record."""
        command = f"vault kv metadata delete -mount={self._mount} {path}"
        return self._read(path, target, f"If what was in it is not needed: `{command}`.")

    def _archive_folder(self, target: str) -> str:
        return f"{self._root}/_archive/{target}"

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


def _texts(data: Mapping[str, object]) -> tuple[str, ...]:
    entries = data.get("entries")
    return tuple(str(entry) for entry in entries) if isinstance(entries, list) else ()
