"""A target's whole history as it stands in Vault, archives and names before included, and how its chain was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from worker.errors import RecordError
from worker.events import Event
from worker.rotation.chain import ChainState, inspect, number_of
from worker.rotation.history import Entry, History, decode_entry
from worker.rotation.records import RecordStore

MOST_NAMES = 20
"""How many names that a target had before are followed."""


@dataclass(frozen=True, slots=True)
class WholeHistory:
    """The texts of all entries, oldest first, each once; and the chain that they make."""

    texts: tuple[str, ...]
    chain: ChainState

    def entries(self) -> tuple[Entry, ...]:
        """The same, read."""
        return tuple(map(decode_entry, self.texts))


def whole_history(store: RecordStore, target: str) -> WholeHistory:
    """Read all of it, also of a target whose record cannot be used otherwise. Raises RecordError, VaultError."""
    history, newest = _recent(store, target)
    archived = _archived(store, target)
    last = number_of(archived[-1]) if archived else 0
    twice = frozenset(archived)
    recent = tuple(text for text in history.texts() if number_of(text) > last or text not in twice)
    texts = (*_under_names_before(store, target, (*archived, *recent)), *archived, *recent)
    return WholeHistory(texts, inspect(texts, newest))


def _recent(store: RecordStore, target: str) -> tuple[History, int | None]:
    """The record's part, and the number that the newest entry has by the record."""
    try:
        loaded = store.load(target, "")
    except RecordError:
        return store.history(target), None
    return loaded.record.history, loaded.record.next_entry - 1 if loaded.version else None


def _archived(store: RecordStore, target: str) -> tuple[str, ...]:
    return tuple(store.archived_texts(target))


def _under_names_before(store: RecordStore, target: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    """What was archived before the target got its name: it stays under the old one."""
    found: tuple[str, ...] = ()
    names = {target}
    for _ in range(MOST_NAMES):
        first = number_of((*found, *texts)[0]) if (*found, *texts) else 1
        old = next(_names_before((*found, *texts), names), None)
        if first <= 1 or old is None:
            break
        names.add(old)
        found = (*(text for text in _archived(store, old) if number_of(text) < first), *found)
    return found


def _names_before(texts: tuple[str, ...], known: set[str]) -> Iterator[str]:
    for text in texts:
        if Event.TARGET_RENAMED.value in text:
            entry = decode_entry(text)
            name, renamed = entry.facts.get("old_name"), entry.event == Event.TARGET_RENAMED
            if renamed and isinstance(name, str) and name not in known:
                yield name
