"""The targets of the configuration: what each one is, and what they must not share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache, partial
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)

from worker.settings.problems import Problems, did_you_mean, entries_of, place_of_entry, show_text
from worker.settings.values import (
    STRICT,
    Cron,
    Duration,
    FieldName,
    Fields,
    Interval,
    Label,
    Name,
    Owner,
    Text,
    VaultPath,
    WindowText,
)
from worker.targets.account import DEFAULT_ACCOUNT
from worker.targets.durations import format_duration
from worker.targets.fields import PRESETS
from worker.targets.freeze import Freeze
from worker.targets.location import HOME, Location, location
from worker.targets.readers import LONGEST_LINK, Reader, least_grace, parse_reader
from worker.targets.schedule import NEVER, Schedule, Window
from worker.targets.target import Target, render_label

DEFAULT_GRACE = timedelta(hours=24)

LONGEST_LABEL = 200
"""Characters, as it comes out. HostUp documents no limit."""

AFTER_GRACE, WHEN_UNUSED = "after-grace", "when-unused"
RETIRE = (AFTER_GRACE, WHEN_UNUSED)
"""When a key that was replaced goes: when grace is over, or once no app says any more that it uses it."""

MOST_COPIES = 8
"""Of a target: each is in its record once for every key, and a record must not become too large for Vault."""

CAP_IN_GRACES = 7
"""By default a key that is in use is kept for so many graces, but no longer than the interval."""

_DAY = timedelta(days=1)
_PATH = TypeAdapter(VaultPath)
_EXAMPLE_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Known:
    """What else is configured: where the records and the receipts lie, which accounts there are, and the freezes.

    ``roots`` are the mounts by the names of their destinations, see :func:`worker.settings.destinations.root_of`.
    """

    own_paths: tuple[str, str]
    accounts: tuple[str, ...] = (DEFAULT_ACCOUNT,)
    freezes: tuple[Freeze, ...] = ()
    roots: Mapping[str, str] = field(default_factory=lambda: {HOME: ""})


@dataclass(slots=True)
class _Others:
    """What a target is held against: what else there is; and of names and places the number of who has it first."""

    known: Known
    number: int = 0
    names: dict[str, int] = field(default_factory=dict)
    paths: dict[str, int] = field(default_factory=dict)


def _own_name(name: str, info: ValidationInfo[_Others]) -> str:
    return _own(name, info.context.names, info.context.number)


def _own_path(path: str, info: ValidationInfo[_Others]) -> str:
    _own_place(Location(path), info.context)
    return path


def _own_place(place: Location, others: _Others) -> None:
    """See that a secret may lie there: nothing of ours does, and nothing of another target."""
    roots = others.known.roots
    full, home = f"{roots[place.destination]}/{place.path}", roots[HOME]
    state, receipts = others.known.own_paths
    if f"{full}/".startswith(f"{home}/{state}/"):
        raise ValueError(f"{place.name} lies in state_path ({state}), where the worker keeps its records")
    if f"{full}/".startswith(f"{home}/{receipts}/"):
        raise ValueError(f"{place.name} lies in receipts_path ({receipts}), where apps write receipts")
    _own(full, others.paths, others.number, place.name)


def _known_account(name: str, info: ValidationInfo[_Others]) -> str:
    accounts = info.context.known.accounts
    if name not in accounts:
        raise ValueError(f"{name} is no account; {did_you_mean(name, accounts)}there are {', '.join(accounts)}")
    return name


def _own(value: str, seen: dict[str, int], number: int, shown: str = "") -> str:
    first = seen.setdefault(value, number)
    if first != number:
        raise ValueError(f"{shown or value} is that of target[{first}] already; each target needs its own")
    return value


def _copies(value: object, info: ValidationInfo[_Others]) -> tuple[Location, ...]:
    """Where copies lie: no two at one place, nor at that of the secret itself."""
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError('must be a list of texts, such as ["apps/media/copy", "eu:apps/media"]')
    if len(value) > MOST_COPIES:
        raise ValueError(f"has {len(value)} places; at most {MOST_COPIES} are allowed")
    others, found = info.context, []
    taken = {f"{others.known.roots[HOME]}/{info.data['path']}"} if "path" in info.data else set()
    for text in value:
        copy = _copy(text, others.known.roots)
        full = f"{others.known.roots[copy.destination]}/{copy.path}"
        if full in taken:
            raise ValueError(f"{copy.name} is named twice, or is where the secret itself lies")
        taken.add(full)
        _own_place(copy, others)
        found.append(copy)
    return tuple(found)


def _copy(text: str, destinations: Collection[str]) -> Location:
    named = location(text)
    try:
        path = _PATH.validate_python(named.path)
    except ValidationError as error:
        raise ValueError(
            f"holds {show_text(text)}: {error.errors()[0].get('ctx', {}).get('error', 'it is empty')}"
        ) from None
    if named.destination not in destinations:
        known = ", ".join(sorted(filter(None, destinations))) or "none"
        meant = did_you_mean(named.destination, destinations)
        raise ValueError(
            f"holds {show_text(text)}, and there is no [[destination]] {show_text(named.destination)}; {meant}there "
            f"is: {known}"
        )
    return Location(path, named.destination)


def _short_label(label: str, info: ValidationInfo[_Others]) -> str:
    rendered = render_label(label, _EXAMPLE_ID, "2026-01-31", info.data.get("name", ""))
    if not rendered.strip():
        raise ValueError("comes out empty")
    if len(rendered) > LONGEST_LABEL:
        raise ValueError(f"comes out {len(rendered)} characters long; at most {LONGEST_LABEL} are allowed")
    if _EXAMPLE_ID not in rendered:
        # it would be that of other keys, too, of this target or of another
        raise ValueError(
            f"{show_text(label)} lacks {{rotation_id}}, without which nobody can find the key of a create that was "
            "never answered"
        )
    return label


def _either_every_or_cron(every: object, info: ValidationInfo[_Others]) -> object:
    has_cron = info.data.get("cron", "wrong, and so not in data") is not None
    if (every is not None) == has_cron:
        beside = "stands beside cron" if has_cron else "is missing, and cron too"
        raise ValueError(f"{beside}; give exactly one of them")
    return every


def _fitting_window(window: Window, info: ValidationInfo[_Others]) -> Window:
    every, cron = info.data.get("every"), info.data.get("cron")
    if every == NEVER:
        raise ValueError('has no meaning beside every = "never"; leave it out')
    if every and every < _DAY:
        raise ValueError(
            f"opens once a day, so that every ({format_duration(every)}) cannot be kept; leave it out, or give "
            "every 1d or more"
        )
    if cron and not _schedule(None, cron, window, None).falls_into_window():
        raise ValueError(
            f"has no run of cron ({cron}, in the window's zone) in it; give cron an hour inside it, or use every"
        )
    return window


def _short_jitter(jitter: timedelta | None, info: ValidationInfo[_Others]) -> timedelta | None:
    most = _shortest_gap(info.data) / 2
    if jitter and jitter > most:
        raise ValueError(
            f"{format_duration(jitter)} is too long; allowed is {format_duration(most)}, half the interval"
        )
    return jitter


def _short_grace(grace: timedelta | None, info: ValidationInfo[_Others]) -> timedelta:
    gap = _shortest_gap(info.data)
    length = grace or DEFAULT_GRACE
    if length > gap:
        given = format_duration(length) if grace else f"is missing, and its default of {format_duration(length)}"
        interval = "every" if info.data["every"] else "the shortest time between two runs of cron"
        raise ValueError(f"{given} is longer than {interval} ({format_duration(gap)}); at most that is allowed")
    return length


def _lasting_grace(grace: timedelta, info: ValidationInfo[_Others]) -> timedelta:
    """Long enough for who reads the key, as far as the target says who that is."""
    needed = least_grace(info.data.get("readers", ()), info.data.get("presign_ttl"))
    if needed and grace < needed.grace:
        raise ValueError(
            f"{format_duration(grace)} is shorter than {needed.why} needs; at least {format_duration(needed.grace)} "
            "(docs/apps.md)"
        )
    return grace


def _readers(value: object) -> tuple[Reader, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError('must be a list of texts, such as ["endpoint", "agent:5m"]')
    found = []
    for text in value:
        try:
            found.append(parse_reader(text))
        except ValueError as error:
            raise ValueError(f"{show_text(text)} {error}") from None
    return tuple(found)


def _short_link(ttl: timedelta) -> timedelta:
    if ttl > LONGEST_LINK:
        raise ValueError(f"{format_duration(ttl)} is longer than a signed link can live; at most 7d")
    return ttl


def _way_to_retire(value: str) -> str:
    if value not in RETIRE:
        raise ValueError(f"is not known; {did_you_mean(value, RETIRE)}allowed are {' and '.join(RETIRE)}")
    return value


def _fitting_cap(cap: timedelta | None, info: ValidationInfo[_Others]) -> timedelta | None:
    """Between ``grace`` and the interval: keys must not pile up by the schedule alone."""
    grace: timedelta | None = info.data.get("grace")
    gap, retire = _shortest_gap(info.data), info.data.get("retire")
    if retire == AFTER_GRACE and cap:
        raise ValueError(f'stands without retire = "{WHEN_UNUSED}", and would do nothing')
    if retire != WHEN_UNUSED or grace is None:
        return None
    if cap is None:
        return min(CAP_IN_GRACES * grace, gap)
    if not grace <= cap <= gap:
        raise ValueError(
            f"{format_duration(cap)} is out of range; allowed are {format_duration(grace)} (grace) to "
            f"{format_duration(gap)} (the interval)"
        )
    return cap


def _beside_ours(extra: dict[str, str], info: ValidationInfo[_Others]) -> dict[str, str]:
    fields = info.data.get("fields")
    taken = sorted(extra.keys() & fields.names) if fields else []
    if taken:
        raise ValueError(f"{', '.join(map(show_text, taken))} is written by the worker; give each field its own name")
    return extra


def _shortest_gap(checked: Mapping[str, Any]) -> timedelta:
    """Between two rotations; without end where ``every`` or ``cron`` is wrong, which is a problem of its own."""
    if "every" not in checked or "cron" not in checked:
        return timedelta.max
    return _schedule(checked["every"], checked["cron"], None, None).shortest_gap()


@lru_cache(maxsize=1024)
def _schedule(every: timedelta | None, cron: str | None, window: Window | None, jitter: timedelta | None) -> Schedule:
    """One object for all targets on the same schedule."""
    return Schedule(every, cron, window, jitter)


class TargetEntry(BaseModel):
    """One ``[[target]]``. The order counts: what is checked of a key may depend on those above it."""

    model_config = STRICT

    name: Annotated[Name, AfterValidator(_own_name), Field(description="what the target is called")]
    path: Annotated[VaultPath, AfterValidator(_own_path), Field(description="where in the mount the app's secret lies")]
    also: Annotated[tuple[Location, ...], PlainValidator(_copies)] = ()
    label: Annotated[Label, AfterValidator(_short_label)] = "{target} {rotation_id}"
    cron: Cron | None = None
    every: Annotated[Interval | None, BeforeValidator(_either_every_or_cron), Field(validate_default=True)] = None
    window: Annotated[WindowText, AfterValidator(_fitting_window)] | None = None
    jitter: Annotated[Duration | None, AfterValidator(_short_jitter)] = None
    readers: Annotated[tuple[Reader, ...], PlainValidator(_readers)] = ()
    presign_ttl: Annotated[Duration, AfterValidator(_short_link)] | None = None
    grace: Annotated[
        Duration | None, AfterValidator(_short_grace), AfterValidator(_lasting_grace), Field(validate_default=True)
    ] = None
    retire: Annotated[Text, AfterValidator(_way_to_retire)] = AFTER_GRACE
    retire_cap: Annotated[Duration | None, AfterValidator(_fitting_cap), Field(validate_default=True)] = None
    watch_every: Duration | None = None
    fields: Fields = PRESETS["plain"]
    extra: Annotated[dict[FieldName, Text], AfterValidator(_beside_ours)] = Field(default_factory=dict)
    owner: Owner | None = None
    account: Annotated[Name, AfterValidator(_known_account)] = DEFAULT_ACCOUNT

    def target(self, freezes: tuple[Freeze, ...]) -> Target:
        """What the rotation works with."""
        schedule = _schedule(self.every, self.cron, self.window, self.jitter)
        grace = self.grace or DEFAULT_GRACE
        extra = tuple(self.extra.items())
        return Target(
            self.name,
            self.label,
            self.path,
            schedule,
            grace,
            self.fields,
            self.watch_every,
            extra,
            self.readers,
            self.presign_ttl,
            self.retire_cap,
            freezes,
            self.owner,
            self.account,
            self.also,
        )


def read_targets(
    file: str,
    raw: object,
    known: Known,
    problems: Problems,
    only: Collection[str] | None = None,
) -> dict[str, Target]:
    """All targets by name, or ``only`` these, from the file's ``target``; what is wrong is noted in ``problems``."""
    table = f"{file}: target"
    if raw == []:
        problems.note(table, "is missing; write [[target]] with name, path, grace, and every or cron")
    others = _Others(known)
    targets = {}
    for number, entry in enumerate(entries_of(raw, table, "each target", problems), 1):
        if only is not None and entry.get("name") not in only:
            continue
        others.number = number
        try:
            target = TargetEntry.model_validate(entry, context=others).target(known.freezes)
        except ValidationError as error:
            where = place_of_entry(table, number, entry)
            problems.note_invalid(error, partial("{}: {}".format, where), TargetEntry)
        else:
            targets[target.name] = target
    return targets
