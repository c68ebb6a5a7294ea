"""What is done next about an API key, decided from its record and a clock. Pure.

The call that makes a key is never repeated for the same intent: what became of one that got no answer is found out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from worker.rotation.api_key.record import ApiKeyRecord, Phase
from worker.targets.account import account_word

WAY_OUT = (
    "Make an API key with the same scopes in HostUp's panel, write it to {place} (fields api_key and key_id), and run "
    "`rotator roll-api-key{account} --settle`. Delete the lost one in the panel."
)


class Step(StrEnum):
    """What is done next."""

    WAIT = "wait"
    ROLL = "roll"
    FIND_OUT = "find out"
    PROVE = "prove"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for an account's API key: how old it gets (None: any age), the lease, and how often it is looked at.

    ``place`` is where the key lies, for people; ``bootstrap``: whether there is a key that can make another one.
    """

    every: timedelta | None
    lease: timedelta
    tick: timedelta
    place: str
    bootstrap: bool = False

    def way_out(self, account: str) -> str:
        """What a person does about a lost key."""
        return WAY_OUT.format(place=self.place, account=account_word(account))


def due_at(record: ApiKeyRecord, terms: Terms, since: datetime | None) -> datetime | None:
    """When it is rolled by itself; ``since`` is how old the key in Vault is at least. None: never."""
    made = record.rolled_at or since
    return made + terms.every if terms.every and made else None


def decide(record: ApiKeyRecord, terms: Terms, now: datetime, due: datetime | None, *, asked: bool = False) -> Step:
    """The next step; ``asked``: a person wants it rolled now, whatever failed before."""
    call = record.call
    match record.phase:
        case Phase.IDLE:
            return _when_idle(record, now, due, asked=asked)
        case Phase.LOST if terms.bootstrap and not record.tried_create:
            return Step.CREATE
    if call is None:
        return Step.FIND_OUT
    if record.phase in (Phase.ROLLING, Phase.CREATING):
        return Step.WAIT if now < call.until else Step.FIND_OUT
    if not asked and now < call.next_look:
        return Step.WAIT
    return Step.PROVE if record.phase is Phase.PLACED else Step.FIND_OUT


def _when_idle(record: ApiKeyRecord, now: datetime, due: datetime | None, *, asked: bool) -> Step:
    """A roll that is asked for or due; else whether a call that got no answer was carried out after all."""
    call, trouble = record.call, record.trouble
    held = trouble is not None and (trouble.retry_at is None or now < trouble.retry_at)
    if asked or (due is not None and due <= now and not held):
        return Step.ROLL
    return Step.FIND_OUT if call and now >= call.next_look else Step.WAIT
