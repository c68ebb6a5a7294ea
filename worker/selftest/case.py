"""What follows from the evidence, for several rules of :mod:`worker.selftest.checker`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from worker.sandbox.simulator.ledger import Call, calls
from worker.selftest.evidence import Evidence, Json, Kept, Watched


@dataclass(frozen=True, slots=True)
class Publication:
    """A version of an app's secret, and the key in it."""

    target: Watched
    version: int
    access_key: str | None
    at: datetime


@dataclass(frozen=True)
class Case:
    """The evidence, and what follows from it for several rules."""

    evidence: Evidence

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """Every call of the HostUp API."""
        return calls(
            entry for entry in self.evidence.entries if entry["kind"] != "s3" and entry.get("call") is not None
        )

    @cached_property
    def created(self) -> dict[str, Call]:
        """The keys that API calls made, each with its call."""
        return {c.access_key: c for c in self.calls if c.operation == "create" and c.effect and c.access_key}

    @cached_property
    def deletes(self) -> tuple[Call, ...]:
        """The API calls that deleted a key, in order."""
        return tuple(c for c in self.calls if c.operation == "delete" and c.effect)

    @cached_property
    def deleted(self) -> frozenset[str]:
        """The keys that are gone, no matter who deleted them."""
        return frozenset(self.died)

    @cached_property
    def died(self) -> Mapping[str, datetime]:
        """When each key went that is gone, no matter who deleted it."""
        effects = (e for e in self.evidence.entries if e["kind"] == "effect" and e["operation"] == "delete")
        return {str(entry["access_key"]): datetime.fromisoformat(str(entry["at"])) for entry in effects}

    @cached_property
    def history(self) -> tuple[Json, ...]:
        """The history of all targets."""
        return tuple(entry for kept in self.evidence.kept for entry in kept.history)

    @cached_property
    def publications(self) -> tuple[Publication, ...]:
        """What the apps' secrets held, by target and version. The data of destroyed versions is the history's word."""
        return tuple(each for kept in self.evidence.kept for each in _publications(kept))

    @cached_property
    def published(self) -> Mapping[str | None, Sequence[tuple[Publication, datetime | None]]]:
        """By access key: the publications of it, each with the moment of the next version, if there is one."""
        found: dict[str | None, list[tuple[Publication, datetime | None]]] = {}
        for each, after in zip(self.publications, (*self.publications[1:], None), strict=False):
            until = after.at if after and after.target == each.target else None
            found.setdefault(each.access_key, []).append((each, until))
        return found

    def entries(self, *events: str) -> Iterator[Json]:
        """The history's entries of some kinds."""
        return (entry for entry in self.history if entry["event"] in events)


def _publications(kept: Kept) -> Iterator[Publication]:
    published = {
        name: entry.get("access_key")
        for entry in kept.history
        if entry["event"] in ("secret.published", "key.adopted")
        for name in (f"{kept.target.path} {entry.get('vault_version')}", *entry.get("copies", ()))
    }
    for target, versions in kept.everywhere():
        for version in versions:
            known = published.get(f"{target.path} {version.number}")
            key = known if version.data is None else version.data.get(target.key_field)
            yield Publication(target, version.number, key, version.created_at)


def on_record(case: Case) -> Iterator[str]:
    """The keys that records answer for; one that stands in two places is named twice."""
    for kept in case.evidence.kept:
        record = kept.record or {}
        rotation = record.get("rotation") or {}
        places = [record.get("current"), rotation.get("key"), *record.get("retiring", [])]
        yield from (str(place["access_key"]) for place in places if place)
    yield from (str(document["access_key"]) for document in rescued(case) if document.get("access_key"))


def rescued(case: Case) -> list[Json]:
    """What was saved beside a record that could not be used."""
    return [document for path, document in case.evidence.documents.items() if path.startswith("_rescued/")]


def dead_keys(case: Case) -> set[str]:
    """The keys whose death is in the history."""
    return {str(entry["access_key"]) for entry in case.entries("key.dead")}


def unknown_rotations(case: Case) -> set[str]:
    """The rotations with an unconfirmed create on record."""
    rotations = {str(entry["rotation_id"]) for entry in case.entries("create.unconfirmed")}
    for kept in case.evidence.kept:
        rotations |= {str(create["rotation_id"]) for create in (kept.record or {}).get("unconfirmed_creates", [])}
    return rotations
