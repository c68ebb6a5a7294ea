"""Doubles for the ports, in memory: each passes the contract tests of the real part (tests/contract/test_doubles.py).

:class:`Stage` lets a test run several workers as threads that stand still before every call outside, so that any
order of their calls, and a crash before or after any of them, can be played.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from tests.records import NOW
from worker.errors import (
    EndpointRefused,
    HostUpCall,
    HostUpError,
    HostUpLastKey,
    HostUpRefused,
    HostUpUncertain,
    VaultCasMismatch,
    VaultTooLarge,
    VaultUnavailable,
)
from worker.rotation.ports import (
    SUSPENDED,
    WRONG_SECRET,
    Absence,
    AccountPort,
    ApiKeyGrants,
    CreatedKey,
    DeletedKey,
    Document,
    DocumentSettings,
    HostUpPort,
    Life,
    NewApiKey,
    Place,
    Probe,
    StorageStatus,
    Written,
)
from worker.rotation.services import AccountServices, Storage
from worker.secret import Secret
from worker.targets.account import DEFAULT_ACCOUNT

T = TypeVar("T")


class Killed(BaseException):
    """The worker's process ends here."""


@dataclass
class Gate:
    """Lets every call outside pass, or has it fail before or after its effect; tests replace it."""

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:  # noqa: ARG002
        """Do the effect and hand its result back."""
        return effect()


@dataclass
class MemoryClock:
    """A clock that moves only when told; waiting moves it."""

    time: datetime = NOW

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - NOW).total_seconds()

    def wait(self, seconds: float) -> bool:
        self.time += timedelta(seconds=seconds)
        return False

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class MemoryVault:
    """KV version 2: every path's versions; deleted or destroyed ones are None."""

    gate: Gate = field(default_factory=Gate)
    versions: dict[str, list[Mapping[str, Any] | None]] = field(default_factory=dict)
    single: set[str] = field(default_factory=set)
    deleted: dict[tuple[str, int], Mapping[str, Any] | None] = field(default_factory=dict)
    settings: dict[str, DocumentSettings] = field(default_factory=dict)
    longest: int | None = None
    """Bytes that it takes in a document, as raft and Consul have a limit."""

    def read(self, path: str, at_least: int = 0) -> Document:  # noqa: ARG002 - nothing lags behind here
        return self.gate.pass_through(f"vault read {path}", lambda: self._read(path), _vault_lost)

    def read_version(self, path: str, version: int) -> Document:
        return self.gate.pass_through(f"vault read {path}", lambda: self._read_version(path, version), _vault_lost)

    def write(self, path: str, data: Mapping[str, object], cas: int) -> Written:
        content = copy.deepcopy(dict(data))
        return self.gate.pass_through(f"vault write {path}", lambda: self._write(path, content, cas), _vault_lost)

    def prepare_record(self, path: str) -> None:
        self.gate.pass_through(f"vault prepare {path}", lambda: self.single.add(path), _vault_lost)

    def settings_of(self, path: str) -> DocumentSettings | None:
        return self.gate.pass_through(f"vault settings {path}", lambda: self.settings.get(path), _vault_lost)

    def destroy(self, path: str, version: int) -> None:
        self.gate.pass_through(f"vault destroy {path}", lambda: self._destroy(path, version), _vault_lost)

    def undelete(self, path: str, version: int) -> None:
        self.gate.pass_through(f"vault undelete {path}", lambda: self._undelete(path, version), _vault_lost)

    def soft_delete(self, path: str) -> None:
        """What ``vault kv delete`` does."""
        versions = self.versions[path]
        self.deleted[path, len(versions)], versions[-1] = versions[-1], None

    def forget(self, path: str) -> None:
        """What ``vault kv metadata delete`` does."""
        self.versions.pop(path, None)
        self.deleted = {at: data for at, data in self.deleted.items() if at[0] != path}

    def list(self, path: str) -> tuple[str, ...]:
        return self.gate.pass_through(f"vault list {path}", lambda: self._list(path), _vault_lost)

    def missing_capabilities(self, wanted: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return self.gate.pass_through(f"vault capabilities {len(wanted)}", dict, _vault_lost)

    def latest(self, path: str) -> Mapping[str, Any] | None:
        """What is there now, for a test to look at."""
        versions = self.versions.get(path)
        return versions[-1] if versions else None

    def _read(self, path: str) -> Document:
        versions = self.versions.get(path, [])
        data = copy.deepcopy(self.latest(path))
        absence = None if data is not None else self._absence(path, len(versions))
        return Document(data, len(versions), "vault-request", NOW if versions else None, absence)

    def _read_version(self, path: str, version: int) -> Document:
        versions = self.versions.get(path, [])
        if not 0 < version <= len(versions):
            return Document(None, 0, absence=Absence.NEVER)
        data = copy.deepcopy(versions[version - 1])
        return Document(data, version, "vault-request", NOW, None if data is not None else self._absence(path, version))

    def _absence(self, path: str, version: int) -> Absence:
        if version == 0:
            return Absence.NEVER
        return Absence.DELETED if (path, version) in self.deleted else Absence.DESTROYED

    def _undelete(self, path: str, version: int) -> None:
        if (path, version) in self.deleted:
            self.versions[path][version - 1] = self.deleted.pop((path, version))

    def _write(self, path: str, data: Mapping[str, Any], cas: int) -> Written:
        if self.longest is not None and len(json.dumps(data)) > self.longest:
            raise VaultTooLarge("it is more than Vault takes", operation="write", path=path, status=500)
        versions = self.versions.setdefault(path, [])
        if cas != len(versions):
            raise VaultCasMismatch("another writer was first", operation="write", path=path, status=400)
        if path in self.single:
            versions[:] = [None] * len(versions)
            self.deleted = {at: data for at, data in self.deleted.items() if at[0] != path}
        versions.append(data)
        return Written(len(versions), "vault-request")

    def _destroy(self, path: str, version: int) -> None:
        versions = self.versions.get(path, [])
        if 0 < version <= len(versions):
            versions[version - 1] = None
            self.deleted.pop((path, version), None)

    def _list(self, path: str) -> tuple[str, ...]:
        below = [p.removeprefix(f"{path}/") for p in self.versions if p.startswith(f"{path}/")]
        return tuple(sorted({name.split("/")[0] + ("/" if "/" in name else "") for name in below}))


@dataclass
class MemoryHostUp:
    """The account: living keys by name, and everything that ever happened."""

    gate: Gate = field(default_factory=Gate)
    living: dict[str, str] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    asked_to_delete: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    prefix: str = "AK"
    """What the names of its keys begin with: no two accounts have a key of one name."""

    def create_key(self, label: str) -> CreatedKey:
        return self.gate.pass_through("hostup create", lambda: self._create(label), _create_lost)

    def delete_key(self, access_key: str, form: str = "base64") -> DeletedKey:
        return self.gate.pass_through("hostup delete", lambda: self._delete(access_key, form), _delete_lost)

    def status(self) -> StorageStatus:
        return self.gate.pass_through("hostup status", self._status, _delete_lost)

    def _create(self, label: str) -> CreatedKey:
        name = f"{self.prefix}{len(self.made) + 1}"
        self.made.append(name)
        self.living[name] = label
        self.labels.append(label)
        return CreatedKey(name, Secret(f"secret-of-{name}"), f"request-of-{name}")

    def _delete(self, access_key: str, form: str) -> DeletedKey:
        self.asked_to_delete.append(access_key)
        if access_key not in self.living:
            return DeletedKey(404, "request-404", form)
        if len(self.living) == 1:
            raise HostUpLastKey("Cannot delete the last access key", HostUpCall("delete_key", 400))
        del self.living[access_key]
        self.deleted.append(access_key)
        return DeletedKey(200, f"delete-of-{access_key}", form)

    def _status(self) -> StorageStatus:
        return StorageStatus(
            provisioned=True,
            endpoint="http://127.0.0.1:1",
            region="eu-north-1",
            key_count=len(self.living),
            request_id="request-s",
        )


@dataclass
class MemoryStorage:
    """The object storage of a :class:`MemoryHostUp`: a key works from its making to its deletion."""

    hostup: MemoryHostUp
    gate: Gate = field(default_factory=Gate)
    endpoint: str = "http://127.0.0.1:1"
    region: str = "eu-north-1"
    refused: str = ""
    """Why its endpoint is not accepted."""
    suspended: bool = False
    """Whether its user is suspended, which it says to a right secret only."""

    def see_that_it_can_be_asked(self) -> None:
        if self.refused:
            raise EndpointRefused(self.refused, hint="Accept it.")

    def works(self, access_key: str, secret_key: Secret) -> Probe:
        if self.refused:
            return Probe(Life.UNKNOWN, None, None, None, self.refused, asked=False)
        right = secret_key.reveal() == f"secret-of-{access_key}"
        return self.gate.pass_through("storage works", lambda: self._opened(access_key, right=right), _never)

    def lives(self, access_key: str) -> Probe:
        if self.refused:
            return Probe(Life.UNKNOWN, None, None, None, self.refused, asked=False)
        return self.gate.pass_through("storage lives", lambda: self._known(access_key), _never)

    def _opened(self, access_key: str, *, right: bool) -> Probe:
        if access_key not in self.hostup.living:
            return Probe(Life.DEAD, 403, "InvalidAccessKeyId", "tx")
        if self.suspended:
            return Probe(Life.UNKNOWN, 403, SUSPENDED, "tx", f"{SUSPENDED}: the storage's user is suspended")
        return Probe(Life.ALIVE, 200, None, "tx") if right else Probe(Life.DEAD, 403, WRONG_SECRET, "tx")

    def _known(self, access_key: str) -> Probe:
        if access_key in self.hostup.living:
            return Probe(Life.ALIVE, 403, WRONG_SECRET, "tx")
        return Probe(Life.DEAD, 403, "InvalidAccessKeyId", "tx")


@dataclass
class MemoryAccount:
    """The account's places and circuit, without limits; the count is what HostUp tells."""

    hostup: MemoryHostUp
    begun: int = 0
    under_way: int = 0

    @contextmanager
    def place(self, target: str) -> Iterator[Place]:  # noqa: ARG002 - nobody is turned away
        self.begun += 1
        self.under_way += 1
        try:
            yield Place(trial=False, key_count=None)
        finally:
            self.under_way -= 1

    def quiet(self) -> int | None:
        return None if self.under_way else self.begun

    def enter(self, target: str) -> bool:  # noqa: ARG002 - nobody is turned away
        return False

    def succeeded(self, made: int = 0) -> None:
        pass

    def failed(self, error: HostUpError) -> None:
        pass

    def look(self) -> int | None:
        return self.hostup.status().key_count

    def key_count(self) -> int | None:
        try:
            return self.look()
        except HostUpError:
            return None


def one_account(
    hostup: HostUpPort, storage: Storage | None = None, account: AccountPort | None = None
) -> dict[str, AccountServices]:
    """The default account, as services take it."""
    return {DEFAULT_ACCOUNT: at(hostup, storage, account)}


def at(hostup: HostUpPort, storage: Storage | None = None, account: AccountPort | None = None) -> AccountServices:
    """An account; what is not given is made of its :class:`MemoryHostUp`."""
    if isinstance(hostup, MemoryHostUp):
        storage, account = storage or MemoryStorage(hostup), account or MemoryAccount(hostup)
    assert storage
    assert account
    return AccountServices(hostup, storage, account)


@dataclass
class MemoryApiKeys:
    """The API keys of an account: each with its id; an old one dies when it is rolled."""

    gate: Gate = field(default_factory=Gate)
    living: dict[str, str] = field(default_factory=lambda: {"api-key-number-0": "key_0"})
    rolled: list[str] = field(default_factory=list)
    created: list[ApiKeyGrants] = field(default_factory=list)
    forbidden: set[str] = field(default_factory=set)
    """Keys that are known, and may not do anything."""
    unknown: int = HTTPStatus.UNAUTHORIZED
    """What a key that is dead is answered."""
    grace: bool = False
    """Whether a rolled key works on for a while, although its id is gone."""

    def roll(self, key_id: str, api_key: Secret) -> NewApiKey:
        return self.gate.pass_through("hostup roll", lambda: self._roll(key_id, api_key), _roll_lost)

    def create(self, grants: ApiKeyGrants, api_key: Secret) -> NewApiKey:
        return self.gate.pass_through("hostup create key", lambda: self._create(grants, api_key), _roll_lost)

    def prove(self, api_key: Secret) -> StorageStatus:
        return self.gate.pass_through("hostup prove", lambda: self._prove(api_key), _prove_lost)

    def add(self) -> tuple[str, str]:
        """One more key, as a person makes it: the key and its id."""
        number = len(self.living) + len(self.rolled) + len(self.created) + 100
        self.living[f"api-key-number-{number}"] = f"key_{number}"
        return f"api-key-number-{number}", f"key_{number}"

    def _roll(self, key_id: str, api_key: Secret) -> NewApiKey:
        self._see_that_it_may(api_key, "roll_api_key")
        old = next((key for key, known in self.living.items() if known == key_id), None)
        if old is None:
            raise HostUpRefused("no such key", HostUpCall("roll_api_key", 404))
        if self.grace:
            self.living[old] = ""
        else:
            del self.living[old]
        self.rolled.append(key_id)
        return self._made(f"request-roll-{len(self.rolled)}", ApiKeyGrants("worker", ("a:scope",), ()))

    def _create(self, grants: ApiKeyGrants, api_key: Secret) -> NewApiKey:
        self._see_that_it_may(api_key, "create_api_key")
        self.created.append(grants)
        return self._made(f"request-create-{len(self.created)}", grants)

    def _made(self, request_id: str, grants: ApiKeyGrants) -> NewApiKey:
        number = len(self.rolled) + len(self.created)
        key, key_id = f"api-key-number-{number}", f"key_{number}"
        self.living[key] = key_id
        return NewApiKey(Secret(key), key_id, request_id, grants)

    def _prove(self, api_key: Secret) -> StorageStatus:
        self._see_that_it_may(api_key, "prove_api_key")
        return StorageStatus(True, None, None, 1, "request-prove")  # noqa: FBT003 - a status

    def _see_that_it_may(self, api_key: Secret, operation: str) -> None:
        if api_key.reveal() not in self.living:
            raise HostUpRefused("HostUp does not know it", HostUpCall(operation, self.unknown))
        if api_key.reveal() in self.forbidden:
            raise HostUpRefused("HostUp forbids it", HostUpCall(operation, 403))


def _roll_lost() -> Exception:
    return HostUpUncertain("no answer", HostUpCall("roll_api_key"))


def _prove_lost() -> Exception:
    return HostUpUncertain("no answer", HostUpCall("prove_api_key"))


def _vault_lost() -> Exception:
    return VaultUnavailable("no answer", operation="any", path="any")


def _create_lost() -> Exception:
    return HostUpUncertain("no answer", HostUpCall("create_key"))


def _delete_lost() -> Exception:
    return HostUpUncertain("no answer", HostUpCall("delete_key"))


def _never() -> Exception:
    return AssertionError("the storage port never raises")


class Stage(Gate):
    """A gate at which every worker thread stands still until it is told how its call goes."""

    def __init__(self) -> None:
        self.players: dict[int, Player] = {}

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        player = self.players.get(threading.get_ident())
        if player is None:
            return effect()
        how = player.stand(name)
        if how == "killed before":
            raise Killed
        if how == "lost before" and not name.startswith("storage"):
            raise lost()
        result = effect()
        if how == "killed after":
            raise Killed
        if how == "lost after" and not name.startswith("storage"):
            raise lost()
        return result


class Player:
    """One worker: a thread that runs ``act`` and stands before each call outside until :meth:`go`."""

    def __init__(self, stage: Stage, act: Callable[[], object]) -> None:
        self._stage = stage
        self._act = act
        self._arrived = threading.Semaphore(0)
        self._told = threading.Semaphore(0)
        self._how = "well"
        self.at: str | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._wait()

    @property
    def done(self) -> bool:
        """Whether it has ended, or was killed."""
        return self.at is None

    def go(self, how: str) -> None:
        """Let the call it stands before go well, be lost, or kill it; then wait until it stands again or ends."""
        self._how = how
        self._told.release()
        self._wait()

    def stand(self, name: str) -> str:
        """Called by the worker's own thread."""
        self.at = name
        self._arrived.release()
        if not self._told.acquire(timeout=30):
            raise Killed
        return self._how

    def _wait(self) -> None:
        assert self._arrived.acquire(timeout=30), "the worker neither came to a call nor ended"

    def _run(self) -> None:
        self._stage.players[threading.get_ident()] = self
        try:
            self._act()
        except BaseException as error:  # noqa: BLE001 - kept for the test to look at
            self.error = error
        finally:
            self._stage.players.pop(threading.get_ident(), None)
            self.at = None
            self._arrived.release()
