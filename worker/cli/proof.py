"""The proof of one key's life: a JSON text that holds together by itself, and how that is checked. Pure.

It holds the entries about the key as they stand in Vault, and of every other entry up to the newest one the digest, so
that the chain of the history can be followed from the key's first entry to its head, offline.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.cli.report_tables import Row, key_row, stamp
from worker.rotation.chain import acceptance_in, digest, hash_of, inspect, link, mark_of, number_of, parted
from worker.rotation.evidence.keys import lives
from worker.rotation.history import Entry, decode_entry

FORM = 1
KIND = "proof of a key's life, by hostup-rotator"
SEAL = "seal"
_NAMES = ("form", "kind", "made_at", "target", "access_key", "facts", "chain", SEAL)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: the problems (none: it holds), and where the chain of the proof ends."""

    problems: tuple[str, ...]
    document: Mapping[str, Any]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def make_proof(target: str, access_key: str, texts: Sequence[str], now: datetime) -> Row:
    """The proof of a key that the entries name; KeyError where they do not."""
    entries = [decode_entry(text) for text in texts]
    about = _about(entries, access_key)
    if not about:
        raise KeyError(access_key)
    first = about[0]
    accepted = {each.mark: how.number for each, how in inspect(texts).accepted}
    said = [place for place in range(first, len(texts)) if entries[place].number in accepted.values()]
    told = {*about, *said}
    chain = {
        "before": hash_of(texts[first - 1]) if first else "",
        "entries": [_item(texts, place, accepted, told=place in told) for place in range(first, len(texts))],
        "head": {"n": number_of(texts[-1]), "hash": hash_of(texts[-1])},
    }
    found: Row = {
        "form": FORM,
        "kind": KIND,
        "made_at": stamp(now),
        "target": target,
        "access_key": access_key,
        "facts": _facts(target, access_key, [entries[place] for place in sorted(told)]),
        "chain": chain,
    }
    return found | {SEAL: _seal(found)}


def rendered(document: Mapping[str, Any]) -> str:
    """The one way in which a proof is written."""
    return json.dumps(document, indent=2, ensure_ascii=True)


def check_proof(text: str) -> Checked:
    """See whether a proof holds together: any changed character is told."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return Checked(("it is no JSON",), {})
    if not isinstance(document, dict) or document.get("kind") != KIND:
        return Checked(("it is no proof of a key's life",), {})
    if document.get("form") != FORM:
        return Checked((f"it has another form than {FORM}: another release of rotator can check it",), {})
    try:
        return Checked(tuple(_problems(document, text)), document)
    except UnicodeEncodeError:  # halves of characters, which JSON can name
        return Checked(("it holds what is no text",), {})


def _problems(document: Mapping[str, Any], text: str) -> Iterator[str]:
    if tuple(document) != _NAMES or f"{rendered(document)}\n" != text:
        yield "it is not written as `rotator prove` writes it: something was added, taken away or laid out anew"
    if _seal({name: value for name, value in document.items() if name != SEAL}) != document.get(SEAL):
        yield "its seal does not fit: something in it was changed"
    try:
        yield from _chain_problems(document["chain"])
        entries = [decode_entry(item["text"]) for item in document["chain"]["entries"] if "text" in item]
        if document["facts"] != _facts(document["target"], document["access_key"], entries):
            yield "its facts are not what its entries say"
    except (KeyError, TypeError, AttributeError, IndexError):
        yield "parts of it are missing"


def _chain_problems(chain: Mapping[str, Any]) -> Iterator[str]:
    before = chain["before"]
    for item in chain["entries"]:
        text = item.get("text")
        if "accepted" in item:
            if _acceptance_of(chain, item, before) is None:
                yield f"entry {item['n']} is said to be accepted, and no entry says so"
            before = item["hash"] if text is None else hash_of(text)
            continue
        if text is None:
            before = link(before, item["sha256"]) if item["linked"] else item["sha256"]
            continue
        body, carried = parted(text)
        if number_of(text) != item["n"]:
            yield f"entry {item['n']} has another number in its text"
        if carried is not None and carried != link(before, digest(body)):
            yield f"the hash of entry {item['n']} does not fit: it, or one before it, was changed"
        before = hash_of(text)
    if before != chain["head"]["hash"] or chain["entries"][-1]["n"] != chain["head"]["n"]:
        yield "its entries do not lead to its head"


def accepted_breaks(document: Mapping[str, Any]) -> list[str]:
    """The breaks of the chain that somebody accepted, in words. Of a proof that holds."""
    items = {item["n"]: item for item in document["chain"]["entries"]}
    found = [item for item in document["chain"]["entries"] if "accepted" in item]
    said = [acceptance_in(items[item["accepted"]]["text"]) for item in found]
    return [
        f"Entry {item['n']} does not fit the one before it, {how.words}"
        for item, how in zip(found, said, strict=True)
        if how
    ]


def _acceptance_of(chain: Mapping[str, Any], item: Mapping[str, Any], before: str) -> Mapping[str, Any] | None:
    """The entry of the proof that accepts this break, as it stands."""
    if "text" in item:
        body, carried = parted(item["text"])
        own = digest(body)
    else:
        own, carried = item["sha256"], item["hash"] if item["linked"] else None
    mark = mark_of(item["n"], before, own, carried)
    for each in chain["entries"]:
        said = acceptance_in(each.get("text", "")) if each["n"] == item["accepted"] and "accepted" not in each else None
        if said and mark in said.marks:
            found: Mapping[str, Any] = each
            return found
    return None


def unlinked(document: Mapping[str, Any]) -> list[int]:
    """The numbers of the entries about the key that carry no hash, as releases before wrote them."""
    items = document["chain"]["entries"]
    return [item["n"] for item in items if "text" in item and parted(item["text"])[1] is None]


def _about(entries: Sequence[Entry], access_key: str) -> list[int]:
    """The places of the entries about a key, and about the rotation that made it."""
    made = {entry.rotation_id for entry in entries if entry.access_key == access_key and entry.rotation_id}
    return [
        place
        for place, entry in enumerate(entries)
        if access_key in (entry.access_key, entry.facts.get("previous_access_key")) or entry.rotation_id in made
    ]


def _item(texts: Sequence[str], place: int, accepted: Mapping[str, int], *, told: bool) -> Row:
    """An entry; ``accepted`` are the marks of breaks that somebody accepted, with the entries that say so."""
    text = texts[place]
    number, (body, carried) = number_of(text), parted(text)
    by = accepted.get(mark_of(number, hash_of(texts[place - 1]) if place else "", digest(body), carried))
    how: Row = {"accepted": by} if by else {}
    if told:
        return {"n": number, "text": text, **how}
    broken = {"hash": carried or digest(text)} if by else {}
    return {"n": number, "sha256": digest(body), "linked": carried is not None, **how, **broken}


def _facts(target: str, access_key: str, entries: Sequence[Entry]) -> Row:
    timed = [entry for entry in entries if entry.at]
    found = {key.access_key: key for key in lives(target, timed, {})}
    return key_row(found[access_key])


def _seal(document: Mapping[str, Any]) -> str:
    return digest(json.dumps(document, sort_keys=True, separators=(",", ":")))
