"""The services that a rotation works with, as ports; and the times that hold for all targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol

from worker.clock import Clock
from worker.errors import AccountGone
from worker.meter import NO_METER, Meter
from worker.rotation.ports import AccountPort, HostUpPort, StoragePort, VaultPort
from worker.rotation.records import RecordStore
from worker.secret import Secret
from worker.spans import NO_SPANS, Spans
from worker.targets.backoff import Backoff
from worker.targets.location import HOME
from worker.targets.receipts import RECEIPTS_PATH
from worker.targets.target import Target


@dataclass(frozen=True, slots=True)
class Policy:
    """The times that hold for all targets, the mount that paths are in, and where in it apps leave receipts."""

    mount: str
    lease: timedelta
    create_deadline: timedelta
    verify_within: timedelta
    dead_within: timedelta
    tick: timedelta
    watch_every: timedelta = timedelta(minutes=10)
    receipts_path: str = RECEIPTS_PATH

    def backoff(self, target: Target) -> Backoff:
        """How a target backs off: from a tick up to an hour, but never longer than it is between two rotations."""
        longest = min(timedelta(hours=1), target.schedule.shortest_gap())
        return Backoff(self.tick, max(longest, self.tick))


class Storage(StoragePort, Protocol):
    """The object storage, with the address that apps get; HostUp may have to be asked for both first."""

    @property
    def endpoint(self) -> str:
        """The S3 endpoint. Raises as :meth:`see_that_it_can_be_asked`."""
        ...

    @property
    def region(self) -> str:
        """The region for signatures. Raises as :meth:`see_that_it_can_be_asked`."""
        ...

    def see_that_it_can_be_asked(self) -> None:
        """See that its address is known and accepted.

        Raises EndpointRefused, StorageError, HostUpError, VaultError, RecordDeleted.
        """
        ...


def _no_logs(secret: Secret) -> None:
    """For services without logs: there is nothing to keep secrets out of."""


@dataclass(slots=True)
class VaultAway:
    """When Vault could not be reached last, as far as this process saw it: apps could not read it then, either.

    ``elsewhere`` tells it of the Vaults of destinations, by their names.
    """

    last: datetime | None = None
    elsewhere: dict[str, datetime] = field(default_factory=dict)

    def seen(self, now: datetime, destination: str = HOME) -> None:
        """It cannot be reached."""
        if destination:
            self.elsewhere[destination] = now
        else:
            self.last = now

    def of(self, target: Target) -> datetime | None:
        """When any Vault was away that apps of this target read."""
        known = [self.elsewhere.get(copy.destination) for copy in target.also]
        return max((moment for moment in (self.last, *known) if moment), default=None)


@dataclass(slots=True)
class RightSecrets:
    """Whose turn it is to be asked about with its right secret: one key of each account at a time, by this process.

    Only so is a suspended user seen (docs/facts.md, "Ceph's object gateway"). While one is, all keys of the account are
    asked about so.
    """

    _turns: dict[str, float] = field(default_factory=dict)
    _suspended: set[str] = field(default_factory=set)
    _told: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def turn_of(self, account: str, now: float, every: timedelta) -> bool:
        """Whether it is time for a key of this account: ``every`` so long; ``now`` is in seconds."""
        with self._lock:
            last = self._turns.get(account)
            if account not in self._suspended and last is not None and now - last < every.total_seconds():
                return False
            self._turns[account] = now
            return True

    def answered(self, account: str, *, suspended: bool) -> None:
        """What the storage said to a right secret."""
        with self._lock:
            (self._suspended.add if suspended else self._suspended.discard)(account)

    def news_of(self, account: str) -> bool | None:
        """Whether the account is suspended by now, or no more, where nobody was told so yet; else None."""
        with self._lock:
            suspended = account in self._suspended
            if suspended == (account in self._told):
                return None
            (self._told.add if suspended else self._told.discard)(account)
            return suspended


@dataclass(frozen=True, slots=True)
class Destination:
    """Where copies of apps' secrets lie: a mount, of this or of another Vault."""

    vault: VaultPort
    mount: str


@dataclass(frozen=True, slots=True)
class AccountServices:
    """One account at HostUp: its API, the object storage that its keys are for, and what all workers share of it."""

    hostup: HostUpPort
    storage: Storage
    account: AccountPort


@dataclass(frozen=True, slots=True)
class Services:
    """Everything outside, as ports; ``accounts`` are those at HostUp by name, the default one first.

    ``keep_secret`` hands a secret to the logs' redaction, which forgets at the end of ``secrets_for_a_while`` what it
    was given meanwhile. ``machine`` is the machine's own clock, where ``clock`` may be put right by another one.
    ``meter`` is told what happens, ``spans`` how long a rotation and its steps took. ``destinations`` are those of
    ``[[destination]]``, by their names.
    """

    accounts: Mapping[str, AccountServices]
    vault: VaultPort
    store: RecordStore
    clock: Clock
    policy: Policy
    keep_secret: Callable[[Secret], None] = _no_logs
    machine: Clock | None = None
    secrets_for_a_while: Callable[[], AbstractContextManager[None]] = nullcontext
    meter: Meter = NO_METER
    spans: Spans = NO_SPANS
    vault_away: VaultAway = field(default_factory=VaultAway)
    destinations: Mapping[str, Destination] = field(default_factory=dict)
    right_secrets: RightSecrets = field(default_factory=RightSecrets)

    def at(self, account: str) -> AccountServices:
        """The services of the account that a key lies on. Raises AccountGone."""
        found = self.accounts.get(account)
        if found is None:
            raise AccountGone(
                f"account {account} is not configured any more",
                hint=f"Nothing is lost: what lies on it waits. Put [[account]] {account} back into the configuration, "
                "at least until its last key is dead.",
            )
        return found

    def destination(self, name: str) -> Destination | None:
        """The destination of this name; None where it is not configured (any more)."""
        return self.destinations.get(name) if name else Destination(self.vault, self.policy.mount)
