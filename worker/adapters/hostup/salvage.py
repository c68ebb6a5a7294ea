"""The new key in an answer to a create that no other reader of ours could read; pure.

A create cannot be repeated, so its answer is judged by whether the key is in it and not by its form. This is asked
where httpx or the JSON reader gave up, and gets all that was received (docs/facts.md, "HTTP").

It never guesses. A key pair is handed out only where

- access key and secret are whole quoted strings of letters, digits and ``+ / = _ . -`` in one object at ``data.key``,
  the secret directly behind the access key (page "Create a key"), or anywhere in that object when the whole document is
  there;
- **the same object names the label that was sent**, behind the secret or in a whole document;
- nothing contradicts: no second pair, no name that stands twice.

So an answer that was cut before the end of its label gives no pair, although the secret's closing quote was seen. A
quote does not prove that the secret is whole, since what comes behind a cut (the next answer on the connection, a
gateway's note) can begin with one; a label behind the secret does prove it. And only the label tells whose answer this
is: where a cache or proxy mixes answers up, the pair would be another target's, published here and deleted later. What
is lost is small: a cut within the few dozen bytes from the secret's end to the label's. The access key is named then,
and can be retired. It is named only where ``"secretKey":`` follows it, for the same reason.
"""

from __future__ import annotations

from dataclasses import replace

from worker.adapters.hostup.finding import Found, Salvaged, find
from worker.adapters.hostup.head import read_head
from worker.adapters.hostup.unwrap import Body, bodies, texts

__all__ = ["Found", "Salvaged", "salvage"]

_BEST_CHARSET = (
    Found.UNUSABLE,
    Found.KEY_PAIR,
    Found.ACCESS_KEY,
    Found.ANOTHER_LABEL,  # after all that agrees: in the wrong charset a label is another one
    Found.CHANGED_API,
    Found.REQUEST_ID,
)
_SETTLED = (Found.UNUSABLE, Found.KEY_PAIR, Found.ANOTHER_LABEL)


def salvage(raw: bytes, label: str) -> Salvaged | None:
    """What can be made out of all the bytes that were received of a create for ``label``; None for nothing of use.

    ``raw`` begins with the status line and may end anywhere; the caller bounds it (4 MiB). Never fails; the time is
    linear, and decoding gives at most 4 MiB at a time.
    """
    head = read_head(raw)
    best: Salvaged | None = None
    for body in bodies(raw, head):
        found = _find(body, label)
        if found is None:
            continue
        best = _better(best, found)
        if best.found in _SETTLED:
            break
    return best and replace(best, status=head.status)


def _find(body: Body, label: str) -> Salvaged | None:
    """The best of what a body is in any charset."""
    best: Salvaged | None = None
    for text, wrong in texts(body):
        found = find(text, label)
        if found is None:
            continue
        found = replace(found, wrong=tuple(dict.fromkeys((*wrong, *found.wrong))))
        if best is None or _BEST_CHARSET.index(found.found) < _BEST_CHARSET.index(best.found):
            best = found
        if best.found in (Found.UNUSABLE, Found.KEY_PAIR):
            break
    return best


def _better(known: Salvaged | None, found: Salvaged) -> Salvaged:
    """Which of what two forms of the same body show counts."""
    if known is None:
        return found
    if known.access_key and found.access_key and known.access_key != found.access_key:
        same_id = known.request_id if known.request_id == found.request_id else None
        why = "There are two different key pairs in one answer."
        return Salvaged(Found.UNUSABLE, request_id=same_id, why=why, wrong=known.wrong)
    if found.found in _SETTLED or _BEST_CHARSET.index(found.found) < _BEST_CHARSET.index(known.found):
        return found
    return known
