"""Whose an access key is: one document for each, below ``_keys`` beside the records, written once.

Where a cache or proxy mixes answers up, two targets are given the same key; then the next rotation of one would delete
what the other publishes. A write with ``cas=0`` has one winner, whatever the order and however many workers. The
document holds no secret, and stays when the key is dead: then it tells whose it was.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass

from worker.errors import VaultCasMismatch
from worker.rotation.ports import Document, VaultPort
from worker.targets.account import DEFAULT_ACCOUNT

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a key is: the target, and the rotation that made it (None for one that a person handed over).

    ``account`` is where the key lies.
    """

    target: str
    rotation_id: str | None
    account: str = DEFAULT_ACCOUNT


class KeyClaims:
    """The documents; ``root`` is where the records lie. Every method raises VaultError."""

    def __init__(self, vault: VaultPort, root: str) -> None:
        self._vault = vault
        self._root = root

    def path(self, access_key: str) -> str:
        """Where the document of a key lies. A name that is no plain segment of a path is hashed; no name has a dot."""
        plain = _PLAIN.fullmatch(access_key)
        name = access_key if plain else f"sha256.{hashlib.sha256(access_key.encode()).hexdigest()}"
        return f"{self._root}/_keys/{name}"

    def owner(self, access_key: str) -> Owner | None:
        """Whose the key is; None when no document says so."""
        return _owner(self._read(access_key))

    def claim(self, access_key: str, owner: Owner) -> Owner | None:
        """Have the key be this owner's, unless it is somebody's already; answers whose it is. May be repeated.

        None means that there is a document which names nobody.
        """
        try:
            self._put(access_key, owner, "living", 0)
        except VaultCasMismatch:
            return self.owner(access_key)
        return owner

    def hand_over(self, access_key: str, target: str, account: str = DEFAULT_ACCOUNT) -> None:
        """A person says that the key is this target's, whoever had it before, and on which account it lies."""
        document = self._read(access_key)
        there = _owner(document)
        if there is None or (there.target, there.account) != (target, account):
            self._put(access_key, Owner(target, None, account), "living", document.version)

    def note_dead(self, access_key: str, target: str) -> None:
        """The key is proven dead; a document that is not this target's is left as it is."""
        document = self._read(access_key)
        owner = _owner(document)
        if owner and owner.target == target:
            with suppress(VaultCasMismatch):  # another worker noted it
                self._put(access_key, owner, "dead", document.version)

    def _read(self, access_key: str) -> Document:
        return self._vault.read(self.path(access_key))

    def _put(self, access_key: str, owner: Owner, state: str, version: int) -> None:
        content = {"target": owner.target, "rotation_id": owner.rotation_id, "access_key": access_key, "state": state}
        content |= {} if owner.account == DEFAULT_ACCOUNT else {"account": owner.account}
        self._vault.write(self.path(access_key), content, version)


def _owner(document: Document) -> Owner | None:
    data = document.data or {}
    target, rotation_id = data.get("target"), data.get("rotation_id")
    if not isinstance(target, str) or not target:
        return None
    account = data.get("account")
    return Owner(
        target,
        rotation_id if isinstance(rotation_id, str) else None,
        account if isinstance(account, str) and account else DEFAULT_ACCOUNT,
    )
