"""The record of an API key in Vault, read and changed by check-and-set; and what was rescued beside it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from worker.clock import Clock
from worker.errors import RecordError, VaultCasMismatch, VaultError, VaultUnavailable
from worker.events import Event
from worker.rotation.api_key.codec import decode, encode
from worker.rotation.api_key.record import ApiKeyRecord
from worker.rotation.fresh import see_that_it_is_there
from worker.rotation.history import Entry
from worker.rotation.ports import NewApiKey, VaultPort
from worker.rotation.until_written import PAUSE_FIRST, until_written
from worker.secret import Secret
from worker.targets.account import account_word, named_for

ATTEMPTS = 12
UNAVAILABLE_ATTEMPTS = 4
"""How often a change is applied again because others wrote in between, or Vault did not take it."""

Change = Callable[[ApiKeyRecord], ApiKeyRecord]

_GRAVE = frozenset({Event.API_KEY_LOST, Event.API_KEY_STRAY})
_LOUD = frozenset({Event.API_KEY_FAILED, Event.API_KEY_DOUBTFUL})


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as it was read or written, and the version that the next write must name."""

    record: ApiKeyRecord
    version: int


@dataclass(frozen=True, slots=True)
class Rescued:
    """Keys that could not be put where they belong, or are not sure, each with its id where that is known."""

    version: int
    call: str = ""
    key_id: str | None = None
    request_id: str | None = None
    keys: tuple[Secret, ...] = field(default=(), repr=False)


class ApiKeyStore:
    """The documents of one account below ``root``. Every method raises VaultError, and RecordError where it reads."""

    def __init__(self, vault: VaultPort, root: str, account: str, clock: Clock, mount: str = "secret") -> None:
        self._vault = vault
        self._account = account
        self._clock = clock
        self._mount = mount
        self.path = f"{root}/{named_for(account, '_api_key', '/')}"
        self.rescue_path = f"{root}/{named_for(account, '_api_key_rescued', '/')}"

    def load(self) -> Kept:
        """Read the record; one that was never written is an empty one at version 0."""
        command = f"`rotator roll-api-key{account_word(self._account)} --settle`"
        otherwise = f"With a working key at api_key_path: {command}."
        document = see_that_it_is_there(self._vault.read(self.path), self._mount, self.path, None, otherwise)
        if document.data is None:
            return Kept(ApiKeyRecord(self._account), document.version)
        return Kept(decode(document.data, self._account), document.version)

    def anew(self) -> Kept:
        """The record, or an empty one in the place of one that cannot be read: a person has decided."""
        try:
            return self.load()
        except RecordError:
            return Kept(ApiKeyRecord(self._account), self._vault.read(self.path).version)

    def in_doubt(self) -> bool:
        """Whether a refusal of the key says nothing of the account; no, where that cannot be read."""
        try:
            return self.load().record.in_doubt
        except (VaultError, RecordError):
            return False

    def change(self, kept: Kept, change: Change) -> Kept:
        """Apply a change and write it; where it changes nothing, nothing is written. What it adds is logged.

        After an error it may have been written.
        """
        nonces: set[str] = set()
        failures: list[VaultUnavailable] = []
        for _ in range(ATTEMPTS):
            changed = change(kept.record)
            if changed is kept.record:
                return kept
            entries = changed.history.added_as_written()
            nonce = secrets.token_hex(8)
            nonces.add(nonce)
            try:
                written = self._write(kept, replace(changed, nonce=nonce))
            except VaultCasMismatch:
                written = self.load()
            except VaultUnavailable as error:
                failures.append(error)
                written = self._reload_after(error)
            if written.record.nonce in nonces:
                self._log(entries)
                return written
            if len(failures) == UNAVAILABLE_ATTEMPTS:
                raise failures[-1]
            if failures:
                self._clock.sleep(PAUSE_FIRST * len(failures))
            kept = written
        raise VaultCasMismatch("other writers were first every time", operation="write", path=self.path)

    def change_until_written(self, kept: Kept, change: Change) -> Kept:
        """Apply a change that must not be lost: go on until it is written."""
        return until_written(lambda: self.change(kept, change), self._clock, self._account)

    def rescue(self, call: str, new: NewApiKey) -> None:
        """Keep what came where it cannot be lost: beside the record, one version only."""
        there = self._vault.read(self.rescue_path)
        kept = [each for each in _texts(there.data) if each != new.api_key.reveal()]
        found = [new.api_key.reveal(), *(each.reveal() for each in new.others), *kept]
        self._vault.prepare_record(self.rescue_path)
        content = {"call": call, "key_id": new.key_id, "request_id": new.request_id, "keys": found}
        self._vault.write(self.rescue_path, content, there.version)

    def rescued(self) -> Rescued:
        """What was rescued and is not settled."""
        document = self._vault.read(self.rescue_path)
        data = document.data or {}
        call, key_id, request_id = (data.get(name) for name in ("call", "key_id", "request_id"))
        return Rescued(
            document.version,
            call if isinstance(call, str) else "",
            key_id if isinstance(key_id, str) else None,
            request_id if isinstance(request_id, str) else None,
            tuple(map(Secret, _texts(data))),
        )

    def settle_rescued(self, rescued: Rescued, how: str) -> None:
        """What was rescued is in its place, or is no key: it need not be kept any longer."""
        content = {"call": rescued.call, "key_id": rescued.key_id, "request_id": rescued.request_id, "settled": how}
        self._vault.write(self.rescue_path, content, rescued.version)

    def _write(self, kept: Kept, record: ApiKeyRecord) -> Kept:
        if kept.version == 0:
            self._vault.prepare_record(self.path)
        written = self._vault.write(self.path, encode(record), kept.version)
        return Kept(replace(record, history=record.history.written()), written.version)

    def _reload_after(self, error: VaultUnavailable) -> Kept:
        try:
            return self.load()
        except VaultError:
            raise error from None

    def _log(self, entries: tuple[Entry, ...]) -> None:
        import structlog  # noqa: PLC0415 - loading it takes longer than `rotator status TARGET` may take

        log = structlog.get_logger("worker.rotation")
        for entry in entries:
            event = Event(entry.event)
            level = log.error if event in _GRAVE else log.warning if event in _LOUD else log.info
            level(event.value, account=self._account, **entry.fields(), entry=entry.number, entry_hash=entry.hash)


def _texts(data: Mapping[str, object] | None) -> list[str]:
    keys = (data or {}).get("keys")
    return [each for each in keys if isinstance(each, str) and each] if isinstance(keys, list) else []
