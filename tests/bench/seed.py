"""Targets that have lived for a while: a key at HostUp, a version in Vault, a record with a history."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

from tests.bench.plain_http import Server
from tests.bench.stage import Stage, names, path_of, utc
from worker.rotation.history import History
from worker.rotation.record import CurrentKey, Record, encode
from worker.sandbox.texts import MOUNT, STATE_PATH

THREADS = 4
AGE = timedelta(days=31)
EVENTS_OF_ROTATION = (
    "rotation.started",
    "key.created",
    "key.verified",
    "secret.published",
    "rotation.succeeded",
    "key.retired",
    "key.dead",
)


def seed(stage: Stage, *, keys: bool = True) -> None:
    """Give every target of the stage a current key that is 31 days old. ``keys``: real ones, made at HostUp."""
    vault = stage.sandbox.vault
    assert vault is not None
    api_key = Path(stage.sandbox.environment["HOSTUP_API_KEY_FILE"]).read_text("utf-8").strip()
    seeding = _Seeding(
        Server(vault.address, {"X-Vault-Token": vault.root_token.reveal()}),
        Server(stage.sandbox.simulator.hostup, {"X-API-Key": api_key}) if keys else None,
        stage.shape.history,
    )
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(seeding.target, names(stage.shape.targets)):
            pass
    account = {"foreign": 1, "key_count": 1, "noted_at": utc().isoformat()}
    seeding.write(f"{STATE_PATH}/_account", account)
    seeding.close()


class _Seeding:
    def __init__(self, vault: Server, hostup: Server | None, history: int) -> None:
        self._vault = vault
        self._hostup = hostup
        self._history = history

    def target(self, name: str) -> None:
        made = utc() - AGE
        access_key, request_id, rotation_id = self._key(name), str(uuid.uuid4()), str(uuid.uuid4())
        path = path_of(name)
        self.write(path, {"access_key": access_key, "secret_key": "s" * 40, "rotation_id": rotation_id})
        current = CurrentKey(
            access_key=access_key,
            vault_version=1,
            rotation_id=rotation_id,
            request_id=request_id,
            label=f"{name} {rotation_id}",
            created_at=made,
            published_at=made,
        )
        history = History(tuple(past(name, self._history, made)))
        record = Record(target=name, path=path, current=current, history=history, next_entry=len(history) + 1)
        settings = {"max_versions": 1, "cas_required": True}
        self._vault.call("POST", f"/v1/{MOUNT}/metadata/{STATE_PATH}/{name}", settings)
        self.write(f"{STATE_PATH}/{name}", encode(record))

    def write(self, path: str, data: object) -> None:
        self._vault.call("POST", f"/v1/{MOUNT}/data/{path}", {"data": data, "options": {"cas": 0}})

    def close(self) -> None:
        for server in (self._vault, self._hostup):
            if server:
                server.close()

    def _key(self, name: str) -> str:
        if self._hostup is None:
            return f"AK{uuid.uuid4().hex[:18].upper()}"
        made = self._hostup.ask("POST", "/api/object-storage/keys", {"label": f"{name} before"})
        return str(made["data"]["key"]["accessKey"])


def past(name: str, count: int, until: datetime) -> Sequence[str]:
    """So many history entries of the size that rotations leave."""
    entries = []
    for number in range(count):
        about = {"rotation_id": str(uuid.uuid4()), "access_key": f"AK{uuid.uuid4().hex[:18].upper()}"}
        if number % len(EVENTS_OF_ROTATION) == 0:
            about |= {"trigger": "schedule", "label": f"{name} {about['rotation_id']}"}
        else:
            about |= {"request_id": str(uuid.uuid4())}
        event = EVENTS_OF_ROTATION[number % len(EVENTS_OF_ROTATION)]
        at = (until - timedelta(minutes=count - number)).isoformat()
        entries.append(json.dumps({"n": number + 1, "at": at, "event": event, **about}, separators=(",", ":")))
    return entries
