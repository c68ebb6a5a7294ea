"""What an audit finds wrong, each with what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.errors import HostUpError, RecordDeleted, StorageError
from worker.rotation.chain import ChainState, inspect, number_of
from worker.rotation.changes.watch import wants_healing
from worker.rotation.claiming import holders
from worker.rotation.decide import MOVES_PER_DAY, creates_at, may_move, waits_for_person
from worker.rotation.hold import pause_of, pause_text
from worker.rotation.in_use import kept_until_at_most
from worker.rotation.observe import SUSPENDED_HINT, Observation, advice, suspended_text
from worker.rotation.ports import SKEWED, SUSPENDED
from worker.rotation.record import Paused, Record, Trouble
from worker.rotation.services import Services
from worker.rotation.status import due_at, failing_since, held_back_by, outlook
from worker.rotation.survey import Survey
from worker.rotation.texts import OTHERS_PLACES, first_of
from worker.targets.account import account_option, at_account
from worker.targets.target import Target

NAMED = 5
"""So many targets are named in one finding."""

LEFT_OVER = timedelta(days=1)
"""How late the keys of a target that was removed may be deleted: a worker's audit does it."""


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One thing that is not as it should be, and what to do about it.

    ``account`` where it is about one, and ``location`` where it is about a copy of the app's secret.
    """

    kind: str
    target: str | None
    what: str
    hint: str
    account: str | None = None
    location: str = ""

    def is_of_account(self, name: str) -> bool:
        """Whether it is about this account as a whole, and not about a target."""
        return self.target is None and self.account == name


def of_account(
    seen: Survey, account: str, count: int | None, drift: int | None, unaccounted: Sequence[str] = ()
) -> Iterator[AuditFinding]:
    """What is wrong with an account as a whole; ``unaccounted`` are targets whose current key is not known to live."""
    at, settle = at_account(account), f"rotator settle --foreign N{account_option(account)}"
    if count is None:
        what = f"HostUp does not say how many keys there are{at}"
        yield AuditFinding("count", None, what, "See `rotator check`.", account)
    if drift and drift > 0:
        creates = (create for record in seen.records.values() for create in creates_at(record, account))
        labels = [create.label for create in creates if create.open]
        hint = _of_unexplained(labels, unaccounted, settle)
        yield AuditFinding("drift", None, f"HostUp counts {drift} keys that nothing explains{at}", hint, account)
    if drift and drift < 0:
        hint = _of_missing(unaccounted, settle)
        what = f"HostUp counts {-drift} keys fewer than are on record or foreign{at}"
        yield AuditFinding("drift", None, what, hint, account)


def _of_unexplained(labels: Sequence[str], unaccounted: Sequence[str], settle: str) -> str:
    if labels:
        return f"It may be one labelled {', '.join(map(repr, labels))}; see `rotator settle`."
    theirs = f" If they are somebody else's, note them with `{settle}`." if not unaccounted else ""
    return (
        f"Look in HostUp's panel.{theirs} If Vault was set back to a snapshot they may be keys made since: workers' "
        "logs name those (`key.created`), and `rotator settle TARGET --revoke KEY` has one deleted after the grace "
        "period."
    )


def _of_missing(unaccounted: Sequence[str], settle: str) -> str:
    if unaccounted:
        return (
            f"Somebody deleted keys elsewhere, and the current key of {first_of(unaccounted, NAMED)} is not "
            "known to live: that may be what is missing. The worker replaces a dead one; see `rotator check`, and "
            "audit again."
        )
    return (
        "Somebody deleted keys elsewhere. Every current key lives; if keys of other people are gone, note how many "
        f"remain with `{settle}`."
    )


def of_places(seen: Survey, account: str) -> Iterator[AuditFinding]:
    """Which keys give a place free, and when, where HostUp may have no room for another key of the account."""
    failures = (record.failure for record in seen.records.values())
    waiting = sum(1 for each in failures if each and each.account == account and OTHERS_PLACES in each.hint)
    if not waiting:
        return
    keys = sorted(
        (key.wanted_at, key.access_key, name)
        for name, record in seen.records.items()
        for key in record.retiring
        if key.account == account and not key.deleted_at
    )
    named = [f"{key} of {name} (from {at.isoformat(timespec='seconds')})" for at, key, name in keys]
    none = "No key is retiring: delete keys of other people, or ask HostUp for more."
    what = f"HostUp refuses another key to {waiting} targets, maybe because there are too many{at_account(account)}"
    hint = f"What comes free first: {first_of(named, NAMED, ', and ')}." if keys else none
    yield AuditFinding("places", None, what, hint, account)


def of_storage(services: Services, account: str) -> Iterator[AuditFinding]:
    """Whether an account's object storage may be asked at all. Raises VaultError."""
    try:
        services.at(account).storage.see_that_it_can_be_asked()
    except HostUpError:
        return  # its count is missing, too, and that is a finding
    except (StorageError, RecordDeleted) as error:
        yield AuditFinding("endpoint", None, f"{error.what}{at_account(account)}", error.hint, account)


def of_answers(records: Mapping[str, Record], seen: Mapping[str, Observation]) -> Iterator[AuditFinding]:
    """What the object storage says to right secrets that is about an account, or this machine, and not about a key."""
    codes: dict[tuple[str, str], None] = {}
    for name, observation in seen.items():
        current = records[name].current
        if current and observation.code in (SUSPENDED, SKEWED):
            codes[observation.code, current.account] = None
    for code, account in codes:
        if code == SUSPENDED:
            yield AuditFinding("suspended", None, suspended_text(account), SUSPENDED_HINT, account)
        else:
            what = f"the object storage says that this machine's clock is wrong ({SKEWED}){at_account(account)}"
            hint = "Have this machine's clock set by NTP. Until then nobody here can tell whether a key works."
            yield AuditFinding("clock", None, what, hint, account)


def of_lost_accounts(seen: Survey, accounts: Collection[str]) -> Iterator[AuditFinding]:
    """What lies on accounts that are not configured any more: nobody can look at it, or take it away."""
    for name, record in seen.records.items():
        for account in sorted(record.accounts() - set(accounts)):
            what = f"a key of it lies, or may lie, on account {account}, which is not configured any more"
            hint = f"Nothing is lost, and nothing is deleted there. Put [[account]] {account} back until it is gone."
            yield AuditFinding("account", name, what, hint, account)


def of_rescued(services: Services, targets: Iterable[str]) -> Iterator[AuditFinding]:
    """What was rescued for these, and is not dealt with. Raises VaultError."""
    for target in targets:
        yield from _of_rescued(services, target)


def _of_rescued(services: Services, target: str) -> Iterator[AuditFinding]:
    try:
        rescued = services.store.rescued(target)
    except RecordDeleted as error:
        yield AuditFinding("rescued", target, error.what, error.hint)
        return
    if rescued:
        what = "a key that came while the record could not be read or written was rescued"
        yield AuditFinding("rescued", target, what, f"See `rotator repair {target}`.")


def of_targets(seen: Survey, targets: Mapping[str, Target], now: datetime, slack: timedelta) -> Iterator[AuditFinding]:
    """What is wrong with single targets, by their records."""
    for name, error in seen.unreadable.items():
        yield AuditFinding("record", name, error.what, error.hint)
    for name, record in seen.records.items():
        yield from of_chain(name, _recent_chain(record))
        target = targets.get(name)
        if target is None:
            yield from _of_removed(record, targets)
            yield from _of_held(record)
            yield from _of_creates(record)
            yield from _of_retiring(record, now, LEFT_OVER)
            continue
        yield from _of_held(record)
        if record.trouble:
            yield of_trouble(name, record.trouble)
        yield from _of_moves(record, target, now)
        yield from _of_rotation(record, target, now, slack)
        yield from _of_waiting(record, target, now, slack)
        yield from _of_retiring(record, now, slack, target)


def of_shared(seen: Survey) -> Iterator[AuditFinding]:
    """Access keys on more than one record: nobody knows whose they are."""
    for access_key, names in holders(seen.records).items():
        what = f"access key {access_key} is on record for {' and '.join(names)}"
        hint = (
            "It is deleted for neither while another may need it. A cache or proxy may have mixed HostUp's answers up; "
            f"give each its own: `rotator rotate {names[-1]}`."
        )
        yield AuditFinding("shared", names[0], what, hint)


def of_chain(name: str, chain: ChainState) -> Iterator[AuditFinding]:
    """Where the hashes of a history do not fit together."""
    if not chain.holds:
        hint = (
            "Somebody changed the history in Vault, or an older release wrote beside this one. Compare "
            f"`rotator history {name} --events --json` with the workers' logs, which have every entry and its "
            f"`entry_hash`, too. Then: `rotator accept-chain {name}`."
        )
        yield AuditFinding("chain", name, f"the chain of its history is {chain.words}", hint)


def _recent_chain(record: Record) -> ChainState:
    """Of what is in the record itself: `rotator audit` looks at the archives, too."""
    texts = record.history.texts()
    return inspect(texts, record.next_entry - 1, part=bool(texts) and number_of(texts[0]) > 1)


def _of_removed(record: Record, targets: Mapping[str, Target]) -> Iterator[AuditFinding]:
    """What is on record of a target that is not configured; it may have another name now."""
    if record.current is None and record.rotation is None:
        return  # what retires is still retired, by the audit of a worker
    name = record.target
    again = next((target.name for target in targets.values() if target.path == record.path), None)
    if again:
        what = f"keys are on record under this name, and its path {record.path} is that of the target {again} now"
        yield AuditFinding("renamed", name, what, f"If it was renamed, run `rotator rename {name} {again}`.")
    else:
        key = record.current.access_key if record.current else "that is staged"
        hint = (
            f"End it with `rotator remove {name}`, or put the target back into the configuration. Nobody deletes this "
            "key meanwhile, only what retires."
        )
        yield AuditFinding("removed", name, f"access key {key} is on record, but the target is not configured", hint)


def of_trouble(name: str, trouble: Trouble) -> AuditFinding:
    """What the watch found wrong with what apps read."""
    return AuditFinding(trouble.kind.value, name, trouble.what, advice(name, trouble), location=trouble.location)


def _of_held(record: Record) -> Iterator[AuditFinding]:
    if record.deletes_held:
        hint = (
            "Nothing is deleted until an audit explains every key, or you say that all is well: "
            f"`rotator settle {record.target} --restored`. Keys that were made since are named in the worker's log; to "
            f"have one deleted after the grace period: `rotator settle {record.target} --revoke KEY`."
        )
        yield AuditFinding("set back", record.target, "Vault has an older record than was seen before", hint)


def _of_creates(record: Record) -> Iterator[AuditFinding]:
    for create in record.unconfirmed_creates:
        if create.open:
            what = (
                f"rotation {create.rotation_id} may have made a key labelled {create.label!r} ({create.error}, "
                f"requestId {create.request_id or 'none'}, keyCount {create.key_count_before} before, "
                f"{create.key_count_after} after)"
            )
            yield AuditFinding("unconfirmed create", record.target, what, f"See `rotator settle {record.target}`.")


def _of_rotation(record: Record, target: Target, now: datetime, slack: timedelta) -> Iterator[AuditFinding]:
    yield from _of_creates(record)
    if waits_for_person(creates_at(record, target.account)):
        what = "no key is made before the unconfirmed creates are settled"
        yield AuditFinding("blocked", record.target, what, "See above.")
    due = due_at(record, target, now)
    failure, paused = record.failure, pause_of(record, now)
    if paused:
        yield _of_pause(record, paused, due, now)
    elif record.current and due and due + slack < now:
        why = f"{failure.what}. {failure.hint}" if failure else "no worker has looked at it; see `rotator check`"
        yield AuditFinding("overdue", record.target, f"the rotation due at {due.isoformat()} has not happened", why)
    elif record.current is None:
        ask = f"It is rotated only when asked for: `rotator rotate {record.target}`." if due is None else ""
        why = f"{failure.what}. {failure.hint}" if failure else ask or "see `rotator status`"
        kind = "unasked" if due is None and not (failure or record.requests or record.rotation) else "overdue"
        yield AuditFinding(kind, record.target, "no key has been published yet", why)
    if failure:
        what = f"it fails since {failing_since(record).isoformat()}, {failure.count} times in a row: {failure.what}"
        if failure.request_id:
            what += f" (requestId {failure.request_id})"
        hint = f"{failure.hint} It is tried again at {failure.retry_at.isoformat()}.".strip()
        yield AuditFinding("failing", record.target, what, hint)


def _of_moves(record: Record, target: Target, now: datetime) -> Iterator[AuditFinding]:
    current, wanted = record.current, target.account
    if current and current.account != wanted and not may_move(record, wanted, now):
        what = f"its key lies on account {current.account}, and it belongs to account {wanted}"
        hint = (
            f"It has changed its account {MOVES_PER_DAY} times within a day: see that all workers have the same "
            f"configuration. At once: `rotator rotate {record.target}`."
        )
        yield AuditFinding("moved", record.target, what, hint, wanted)


def _of_pause(record: Record, paused: Paused, due: datetime | None, now: datetime) -> AuditFinding:
    """A pause is somebody's wish; what it holds back is said with it, and is no finding of its own."""
    waits = [f"the rotation due at {due.isoformat()}"] if due and due <= now else []
    asked = len(record.requests)
    waits += ["a request" if asked == 1 else f"{asked} requests"] if asked else []
    waits += ["the replacement of the key that apps cannot work with"] if wants_healing(record) else []
    held = f"; it holds back {', '.join(waits)}" if waits else ""
    hint = f"To end it: `rotator resume {record.target}`."
    return AuditFinding("paused", record.target, f"no new key is made: {pause_text(paused)}{held}", hint)


def _of_waiting(record: Record, target: Target, now: datetime, slack: timedelta) -> Iterator[AuditFinding]:
    late = bool(record.requests) and record.requests[0].at + slack < now and not pause_of(record, now)
    full = held_back_by(record)
    if not (late or full):
        return
    wait = outlook(record, target, now)
    hint = f"It waits for {wait.why}, until {wait.until.isoformat()}." if wait.until > now else "See `rotator check`."
    if late:
        what = f"a request for a rotation waits since {record.requests[0].at.isoformat()}"
        yield AuditFinding("waiting", record.target, what, hint)
    if full:
        hint = "Apps must take up new keys sooner, or grace be shorter; see `rotator status` for which keys these are."
        yield AuditFinding("full", record.target, full, hint)


def _of_retiring(
    record: Record, now: datetime, slack: timedelta, target: Target | None = None
) -> Iterator[AuditFinding]:
    for key in record.leaving:
        goes_at = (kept_until_at_most(key, target) if target else None) or key.retire_after
        if key.overdue:
            still = "still works" if key.undiminished is None else "HostUp counts no fewer keys since"
            what = f"access key {key.access_key} was deleted, and {still}"
            hint = f"It is deleted again. Ask HostUp, naming requestId {key.delete_request_id}."
            yield AuditFinding("alive", record.target, what, hint)
        elif not key.deleted_at and goes_at + slack < now:
            what = f"access key {key.access_key} should be deleted since {goes_at.isoformat()}"
            yield AuditFinding(
                "alive", record.target, what, key.error or "No worker has looked at it; see `rotator check`."
            )
