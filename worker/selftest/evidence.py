"""What a checker looks at: the simulator's ledger, what Vault holds, what Redis holds, and what was logged.

Gathered from the outside only, as an operator with a root token could. Nothing of the worker's own code is used, so
that a mistake in it cannot hide itself here; the form of a record is known as the document that it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from worker.errors import RotatorError
from worker.sandbox.simulator.controls import SimulatorAdmin
from worker.sandbox.vault_admin import VaultAdmin

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Watched:
    """A target as the outside knows it: its name, where its app reads, and what its keys are promised.

    ``key_field`` is the name under which the app's secret holds the access key. ``copies`` are the mounts and paths of
    copies of the app's secret, by their names in ``also``. ``found_within`` is how long it may take until a key that
    died while apps read it is found, and as long again until it is replaced; None: nobody watches.
    """

    name: str
    path: str
    grace: timedelta
    key_field: str = "access_key"
    copies: tuple[tuple[str, str, str], ...] = ()
    found_within: timedelta | None = None

    def at(self, copy: str) -> Watched:
        """The same, as those know it who read this copy."""
        return replace(self, path=copy, copies=())


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an app's secret; ``data`` is None once it was destroyed."""

    number: int
    created_at: datetime
    destroyed: bool
    data: Json | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Kept:
    """What Vault holds of one target: its record (and how that document is set up), its history, its app's secret.

    ``copies`` are the versions of copies of it, by their names in ``also``.
    """

    target: Watched
    record: Json | None = field(repr=False)
    settings: Json
    history: tuple[Json, ...] = field(repr=False)
    versions: tuple[Version, ...]
    copies: Mapping[str, tuple[Version, ...]] = field(default_factory=dict)

    def everywhere(self) -> Iterator[tuple[Watched, tuple[Version, ...]]]:
        """The app's secret and each of its copies, as those know them who read there."""
        yield self.target, self.versions
        for name, versions in self.copies.items():
            yield self.target.at(name), versions


def _same(moment: datetime) -> datetime:
    return moment


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it.

    ``secrets``: names of values that may be found nowhere, with the values; those of access keys go by the key's name.
    ``texts``: where they were looked for, by the place's name (logs, Redis). ``excused``: requestIds whose answers are
    known to have died with a killed worker. ``clock`` turns real moments into the workers' time, if theirs is another.
    ``taken_at`` is the real moment of all this; None: nothing is judged that may still come.
    """

    entries: tuple[Json, ...] = field(repr=False)
    kept: tuple[Kept, ...]
    secrets: Mapping[str, str] = field(repr=False)
    texts: Mapping[str, str] = field(repr=False)
    documents: Mapping[str, Json] = field(repr=False)
    excused: frozenset[str] = frozenset()
    clock: Callable[[datetime], datetime] = _same
    taken_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a rotator keeps its records: a KV version 2 mount, read as root."""

    vault: VaultAdmin
    mount: str
    state_path: str

    def data(self, path: str, version: int = 0) -> Json | None:
        """A document's data; None when there is none."""
        status, answer = self.vault.ask("GET", f"{self.mount}/data/{path}" + (f"?version={version}" if version else ""))
        return answer["data"]["data"] if status == 200 else None  # noqa: PLR2004 - HTTP's own number

    def metadata(self, path: str) -> Json:
        """A document's settings and versions; empty when there is none."""
        status, answer = self.vault.ask("GET", f"{self.mount}/metadata/{path}")
        return dict(answer["data"]) if status == 200 else {}  # noqa: PLR2004 - HTTP's own number

    def names(self, folder: str) -> tuple[str, ...]:
        """What lies directly below a folder."""
        status, answer = self.vault.ask("GET", f"{self.mount}/metadata/{folder}?list=true")
        return tuple(answer["data"]["keys"]) if status == 200 else ()  # noqa: PLR2004 - HTTP's own number

    def record(self, target: str) -> Json | None:
        """A target's record as the document that it is."""
        return self.data(f"{self.state_path}/{target}")

    def documents(self, folder: str = "") -> Iterator[tuple[str, Json]]:
        """Every document below the state's path, by its path."""
        root = f"{self.state_path}/{folder}".rstrip("/")
        for name in self.names(root):
            path = f"{folder}{name}"
            if name.endswith("/"):
                yield from self.documents(path)
            elif (data := self.data(f"{self.state_path}/{path}")) is not None:
                yield path, data

    def kept(self, target: Watched) -> Kept:
        """What is kept of one target."""
        record = self.record(target.name)
        settings = self.metadata(f"{self.state_path}/{target.name}")
        history, versions = tuple(self._history(target, record)), tuple(self._versions(target.path))
        copies = {
            name: tuple(replace(self, mount=mount)._versions(path))  # noqa: SLF001 - of its own kind
            for name, mount, path in target.copies
        }
        return Kept(target, record, settings, history, versions, copies)

    def _history(self, target: Watched, record: Json | None) -> Iterator[Json]:
        """Archived entries and those of the record; an entry that lies in both comes once."""
        folder = f"{self.state_path}/_archive/{target.name}"
        archives = [self.data(f"{folder}/{name}") or {} for name in sorted(self.names(folder))]
        texts = [text for archive in archives for text in archive["entries"]]
        texts += (record or {}).get("history", [])
        for text in dict.fromkeys(texts):
            yield json.loads(text)

    def _versions(self, path: str) -> Iterator[Version]:
        for number, version in sorted(self.metadata(path).get("versions", {}).items(), key=lambda each: int(each[0])):
            gone = bool(version["destroyed"] or version["deletion_time"])
            data = None if gone else self.data(path, int(number))
            yield Version(int(number), datetime.fromisoformat(version["created_time"]), gone, data)


def redis_texts(client: redis.Redis) -> Iterator[str]:
    """Every key and every value of one Redis database, as text."""
    for key in client.scan_iter(count=1000):
        yield str(key)
        yield from _value(client, str(key))


def _value(client: redis.Redis, key: str) -> Iterator[str]:
    kind = str(client.type(key))
    match kind:
        case "string":
            yield str(client.get(key))
        case "list":
            yield from map(str, client.lrange(key, 0, -1))
        case "set":
            yield from map(str, client.smembers(key))
        case "hash":
            yield from (f"{name!s}={value!s}" for name, value in client.hgetall(key).items())
        case "zset":
            yield from map(str, client.zrange(key, 0, -1))
        case _ if kind != "none":  # which is what has gone meanwhile
            raise RotatorError(f"Redis holds a {kind}, which is not looked into", hint="Teach this module to.")


def gather(
    simulator: SimulatorAdmin,
    mount: Mount,
    targets: Iterable[Watched],
    texts: Mapping[str, str],
    secrets: Mapping[str, str],
) -> Evidence:
    """Read everything there is now. ``secrets`` are those beside the keys' own, which the simulator knows."""
    keys = {key.access_key: key.secret_key for key in simulator.keys().values()}
    return Evidence(
        entries=tuple(simulator.ledger()),
        kept=tuple(mount.kept(target) for target in targets),
        secrets=keys | dict(secrets),
        texts=texts,
        documents=dict(mount.documents()),
        taken_at=datetime.now(UTC),
    )
