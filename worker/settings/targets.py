"""The targets of the configuration: what each one is, and what may not be true of all of them together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from worker.settings import values
from worker.settings.file import Problems, Table, did_you_mean, show_text
from worker.targets.durations import format_duration
from worker.targets.fields import PRESETS, SOURCES, FieldMap, field_map
from worker.targets.schedule import Schedule, Window
from worker.targets.target import Target

DEFAULT_LABEL = "{target} {rotation_id}"
DEFAULT_GRACE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What targets must not share: the first that used a name or a path, by its number."""

    names: dict[str, int]
    paths: dict[str, int]


def read_targets(
    file: str, raw: object, state_path: str, problems: Problems, only: Collection[str] | None = None
) -> dict[str, Target]:
    """All targets by name, or ``only`` these, from the file's ``target``; what is wrong is noted in ``problems``."""
    if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
        problems.note(f"{file}: target", "must be written [[target]], once for each target")
        return {}
    if not raw:
        problems.note(f"{file}: target", "is missing; write [[target]] with name, path, grace, and every or cron")
    seen = _Seen({}, {})
    targets = {}
    for number, entry in enumerate(raw, 1):
        if only is not None and entry.get("name") not in only:
            continue
        table = Table(entry, _where(file, number, entry), problems)
        target = _read_target(table, number, seen, state_path)
        if target:
            targets[target.name] = target
    return targets


def _where(file: str, number: int, entry: Mapping[str, object]) -> str:
    name = entry.get("name")
    called = f" {show_text(name)}" if isinstance(name, str) else ""
    return f"{file}: target[{number}]{called}: "


def _read_target(table: Table, number: int, seen: _Seen, state_path: str) -> Target | None:
    name = table.need("name", values.name, "what the target is called")
    path = table.need("path", values.path, "where in the mount the app's secret lies")
    label = table.get("label", values.label, DEFAULT_LABEL)
    schedule = _schedule(table)
    grace = table.get("grace", values.duration, DEFAULT_GRACE)
    fields = _fields(table)
    table.refuse_others()
    _check_sharing(table, "name", name, seen.names, number)
    _check_sharing(table, "path", path, seen.paths, number)
    if path and (path == state_path or path.startswith(f"{state_path}/")):
        table.note("path", f"{path} lies in state_path ({state_path}), where the worker keeps its records")
    if schedule:
        _check_grace(table, grace, schedule)
    if not (name and path and schedule):
        return None
    problem = values.label_problem(label, name)
    if problem:
        table.note("label", problem)
    return Target(name, label, path, schedule, grace, fields)


def _check_sharing(table: Table, key: str, value: str | None, seen: dict[str, int], number: int) -> None:
    first = seen.setdefault(value, number) if value else number
    if first != number:
        table.note(key, f"{value} is that of target[{first}] already; each target needs its own")


def _schedule(table: Table) -> Schedule | None:
    every = table.get("every", values.duration, None)
    cron = table.get("cron", values.cron, None)
    window = table.get("window", values.window, None)
    jitter = table.get("jitter", values.duration, None)
    if table.has("every") == table.has("cron"):
        beside = "stands beside cron" if table.has("every") else "is missing, and cron too"
        table.note("every", f"{beside}; give exactly one of them")
        return None
    if every is None and cron is None:
        return None
    schedule = _shared(every, cron, window, jitter)
    most = schedule.shortest_gap() / 2
    if jitter and jitter > most:
        table.note(
            "jitter", f"{format_duration(jitter)} is too long; allowed is {format_duration(most)}, half the interval"
        )
    return schedule


@lru_cache(maxsize=1024)
def _shared(every: timedelta | None, cron: str | None, window: Window | None, jitter: timedelta | None) -> Schedule:
    """One object for all targets on the same schedule."""
    return Schedule(every, cron, window, jitter)


def _check_grace(table: Table, grace: timedelta, schedule: Schedule) -> None:
    gap = schedule.shortest_gap()
    if grace <= gap:
        return
    given = format_duration(grace) if table.has("grace") else f"is missing, and its default of {format_duration(grace)}"
    interval = "every" if schedule.every else "the shortest time between two runs of cron"
    table.note("grace", f"{given} is longer than {interval} ({format_duration(gap)}); at most that is allowed")


def _fields(table: Table) -> FieldMap:
    inner = table.inner("fields")
    if inner is None:
        return table.get("fields", _preset, PRESETS["plain"])
    names = {source: inner.get(source, values.field_name, source) for source in SOURCES}
    inner.refuse_others()
    twice = {name for name in names.values() if list(names.values()).count(name) > 1}
    for name in sorted(twice):
        sources = [source for source in SOURCES if names[source] == name]
        table.note("fields", f"{show_text(name)} would hold both {' and '.join(sources)}; give each its own name")
    return field_map(names)


def _preset(value: object) -> FieldMap:
    known = PRESETS.get(value) if isinstance(value, str) else None
    if known is None:
        meant = did_you_mean(value, PRESETS) if isinstance(value, str) else ""
        raise ValueError(f"is not known; {meant}allowed are {', '.join(PRESETS)}, or a table of names")
    return known
