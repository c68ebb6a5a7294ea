"""Where the API key lies in Vault: it is read, and a new one is put there, whatever it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from worker.clock import Clock
from worker.errors import PersonNeeded, VaultCasMismatch, VaultError, VaultUnavailable
from worker.events import Event
from worker.rotation.api_key.record import Call, mark_of
from worker.rotation.api_key.store import ApiKeyStore
from worker.rotation.ports import NewApiKey, VaultPort
from worker.rotation.until_written import PAUSE_FIRST, PAUSE_LONGEST
from worker.secret import Secret, is_one_word

NEEDED = ("create", "read", "update")


@dataclass(frozen=True, slots=True)
class Held:
    """The key as it stands in Vault. ``call`` is the one that brought it, if one of ours did."""

    api_key: Secret
    key_id: str | None
    since: datetime | None
    call: str
    request_id: str | None
    version: int
    others: Mapping[str, object] = field(repr=False)

    @property
    def mark(self) -> str:
        """What tells it from another key."""
        return mark_of(self.api_key)


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """The secret at ``path`` of ``mount``, with the fields ``api_key`` and ``key_id``; others stay as they are.

    ``keep_secret`` is given each key before anything is done with it. All methods raise VaultError.
    """

    vault: VaultPort
    mount: str
    path: str
    store: ApiKeyStore
    clock: Clock
    keep_secret: Callable[[Secret], None]

    @property
    def shown(self) -> str:
        """Where it is, for people."""
        return f"{self.mount}/{self.path}"

    def read(self) -> Held:
        """The key. Raises PersonNeeded where there is none."""
        document = self.vault.read(self.path)
        data = document.data or {}
        api_key, key_id = data.get("api_key"), data.get("key_id")
        if not isinstance(api_key, str) or not is_one_word(api_key):
            why = document.absence or "without a usable field api_key"
            raise PersonNeeded(
                f"there is no API key at {self.shown}: the secret is {why}",
                hint="Put a working key there, with its id at HostUp in the field key_id.",
            )
        secret = Secret(api_key)
        self.keep_secret(secret)
        return Held(
            secret,
            key_id if isinstance(key_id, str) and key_id else None,
            document.created_at,
            _text(data.get("call")),
            _text(data.get("request_id")) or None,
            document.version,
            data,
        )

    def missing_rights(self) -> tuple[str, ...]:
        """What the token lacks to write a new key there."""
        api_path = f"{self.mount}/data/{self.path}"
        return self.vault.missing_capabilities({api_path: NEEDED}).get(api_path, ())

    def put(self, call: Call, new: NewApiKey) -> bool:
        """Put a new key there, or rescue it; goes on until one of both is done. False: it was rescued.

        It is rescued where somebody has put another key there since the call, or the secret cannot be written.
        """
        pause = PAUSE_FIRST
        while True:
            try:
                return self._put_once(call, new)
            except VaultError as error:
                passing = isinstance(error, VaultUnavailable | VaultCasMismatch)
                problem = error if passing else self._rescue(call, new, error)
            if problem is None:
                return False
            _say_again(self.path, problem)
            self.clock.sleep(pause)
            pause = min(pause * 2, PAUSE_LONGEST)

    def _put_once(self, call: Call, new: NewApiKey) -> bool:
        document = self.vault.read(self.path)
        data = document.data or {}
        there = data.get("api_key")
        if there == new.api_key.reveal():
            return True
        if isinstance(there, str) and there and mark_of(Secret(there)) != call.old_mark:
            self.store.rescue(call.id, new)
            return False
        content = {
            **data,
            "api_key": new.api_key.reveal(),
            "key_id": new.key_id or "",
            "call": call.id,
            "request_id": new.request_id or "",
        }
        self.vault.write(self.path, content, document.version)
        return True

    def _rescue(self, call: Call, new: NewApiKey, error: VaultError) -> VaultError | None:
        """What keeps it from being rescued; None: it is."""
        try:
            self.store.rescue(call.id, new)
        except VaultError as second:
            return second
        _say_again(self.path, error)
        return None


def _say_again(path: str, error: VaultError) -> None:
    import structlog  # noqa: PLC0415 - loading it takes longer than `rotator status TARGET` may take

    structlog.get_logger(__name__).warning(Event.RECORD_WRITE_RETRIED, path=path, error=str(error))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
