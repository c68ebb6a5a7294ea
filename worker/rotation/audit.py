"""The audit: do the keys that HostUp counts, the records and the calendar agree? Finds, and changes nothing.

``keyCount`` is the one way to see keys that nobody has on record (page "Service status"). Keys that were there before
the worker came are foreign: see :mod:`worker.rotation.baseline`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from worker.errors import RecordDeleted, VaultError, VaultUnavailable
from worker.rotation.baseline import ensure_baseline
from worker.rotation.findings import (
    AuditFinding,
    of_account,
    of_answers,
    of_lost_accounts,
    of_places,
    of_rescued,
    of_shared,
    of_storage,
    of_targets,
    of_trouble,
)
from worker.rotation.observe import Observation, observe, observe_all
from worker.rotation.record import CurrentKey, Record
from worker.rotation.services import Services
from worker.rotation.survey import Progress, Survey, survey
from worker.targets.account import at_account
from worker.targets.target import Target

PASSES = 3
PASS_SECONDS = 1.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AccountCount:
    """What an audit counted of one account.

    ``key_count`` are the keys that HostUp counts, ``on_record`` those that records answer for, ``foreign`` those that
    were somebody else's, of which ``adopted`` were taken over by name. ``drift``: keys that nothing explains (negative:
    keys that are missing). None: not known. ``unaccounted`` are the targets whose current key is not known to live.
    """

    account: str
    key_count: int | None
    on_record: int
    foreign: int | None
    drift: int | None
    adopted: int = 0
    unaccounted: tuple[str, ...] = ()

    @property
    def still_foreign(self) -> int | None:
        """How many keys are foreign that nobody has taken over by name."""
        return None if self.foreign is None else max(0, self.foreign - self.adopted)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found, with what it counted of each account. The numbers of all accounts are their sums."""

    at: datetime
    targets: int
    accounts: tuple[AccountCount, ...]
    findings: tuple[AuditFinding, ...]
    survey: Survey = field(repr=False)
    had_rescued: tuple[str, ...] = ()

    @property
    def key_count(self) -> int | None:
        """How many keys HostUp counts; None where it does not say so of each account."""
        return _sum(each.key_count for each in self.accounts)

    @property
    def on_record(self) -> int:
        """How many keys the records answer for."""
        return sum(each.on_record for each in self.accounts)

    @property
    def foreign(self) -> int | None:
        """How many keys are foreign."""
        return _sum(each.foreign for each in self.accounts)

    @property
    def drift(self) -> int | None:
        """How many keys nothing explains; 0 only where that holds for each account."""
        return _sum(each.drift for each in self.accounts)

    @property
    def counted(self) -> frozenset[str]:
        """The accounts of which the keys could be counted and compared."""
        return frozenset(each.account for each in self.accounts if each.drift is not None)

    @property
    def endpoints(self) -> frozenset[str]:
        """The accounts whose object storage may be asked; none where HostUp does not say how things are."""
        refused = {finding.account for finding in self.findings if finding.kind == "endpoint"}
        return frozenset(each.account for each in self.accounts if each.key_count is not None) - refused

    @property
    def dealt_with(self) -> frozenset[str]:
        """The targets for which something was rescued once, and nothing of it is left."""
        return frozenset(self.had_rescued) - {each.target for each in self.findings if each.kind == "rescued"}

    @property
    def explained(self) -> frozenset[str]:
        """The accounts of which every key is explained.

        With as many keys as are on record, another one may stand for a current one that is gone.
        """
        return frozenset(each.account for each in self.accounts if each.drift == 0 and not each.unaccounted)


def audit(
    services: Services,
    targets: Mapping[str, Target],
    slack: timedelta,
    progress: Progress | None = None,
    *,
    observing: bool = True,
) -> AuditReport:
    """Look at everything. ``slack`` is how late something may be before it is reported.

    ``observing``: see what apps read, as the watch does. A worker, which watches, does so only where keys are missing.

    Raises VaultError.
    """
    noted = of_each(services.accounts, lambda account: _foreign_keys(services, targets, account))
    findings = [finding for _, found in noted.values() for finding in found]
    foreign = {account: number for account, (number, _) in noted.items()}
    seen, counts = _measure(services, targets, foreign, progress)
    now = services.clock.now()
    storages = of_each(services.accounts, lambda account: list(of_storage(services, account)))
    findings += [finding for found in storages.values() for finding in found]
    missing = frozenset(count.account for count in counts if count.drift and count.drift < 0)
    observed = _observed(services, seen, targets, None if observing else missing)
    counts = [replace(count, unaccounted=_unaccounted(seen, observed, count.account)) for count in counts]
    for count in counts:
        findings += of_account(seen, count.account, count.key_count, count.drift, count.unaccounted)
        findings += of_places(seen, count.account)
    had_rescued = services.store.targets_with_rescued()
    findings += [
        *of_rescued(services, had_rescued),
        *of_shared(seen),
        *of_lost_accounts(seen, services.accounts),
        *of_targets(seen, targets, now, slack),
        *of_answers(seen.records, _one_of_each_account(services, seen, targets)),
    ]
    findings += [
        of_trouble(name, each.trouble)
        for name, each in observed.items()
        if each.trouble and seen.records[name].trouble is None
    ]
    return AuditReport(now, len(targets), tuple(counts), tuple(findings), seen, had_rescued)


def of_each(accounts: Collection[str], look: Callable[[str], T]) -> dict[str, T]:
    """What ``look`` makes of each account, all at once: none waits for another that does not answer.

    Raises what that raises.
    """
    if len(accounts) <= 1:
        return {account: look(account) for account in accounts}
    with ThreadPoolExecutor(len(accounts), thread_name_prefix="account") as pool:
        return dict(zip(accounts, pool.map(look, accounts), strict=True))


def _sum(numbers: Iterable[int | None]) -> int | None:
    """Their sum; None where one of them is not known. Those that are too high and too low do not make up for it."""
    known = list(numbers)
    wrong = [number for number in known if number]
    if None in known or not known:
        return None
    total = sum(number or 0 for number in known)
    return total or (wrong[0] if wrong else 0)


def _foreign_keys(
    services: Services, targets: Mapping[str, Target], account: str
) -> tuple[int | None, list[AuditFinding]]:
    """How many keys are foreign; where that note was deleted, nobody knows, and all else is looked at all the same."""
    try:
        return ensure_baseline(services, targets, account=account), []
    except RecordDeleted as error:
        return None, [AuditFinding("account", None, f"{error.what}{at_account(account)}", error.hint, account)]


def _one_of_each_account(services: Services, seen: Survey, targets: Mapping[str, Target]) -> dict[str, Observation]:
    """One target of each account, asked about with the right secret: only to that the storage says some things."""
    names = {each.current.account: name for name, each in seen.records.items() if each.current and name in targets}
    found: dict[str, Observation] = {}
    for name in names.values():
        try:
            observation = observe(services, targets[name], seen.records[name], right=True)
        except VaultUnavailable:
            raise
        except VaultError:
            continue  # the target's own look tells
        if observation:
            found[name] = observation
    return found


def _observed(
    services: Services, seen: Survey, targets: Mapping[str, Target], accounts: Collection[str] | None
) -> dict[str, Observation]:
    """What apps read of targets whose current key lies on these accounts; None: on any."""
    records = seen.records.items()
    theirs = {
        name: each for name, each in records if each.current and (accounts is None or each.current.account in accounts)
    }
    return observe_all(services, theirs, targets) if theirs else {}


def _unaccounted(seen: Survey, observed: Mapping[str, Observation], account: str) -> tuple[str, ...]:
    """The targets with a current key on this account that is not known to live."""
    there = {name: each.current for name, each in seen.records.items() if each.current}
    return tuple(
        name
        for name, current in there.items()
        if current.account == account and not _lives(seen.records[name], current, observed.get(name))
    )


def _lives(record: Record, current: CurrentKey, observation: Observation | None) -> bool:
    """Whether the key was just seen living; where nobody looked: whether nothing is known to be wrong with it."""
    if observation:
        return bool(observation.living)
    return not (record.trouble and record.trouble.killed(current.access_key))


def _measure(
    services: Services, targets: Mapping[str, Target], foreign: Mapping[str, int | None], progress: Progress | None
) -> tuple[Survey, list[AccountCount]]:
    """Count and read until nothing moved in between and two looks agree; what still moves is no drift.

    An account with which that is so is not asked again for another's sake.
    """
    settled: dict[str, AccountCount] = {}
    last: dict[str, int | None] = {}
    left = list(foreign)
    for turn in range(PASSES + 1):
        before = of_each(left, lambda account: services.at(account).account.key_count())
        seen = survey(services, targets, progress)
        after = of_each(left, lambda account: services.at(account).account.key_count())
        for account in left:
            count = _counted(seen, account, after[account], foreign[account])
            still = before[account] == after[account] and not seen.creating(account)
            if count.drift is None or (still and count.drift in (0, last.get(account))):
                settled[account] = count
            elif turn == PASSES:
                settled[account] = replace(count, drift=None)
            last[account] = count.drift if still else None
        left = [account for account in left if account not in settled]
        if not left:
            break
        services.clock.wait(PASS_SECONDS)
    return seen, [settled[account] for account in foreign]


def _counted(seen: Survey, account: str, key_count: int | None, foreign: int | None) -> AccountCount:
    """Of one account; the drift is not known where one of the numbers is not."""
    living, adopted = seen.living(account), seen.adopted(account)
    drift = None if key_count is None or foreign is None else key_count - living - max(0, foreign - adopted)
    return AccountCount(account, key_count, living, foreign, drift, adopted)
