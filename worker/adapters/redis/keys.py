"""The keys that the workers share in Redis, and why none of them grows for ever.

In the same database lies the queue, by the name that the settings give it; all else of ours begins with ``rotator:``.
Nothing here is a fact: all of it can be made anew from Vault, and no secret ever comes here.
"""

from __future__ import annotations

from worker.targets.account import named_for

DUE = "rotator:due"
"""Sorted set: each configured target, by when it wants its next look (seconds since 1970; 0 goes before all else)."""

BUILT = "rotator:built"
"""There once every configured target is in :data:`DUE`; gone when Redis was wiped."""

WATCHES = "rotator:watches"
"""Sorted set: each configured target, by when what apps read of it is looked at next (seconds since 1970)."""

SEEN = "rotator:seen"
"""Hash: how what apps read of each configured target was seen last, as JSON."""

REQUESTS = "rotator:requests"
"""Hash: requests that are not on record in Vault yet, by id. Each leaves when it is on record, or is refused."""

UNACKED = "rotator:unacked"
"""Hash: messages that a worker has taken and not acknowledged, so that they come back should it be killed."""

UNACKED_INDEX = "rotator:unacked_index"
"""Sorted set: the same messages, by when they were taken (seconds since 1970)."""

WORKERS = "rotator:workers"
"""Sorted set: workers by their last sign of life; each heartbeat drops those that are gone."""

SUMMARY = "rotator:summary"
"""Hash: what ``rotator status`` shows of each configured target, as JSON."""

IDS = "rotator:ids"
"""Hash: from an id to its target, for ``rotator trace``. The newest few of each target: what is in :data:`IDS_OF`."""

IDS_OF = "rotator:ids_of"
"""Hash: the ids in :data:`IDS` that lead to each configured target, as JSON, newest first."""

VERSIONS = "rotator:versions"
"""Hash: what was seen last of each configured target's record: its version, and number and hash of its newest entry."""

PLANS = "rotator:plans"
"""Hash: of each configured target, a digest of the schedule, grace and path that its last look went by."""

CREATES = "rotator:creates"
"""Sorted set: places for creates that are taken, by when each ends; at most ``parallel_creates``.

This and the six below are those of the default account; those of another have its name behind: :func:`at`.
"""

CIRCUIT = "rotator:circuit"
"""Hash of a few fields; expires."""

PAUSES = "rotator:pauses"
"""Hash of at most two fields for each kind of call that HostUp asked to wait with: until when, and why; expires."""

PARKED = "rotator:parked"
"""Set: targets that the open circuit or a pause turned away; emptied when it closes, and expires."""

BASELINE = "rotator:baseline"
"""String: a mark of the one who counts the keys of the account at the very beginning; expires."""

COUNT = "rotator:count"
"""Hash of four fields: the number of keys at HostUp, when it was asked for, how many were made since; and how many
creates were begun in all."""


TICKED = "rotator:ticked"
"""String: when the last tick of any worker was done (seconds since 1970)."""

AUDIT = "rotator:audit"
"""String: when the last audit was and what it counted, as JSON."""

API_KEY = "rotator:api_key"
"""String: since when the API key in Vault is in use, when it is rolled, whether it waits for a person, as JSON."""

TRIAL = "rotator:trial"
"""String: written by ``rotator check`` to see that writing works; expires at once."""


OF_ACCOUNT = (CREATES, CIRCUIT, PAUSES, PARKED, BASELINE, COUNT, AUDIT, API_KEY)
"""The keys that each account has for itself."""


def at(account: str, key: str) -> str:
    """One of :data:`OF_ACCOUNT`, of an account."""
    return named_for(account, key, ":")


def lock(target: str) -> str:
    """String: the token of the one who looks at a target; expires."""
    return f"rotator:lock:{target}"


def woken(target: str) -> str:
    """String: the last wake-up of a target, a token that no other wake-up has; expires."""
    return f"rotator:woken:{target}"


def once(work: str) -> str:
    """String: there while a piece of work that one worker does for all is taken; expires."""
    return f"rotator:once:{work}"


def outbox(channel: str) -> str:
    """Hash: notices that wait for a channel, as JSON, by their ids; a bounded number, and expires."""
    return f"rotator:outbox:{channel}"


def outbox_due(channel: str) -> str:
    """Sorted set: the same notices, by when each is tried next (seconds since 1970); expires."""
    return f"rotator:outbox_due:{channel}"


def told(mark: str) -> str:
    """String: there while something was told and is not over; expires."""
    return f"rotator:told:{mark}"


def delivery(mark: str) -> str:
    """String: there once a report of a leak with this mark was dealt with; expires."""
    return f"rotator:delivery:{mark}"


def leaks(target: str) -> str:
    """Sorted set: the marks of the reports that began leak mode lately, by when (seconds since 1970); expires."""
    return f"rotator:leaks:{target}"
