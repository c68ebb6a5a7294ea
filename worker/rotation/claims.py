"""Whose an access key is: one document for each, below ``_keys`` beside the records, written once.

Where a cache or proxy mixes answers up, two targets are given the same key; then the next rotation of one would delete
what the other publishes. A write with ``cas=0`` has one winner, whatever the order and however many workers. The
document holds no secret, and stays when the key is dead: then it tells whose it was.

Keys of a release before, and those whose document was lost, have none until :mod:`worker.rotation.claiming` makes it;
``_claims`` says when that was done for every key on record.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from worker.clock import moment
from worker.errors import VaultCasMismatch
from worker.rotation.ports import Document, Life, Probe, VaultPort
from worker.targets.account import DEFAULT_ACCOUNT

LIVING = "living"
DEAD = "dead"

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a key is: the target, and the rotation that made it (None for one that a person handed over).

    ``account`` is where the key lies. ``also`` are other targets on whose records it was found as well.
    """

    target: str
    rotation_id: str | None
    account: str = DEFAULT_ACCOUNT
    also: tuple[str, ...] = ()


class KeyClaims:
    """The documents; ``root`` is where the records lie. Every method raises VaultError."""

    def __init__(self, vault: VaultPort, root: str) -> None:
        self._vault = vault
        self._root = root
        self._complete = False

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
            self._put(access_key, owner, LIVING, 0)
        except VaultCasMismatch:
            return self.owner(access_key)
        return owner

    def hand_over(self, access_key: str, target: str, account: str = DEFAULT_ACCOUNT) -> None:
        """A person says that the key is this target's, whoever had it before, and on which account it lies."""
        document = self._read(access_key)
        there = _owner(document)
        if there is None or (there.target, there.account, there.also) != (target, account, ()) or _is_dead(document):
            self._put(access_key, Owner(target, None, account), LIVING, document.version)

    def names(self) -> tuple[str, ...]:
        """What the documents are called: one for each key ever made."""
        return self._vault.list(f"{self._root}/_keys")

    def living(self, name: str) -> tuple[str, Owner] | None:
        """The access key that a document is about, and whose it is; None where it is dead, or nobody's."""
        document = self._vault.read(f"{self._root}/_keys/{name}")
        access_key, owner = (document.data or {}).get("access_key"), _owner(document)
        alive = not _is_dead(document)
        return (access_key, owner) if alive and owner and isinstance(access_key, str) else None

    def claim_on_record(self, access_key: str, owner: Owner, also: tuple[str, ...]) -> None:
        """Make good what a document lacks of a key on record: that it is there, and which other records have the key.

        Who has it by its document keeps it.
        """
        document = self._read(access_key)
        there = _owner(document)
        first = there or owner
        others = {owner.target, *also, *first.also} - {first.target} if also else set(first.also)
        wanted = replace(first, also=tuple(sorted(others)))
        if wanted != there:
            with suppress(VaultCasMismatch):  # another worker was first; who looks next sees what it wrote
                self._put(access_key, wanted, LIVING, document.version)

    def complete_since(self) -> datetime | None:
        """When every key on record was seen to have its document; None: that was never so."""
        return moment((self._vault.read(self._complete_path).data or {}).get("at"))

    def are_complete(self) -> bool:
        """Whether that was ever so; asked of Vault until it is."""
        self._complete = self._complete or self.complete_since() is not None
        return self._complete

    def note_complete(self, now: datetime) -> None:
        """Every key on record has its document now."""
        document = self._vault.read(self._complete_path)
        with suppress(VaultCasMismatch):  # another worker noted it
            self._vault.write(self._complete_path, {"at": now.isoformat()}, document.version)
        self._complete = True

    @property
    def _complete_path(self) -> str:
        return f"{self._root}/_claims"

    def note_dead(self, access_key: str, target: str, proof: Probe) -> None:
        """The key is proven dead; a document that is not this target's is left as it is."""
        document = self._read(access_key)
        owner = _owner(document)
        if owner and owner.target == target and not _is_dead(document):
            facts = {"code": proof.code, "proof": proof.detail, "storage_request_id": proof.request_id}
            with suppress(VaultCasMismatch):  # another worker noted it
                self._put(access_key, owner, DEAD, document.version, {k: v for k, v in facts.items() if v})

    def proof_of_death(self, access_key: str, target: str) -> Probe | None:
        """What :meth:`note_dead` wrote down for this target; None: nothing."""
        document = self._read(access_key)
        owner, data = _owner(document), document.data or {}
        if not owner or owner.target != target or not _is_dead(document):
            return None
        code, detail, request_id = (_text(data.get(name)) for name in ("code", "proof", "storage_request_id"))
        return Probe(Life.DEAD, None, code, request_id, detail or "proven before")

    def _read(self, access_key: str) -> Document:
        return self._vault.read(self.path(access_key))

    def _put(
        self, access_key: str, owner: Owner, state: str, version: int, proof: Mapping[str, object] | None = None
    ) -> None:
        content: dict[str, object] = {
            "target": owner.target,
            "rotation_id": owner.rotation_id,
            "access_key": access_key,
            "state": state,
        }
        content |= {} if owner.account == DEFAULT_ACCOUNT else {"account": owner.account}
        content |= {"also": list(owner.also)} if owner.also else {}
        content |= proof or {}
        self._vault.write(self.path(access_key), content, version)


def _is_dead(document: Document) -> bool:
    return (document.data or {}).get("state") == DEAD


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _owner(document: Document) -> Owner | None:
    data = document.data or {}
    target, rotation_id = data.get("target"), data.get("rotation_id")
    if not isinstance(target, str) or not target:
        return None
    account, also = data.get("account"), data.get("also")
    return Owner(
        target,
        rotation_id if isinstance(rotation_id, str) else None,
        account if isinstance(account, str) and account else DEFAULT_ACCOUNT,
        tuple(name for name in also if isinstance(name, str)) if isinstance(also, list) else (),
    )
