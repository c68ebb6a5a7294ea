"""Whether a key whose grace is over is kept on, because apps say that they still use it. Pure.

``retire = "when-unused"`` of a target: what apps say (:mod:`worker.targets.receipts`) can keep a key longer, up to the
target's ``retire_cap``, and never makes its time shorter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.printable import printable
from worker.rotation.record import RetiringKey, Why
from worker.rotation.texts import first_of
from worker.targets.receipts import Receipt, Receipts
from worker.targets.target import Target

LONGEST_HOLD = timedelta(minutes=30)
"""How long programs keep a key that a reader handed to them, at most; and at most half of ``grace``."""

LOOKS = 10
"""How often apps' words are looked at in the time that they can keep a key for."""

SELDOM = timedelta(minutes=5)

NAMED = 3


@dataclass(frozen=True, slots=True)
class Kept:
    """A key is kept until then at least, when it is looked at again, and why."""

    until: datetime
    why: str


def kept_until_at_most(key: RetiringKey, target: Target) -> datetime | None:
    """When a key goes whatever apps say; None where it goes when its grace is over.

    Only a key that another one replaced was ever given to apps; one that leaked goes whoever uses it.
    """
    if target.retire_cap is None or key.why is not Why.REPLACED or key.leaked:
        return None
    return key.retire_after + max(target.retire_cap - target.grace, timedelta(0))


def extended_until(key: RetiringKey, target: Target, vault_away: datetime | None) -> datetime | None:
    """A later end of a key's grace, as apps could not read the new one until ``vault_away``; None where it stays.

    When they could at last, their programs may go on with the old one for a while.
    """
    if vault_away is None or key.why is not Why.REPLACED or key.leaked:
        return None
    end = vault_away + min(LONGEST_HOLD, target.grace / 2)
    return end if end > key.retire_after else None


def kept(key: RetiringKey, target: Target, receipts: Receipts | None, now: datetime, tick: timedelta) -> Kept | None:
    """Whether a key has to stay for now; None: it may go. ``receipts`` is None where they could not be read."""
    end = kept_until_at_most(key, target)
    if end is None or now >= end:
        return None
    again = min(end, now + min(SELDOM, max(tick, (end - key.retire_after) / LOOKS)))
    if receipts is None:
        return Kept(again, "whether apps still use it is not known, since their receipts cannot be read")
    users = [each.reader for each in receipts.known if _uses(each, key.access_key, target.grace, now)]
    return Kept(again, f"still in use by {first_of(list(map(printable, users)), NAMED)}") if users else None


def _uses(receipt: Receipt, access_key: str, grace: timedelta, now: datetime) -> bool:
    """Whether a reader that is there has a key, or had it until just now: programs behind it may still have it."""
    if receipt.is_gone(now):
        return False
    had = receipt.before == access_key and now < receipt.since + min(LONGEST_HOLD, grace / 2)
    return receipt.access_key == access_key or had
