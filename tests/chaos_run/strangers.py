"""Strangers: they delete current keys at HostUp, delete apps' secrets, write over them, and set Vault back."""

from __future__ import annotations

import http.client
import random
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.chaos_run.harm import Harm, now
from tests.chaos_run.world import World
from worker.sandbox.texts import MOUNT
from worker.selftest.evidence import Watched
from worker.targets.fields import PRESETS, FieldMap

_TIMEOUT = 30.0


@dataclass(slots=True)
class Strangers:
    """All of them. ``struck`` counts by kind; ``harm`` is what is theirs."""

    world: World
    dice: random.Random
    struck: Counter[str] = field(default_factory=Counter)
    harm: Harm = field(default_factory=Harm)
    _snapshot: tuple[datetime, bytes] | None = None

    @property
    def strikes(self) -> dict[str, Callable[[Watched], bool]]:
        """What they do to a target, by name; each answers whether it could be done."""
        return {
            "key deleted by a stranger": self.delete_key,
            "secret deleted by a stranger": self.delete_secret,
            "secret destroyed by a stranger": self.destroy_secret,
            "secret deleted with its metadata": self.forget_secret,
            "secret written over by a stranger": self.write_over,
        }

    def strike_any(self) -> None:
        """Something, to some target; nothing when Vault cannot be used just now."""
        name = self.dice.choice(sorted(self.strikes))
        self.strike(name, self.dice.choice(self.world.targets))

    def strike(self, name: str, target: Watched) -> bool:
        """One strike; whether it could be done."""
        try:
            done = self.strikes[name](target)
        except OSError:
            done = False
        self.struck[name] += done
        return done

    def delete_key(self, target: Watched) -> bool:
        """Delete the current key in HostUp's panel."""
        current = (self.world.mount.record(target.name) or {}).get("current")
        if not current:
            return False
        self.harm.keys.add(current["access_key"])
        return self.world.simulator_of(target.name).admin.remove_key(current["access_key"])

    def delete_secret(self, target: Watched) -> bool:
        """What ``vault kv delete`` does."""
        return self._newest(target) > 0 and self._done("DELETE", f"data/{target.path}")

    def destroy_secret(self, target: Watched) -> bool:
        """What ``vault kv destroy`` does to the latest version."""
        newest = self._newest(target)
        return newest > 0 and self._done("PUT", f"destroy/{target.path}", {"versions": [newest]})

    def forget_secret(self, target: Watched) -> bool:
        """What ``vault kv metadata delete`` does; the setting that keeps versions for the checker is made again."""
        done = self._newest(target) > 0 and self._done("DELETE", f"metadata/{target.path}")
        if done:
            self.harm.start_again(target.path)
        return done and self.world.keep_versions(target)

    def write_over(self, target: Watched) -> bool:
        """Publish another key, complete as apps want it."""
        newest, data = self._newest(target), self.world.mount.data(target.path)
        if data is None:
            return False
        fields = fields_of(target)
        theirs = f"THEIRS{secrets.token_hex(7).upper()}"
        changed = {"access_key": theirs, "secret_key": secrets.token_hex(20), "rotation_id": "", "request_id": ""}
        content = {
            **data,
            **{fields.name_of(name): text for name, text in changed.items() if fields.name_of(name) in data},
        }
        self.harm.keys.add(theirs)
        self.harm.wrote(target.path, newest + 1)  # before: a Vault that stands still may do it without an answer
        return self._done("POST", f"data/{target.path}", {"data": content, "options": {"cas": newest}})

    def take_snapshot(self) -> None:
        """What ``vault operator raft snapshot save`` does."""
        at = now()
        status, body = self._raft("GET", "snapshot")
        if status == http.client.OK and body:
            self._snapshot = (at, body)

    def set_back(self) -> bool:
        """What ``vault operator raft snapshot restore`` does, with the snapshot that was taken last.

        No worker may run meanwhile (docs/operate.md, "Backup").
        """
        if self._snapshot is None:
            return False
        at, body = self._snapshot
        status, _ = self._raft("POST", "snapshot-force", body)
        if status >= http.client.BAD_REQUEST:
            return False
        self.harm.set_back(at)
        self.struck["Vault set back"] += 1
        self._snapshot = None  # the time before it is told already
        return True

    def _newest(self, target: Watched) -> int:
        return int(self.world.mount.metadata(target.path).get("current_version", 0))

    def _done(self, method: str, path: str, body: Any = None) -> bool:
        return self.world.vault.admin.ask(method, f"{MOUNT}/{path}", body)[0] < http.client.BAD_REQUEST

    def _raft(self, method: str, what: str, body: bytes | None = None) -> tuple[int, bytes]:
        """A call whose body is no JSON."""
        vault = self.world.vault
        connection = http.client.HTTPConnection("127.0.0.1", vault.port, timeout=_TIMEOUT)
        try:
            token = {"X-Vault-Token": vault.root_token.reveal()}
            connection.request(method, f"/v1/sys/storage/raft/{what}", body, token)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def fields_of(target: Watched) -> FieldMap:
    """The names under which a target's app reads."""
    return PRESETS[target.path.split("/")[1]]
