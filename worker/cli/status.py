"""``rotator status``: where targets stand. The truth is in Vault; Redis only has it ready for all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from worker.adapters.vault.opening import open_vault
from worker.cli.options import Options, account_named, target_named
from worker.cli.output import print_facts, print_lines, print_table, progress, result, say
from worker.cli.receipts import kept_at_most, print_readers, said_by_apps
from worker.cli.texts import ago, when
from worker.clock import SystemClock
from worker.errors import QueueUnavailable, RecordError, StorageError, VaultUnavailable
from worker.rotation.ports import VaultPort
from worker.rotation.record import Record
from worker.rotation.records import RecordStore
from worker.rotation.status import held_back, moved, summary_of, unusable, with_reason
from worker.settings.environment import Need
from worker.settings.settings import Settings
from worker.targets.account import DEFAULT_ACCOUNT, account_option, at_account
from worker.targets.target import Target

if TYPE_CHECKING:
    from worker.adapters.redis.circuit import HeldCalls
    from worker.adapters.redis.state import SharedState

Summary = dict[str, Any]

SET_BACK = "Vault was set back: nothing is deleted, see `rotator audit`"
NOTHING_SAID: Summary = {"paused": None, "rescheduled": False, "leaked": False}
NEVER_WATCHED: Summary = {"last_seen_living_at": None, "last_watched_at": None, "watch_found": ""}
LATE = timedelta(minutes=5)
"""A rotation that has not begun so long after its moment waits for something."""

COLUMNS: tuple[str, ...] = (
    "TARGET",
    "PHASE",
    "ACCESS KEY",
    "VERSION",
    "SEEN LIVING",
    "NEXT ROTATION",
    "RETIRING",
    "TROUBLE",
)

T = TypeVar("T")

REDIS_SECONDS = 2.0
"""How long Redis may take: what it knows can be had from Vault, too."""


def status(options: Options, name: str | None, *, fresh: bool, account: str | None = None) -> int:
    """Show one target as Vault has it now, or all of them, or those of an account."""
    if name is None:
        settings = _of_account(options.settings(Need.VAULT), account)
        known, seen, held = _remembered(settings, lambda shared: _overview(shared, fresh=fresh)) or ({}, {}, ())
        summaries = _of_all(options, settings, known)
        _say_held(held)
        _say_api_keys(settings, tuple(settings.accounts), known=None)
        summaries = [
            _with_account(NOTHING_SAID | summary | seen.get(summary["target"], NEVER_WATCHED), settings)
            for summary in summaries
        ]
        result(options, summaries, lambda: _print_overview(summaries))
        return 0
    settings = options.settings(Need.VAULT, only=(name,))
    if name not in settings.targets:
        settings = options.settings(Need.VAULT)  # what else there is, to tell of a likely slip
    target = target_named(settings, name)
    summary = NOTHING_SAID | _of_one(settings, target, fresh=fresh) | _sighting(settings, name)
    summary = _with_account(summary, settings)
    if summary.get("waits_until"):
        now = datetime.now(UTC)
        due = datetime.fromisoformat(summary["waits_until"]) <= now
        remembered = _remembered(settings, lambda shared: shared.index.summary(name)) if due else None
        summary = with_reason(summary, remembered, now)
    if summary["last_error"] or summary.get("requests"):
        held = _remembered(settings, _held) or ()
        _say_held([each for each in held if each.account == target.account])
    result(options, [summary], lambda: _print_detail(summary))
    return 0


def _of_account(settings: Settings, account: str | None) -> Settings:
    """The settings with the targets of one account only, if one is named. Raises UsageError."""
    if account is None:
        return settings
    name = account_named(settings, account)
    theirs = {each.name: each for each in settings.targets.values() if each.account == name}
    return replace(settings, targets=theirs, accounts={name: settings.accounts[name]})


def _with_account(summary: Summary, settings: Settings) -> Summary:
    """With the account that the target belongs to, and the one that its key lies on."""
    lies = summary.get("key_account") or DEFAULT_ACCOUNT
    key_account = lies if summary["access_key"] else None
    return summary | {"account": settings.targets[summary["target"]].account, "key_account": key_account}


def _sighting(settings: Settings, name: str) -> Summary:
    """How the watch saw the target last: Redis alone knows. Loads no more of our own than that takes."""
    from worker.adapters.redis.client import connect
    from worker.adapters.redis.watches import Watches

    try:
        with connect(settings.redis_url, timeout=REDIS_SECONDS, retries=0) as client:
            return NEVER_WATCHED | (Watches(client).sighting(name) or {})
    except QueueUnavailable:
        return NEVER_WATCHED


def _overview(
    shared: SharedState, *, fresh: bool
) -> tuple[Mapping[str, Summary], Mapping[str, Summary], Sequence[HeldCalls]]:
    """All targets as Redis remembers them (none when Vault is to be asked), when their keys were seen, what is held."""
    return ({} if fresh else shared.index.summaries()), shared.watches.sightings(), _held(shared)


def _held(shared: SharedState) -> Sequence[HeldCalls]:
    return shared.held(datetime.now(UTC))


def _say_held(found: Sequence[HeldCalls]) -> None:
    from worker.cli.held import held_text

    now = datetime.now(UTC)
    for held in found:
        say(f"{held_text(held, now)}. See `rotator circuit{account_option(held.account)}`.")


def _of_one(settings: Settings, target: Target, *, fresh: bool) -> Summary:
    clock = SystemClock()
    vault = open_vault(settings, clock)
    store = RecordStore(vault, settings.vault.state_path, clock, settings.vault.mount)
    try:
        record = store.open(target).record
        _say_endpoint(settings, store, target.account)
        _say_api_keys(settings, (target.account,), known=vault)
    except RecordError as error:
        return unusable(error, target.name)
    except VaultUnavailable as error:
        known = None if fresh else _remembered(settings, lambda shared: shared.index.summary(target.name))
        if known is None:
            raise
        say(f"{error.what}. What follows is what Redis remembers of the last look; it may be old.")
        return known
    conflict = moved(record, target)
    if conflict:
        return unusable(conflict, target.name)
    return _with_receipts(settings, vault, target, record, clock.now())


def _with_receipts(settings: Settings, vault: VaultPort, target: Target, record: Record, now: datetime) -> Summary:
    """What the record says, and what apps say of the keys that they use."""
    summary = summary_of(record, target, now)
    if settings.vault.secret_id_is_scarce and not target.retire_cap:
        return summary  # a policy without the right would cost a login
    receipts = said_by_apps(vault, settings.vault.receipts_path, target, record, now)
    return summary | {"retiring": kept_at_most(summary["retiring"], target, record), "readers": receipts}


def _say_endpoint(settings: Settings, store: RecordStore, account: str) -> None:
    """Say that HostUp names another object storage than the accepted one, where a worker saw that."""
    if settings.accounts[account].storage.endpoint:
        return
    try:
        noted = store.endpoint(account).accepted()
    except (StorageError, RecordError) as error:
        say(f"{error.what}. {error.hint}")
        return
    if noted and noted.named_instead:
        say(
            f"HostUp names the object storage {noted.named_instead}, and accepted is {noted.endpoint}: no key is made "
            f"or deleted. See `rotator accept-endpoint{account_option(account)}`."
        )


def _say_api_keys(settings: Settings, accounts: Collection[str], *, known: VaultPort | None) -> None:
    """Say what is wrong with the worker's own API keys that lie in Vault; that Vault is away shows elsewhere."""
    names = [name for name in accounts if settings.accounts[name].hostup.api_key_path]
    if not names:
        return
    from worker.cli.own_api_keys import troubles

    for line in troubles(settings, names, known):
        say(line)


def _of_all(options: Options, settings: Settings, known: Mapping[str, Summary]) -> list[Summary]:
    names = sorted(settings.targets)
    if names and all(name in known for name in names):
        return [known[name] for name in names]
    try:
        return _surveyed(options, settings)
    except VaultUnavailable as error:
        if not known:
            raise
        say(f"{error.what}. What follows is what Redis remembers of {len(known)} targets; it may be old.")
        return [known[name] for name in names if name in known]


def _surveyed(options: Options, settings: Settings) -> list[Summary]:
    from worker.rotation.survey import survey

    runtime = options.runtime(Need.VAULT, settings)
    seen = survey(runtime.services, settings.targets, progress("reading records"))
    now = runtime.clock.now()
    summaries = []
    for name, target in sorted(settings.targets.items()):
        error = seen.unreadable.get(name)
        record = seen.records.get(name)
        problem = error or (moved(record, target) if record else None)
        if problem:
            summaries.append(unusable(problem, name))
        elif record:
            summaries.append(summary_of(record, target, now))
    return summaries


def _remembered(settings: Settings, read: Callable[[SharedState], T]) -> T | None:
    """What Redis remembers; None when Redis is away."""
    from worker.adapters.redis.client import connect
    from worker.adapters.redis.state import shared_state

    try:
        with connect(settings.redis_url, timeout=REDIS_SECONDS, retries=0) as client:
            return read(shared_state(client, settings.accounts))
    except QueueUnavailable:
        return None


def _print_overview(summaries: list[Summary]) -> None:
    now = datetime.now(UTC)
    columns = COLUMNS
    rows = [_row(summary, now) for summary in summaries]
    accounts = [summary.get("account", DEFAULT_ACCOUNT) for summary in summaries]
    if any(account != DEFAULT_ACCOUNT for account in accounts):
        columns = (columns[0], "ACCOUNT", *columns[1:])
        rows = [(name, account, *rest) for (name, *rest), account in zip(rows, accounts, strict=True)]
    print_table(columns, rows)


def _row(summary: Summary, now: datetime) -> tuple[str, ...]:
    return (
        summary["target"],
        summary["phase"],
        summary["access_key"] or "-",
        str(summary["vault_version"] or "-"),
        ago(summary["last_seen_living_at"], now) or "-",
        _next(summary, now) or "-",
        str(len(summary["retiring"]) or "-"),
        _trouble(summary, now) or "-",
    )


def _next(summary: Summary, now: datetime) -> str:
    """When it is rotated next; without a moment only when somebody asks."""
    if not summary["next_rotation_at"]:
        return "" if summary["phase"] == "unreadable" else "when asked for"
    return when(summary["next_rotation_at"], now) + (", as a person set it" if summary.get("rescheduled") else "")


def _paused(summary: Summary, now: datetime) -> str:
    paused = summary.get("paused")
    if not paused or (paused["until"] and datetime.fromisoformat(paused["until"]) <= now):
        return ""
    end = when(paused["until"], now) or f"`rotator resume {summary['target']}`"
    reason = f": {paused['reason']}" if paused["reason"] else ""
    return f"by {paused['by']} since {when(paused['at'], now)}, until {end}{reason}"


def _trouble(summary: Summary, now: datetime) -> str:
    creates = len(summary["unconfirmed_creates"])
    troubles = [f"{creates} unconfirmed create{'s' if creates > 1 else ''}"] if creates else []
    troubles += [f"{key['access_key']} still works" for key in summary["retiring"] if key["state"] == "overdue"]
    troubles += [summary["trouble"]["what"]] if summary["trouble"] else []
    troubles += [f"paused by {summary['paused']['by']}"] if _paused(summary, now) else []
    troubles += ["leaked, about to be replaced"] if summary.get("leaked") else []
    troubles += [full] if (full := _held_back(summary)) else []
    troubles += [_moving(summary)] if _moving(summary) else []
    troubles += [SET_BACK] if summary["deletes_held"] else []
    troubles += [summary["watch_found"]] if summary["watch_found"] else []
    troubles += [summary["last_error"]["what"]] if summary["last_error"] else []
    troubles += _standing(summary, now)
    return "; ".join(troubles)


def _moving(summary: Summary) -> str:
    """Where the key lies, if that is not where the target belongs to."""
    lies, belongs = summary.get("key_account"), summary.get("account")
    return f"its key lies on account {lies} still" if lies and belongs and lies != belongs else ""


def _belongs(summary: Summary) -> str:
    """The account that the target belongs to; empty where there is nothing to be told apart."""
    account: str = summary.get("account") or ""
    return account if account != DEFAULT_ACCOUNT or _moving(summary) else ""


def _held_back(summary: Summary) -> str:
    return held_back((datetime.fromisoformat(key["retire_after"]), key["error"]) for key in summary["retiring"])


def _standing(summary: Summary, now: datetime) -> Iterator[str]:
    """What should have happened by now, and what it waits for."""
    due, asked = summary["next_rotation_at"], summary.get("requested_at")
    late = [f"due since {when(due, now)}"] if due and datetime.fromisoformat(due) < now - LATE else []
    late += [f"asked for since {when(asked, now)}"] if asked and datetime.fromisoformat(asked) < now - LATE else []
    yield from late
    if late and summary.get("waits_for"):
        yield f"waits for {summary['waits_for']}, until {when(summary.get('waits_until'), now)}"


def _print_detail(summary: Summary) -> None:
    now = datetime.now(UTC)
    print_facts(_head(summary, now))
    print_lines(_retiring(key, now) for key in summary["retiring"])
    print_readers(summary.get("readers", ()), now)
    print_lines(line for create in summary["unconfirmed_creates"] for line in create_lines(summary["target"], create))
    if summary["deletes_held"]:
        print_lines([f"TROUBLE: {SET_BACK}"])
    if full := _held_back(summary):
        print_lines([f"TROUBLE: {full}"])
    trouble = summary["trouble"]
    if trouble:
        print_lines([f"TROUBLE: {trouble['what']}", *_of_trouble(trouble, now)])
    elif summary["watch_found"]:
        print_lines([f"TROUBLE: {summary['watch_found']}", f"  seen {when(summary['last_watched_at'], now)}"])
    error = summary["last_error"]
    if error:
        print_lines([f"last error: {error['what']}"])
        print_facts(_error(error, now))


def _of_trouble(trouble: Mapping[str, Any], now: datetime) -> Iterator[str]:
    yield f"  since {when(trouble['since'], now)}" + (
        "" if trouble["confirmed"] else "; a second look has to confirm it"
    )
    yield "  See `rotator check` for what to do."


def create_lines(target: str, create: Mapping[str, Any]) -> Iterator[str]:
    """All that is known of an unconfirmed create, and what to do."""
    yield f"unconfirmed create of rotation {create['rotation_id']} at {create['at']}: {create['error']}"
    yield f"  HostUp was asked for a key labelled {create['label']!r}; requestId {create['request_id'] or 'none'}"
    yield f"  keyCount was {_count(create['key_count_before'])} before and {_count(create['key_count_after'])} after"
    yield f"  Look for that label in HostUp's panel, then see `rotator settle {target}`."


def _count(number: int | None) -> str:
    return "unknown" if number is None else str(number)


def _retiring(key: Mapping[str, Any], now: datetime) -> str:
    most = key.get("kept_until_at_most")
    then = f"and while it is in use, at most until {when(most, now)}; then" if most else "then"
    what = {
        "waiting": f"works until {when(key['retire_after'], now)}, {then} it is deleted",
        "deleted": "is deleted at HostUp; it is asked about until the object storage refuses it",
        "overdue": "was deleted at HostUp long ago, and STILL WORKS; it is deleted again",
    }
    error = f" (last error: {key['error']})" if key.get("error") else ""
    account = at_account(key.get("account") or DEFAULT_ACCOUNT)
    return f"retiring: {key['access_key']}{account} {what.get(key['state'], key['state'])}{error}"


def _copies(summary: Summary) -> str:
    """Where copies are, and which of them have the key that is being published already."""
    found = []
    for copy in summary.get("copies", ()):
        version = f"version {copy['vault_version']}" if copy["vault_version"] else "without the key"
        found.append(f"{copy['location']}, {version}" + (" (the new key)" if copy["has_new_key"] else ""))
    return "; ".join(found)


def _error(error: Mapping[str, Any], now: datetime) -> list[tuple[str, str]]:
    return [
        ("  what to do", error["hint"]),
        ("  since", when(error.get("since"), now)),
        ("  last", when(error.get("at"), now)),
        ("  tried again", when(error.get("retry_at"), now)),
        ("  requestId", error.get("request_id") or ""),
        ("  times in a row", str(error.get("count") or "")),
    ]


def _head(summary: Summary, now: datetime) -> list[tuple[str, str]]:
    waiting = summary.get("requests") or 0
    unreadable = summary["phase"] == "unreadable"
    no_key = "not known; apps keep what Vault holds" if unreadable else "none yet"
    version = f"version {summary['vault_version']}" if summary["vault_version"] else "nothing yet"
    return [
        ("target", summary["target"]),
        ("account", _belongs(summary)),
        ("key lies on", f"account {summary['key_account']} still" if _moving(summary) else ""),
        ("phase", summary["phase"]),
        ("access key", summary["access_key"] or no_key),
        ("created", when(summary["created_at"], now)),
        ("seen living", when(summary["last_seen_living_at"], now)),
        ("requestId", summary["request_id"] or ""),
        ("rotation id", summary.get("rotation_id") or ""),
        ("in Vault", "" if unreadable else f"{summary.get('path') or ''}, {version}"),
        ("copies", _copies(summary)),
        ("staged key", summary.get("staged_access_key") or ""),
        ("next rotation", _next(summary, now)),
        ("paused", _paused(summary, now)),
        ("requests waiting", f"{waiting}, since {when(summary.get('requested_at'), now)}" if waiting else ""),
        ("waits for", summary.get("waits_for") or ""),
        ("until", when(summary.get("waits_until"), now)),
    ]
