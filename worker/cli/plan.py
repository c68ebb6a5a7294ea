"""``rotator plan``: what the next rotation does, what stands in its way, and a calendar. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from worker.cli.calendar import Appointment, Calendar, calendar
from worker.cli.check_destinations import needed_at
from worker.cli.check_vault import needed
from worker.cli.held import held_now
from worker.cli.options import Options, target_named
from worker.cli.output import print_lines, print_table, print_text, progress, result, say
from worker.cli.texts import when
from worker.errors import RecordError, RotatorError
from worker.rotation.decide import creates_at, waits_for_person
from worker.rotation.hold import pause_of, pause_text
from worker.rotation.record import Record
from worker.rotation.status import held_back_by, moved
from worker.rotation.steps.copies import look_at_copies
from worker.rotation.steps.create import expected_version
from worker.rotation.steps.session import Session
from worker.rotation.survey import survey
from worker.settings.environment import Need
from worker.targets.freeze import freeze_at
from worker.targets.location import HOME, Location
from worker.targets.target import Target

if TYPE_CHECKING:
    from worker.service.assemble import Runtime

STATUS, KEYS = "/api/object-storage", "/api/object-storage/keys"
VERSION = "?version=N"
CAPABILITIES = "/v1/sys/capabilities-self"
UNKNOWN = "it is not known from before"
QUIET = "no other key is made meanwhile"
DOUBTFUL = "it does not, or HostUp counts no fewer keys"

MOST_LINES = 40
"""Of the calendar, for people."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a rotation: which service is asked for what, and why; ``only_if`` it is not made each time."""

    service: str
    method: str
    path: str
    why: str
    only_if: str | None = None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that stands in the way of a rotation, and what to do."""

    target: str | None
    what: str
    hint: str


def plan(options: Options, name: str | None, days: int, *, ics: bool) -> int:
    """Print it for one target, or for all; 1 when something stands in the way."""
    runtime = options.runtime(Need.VAULT)
    targets = dict(runtime.settings.targets)
    if name:
        targets = {name: target_named(runtime.settings, name)}
    seen = survey(runtime.services, targets, progress("reading records"))
    now = runtime.clock.now()
    planned = calendar(targets.values(), seen.records, now, timedelta(days=days))
    obstacles = [*_obstacles(runtime, targets, seen.records, one=name is not None)]
    obstacles += [Obstacle(n, error.what, error.hint) for n, error in seen.unreadable.items() if n in targets]
    if ics:
        from worker.cli.ics import as_ics

        print_text(as_ics(planned.appointments, now))
        for line in _obstacle_lines(obstacles) if obstacles else ():
            say(line)
        return 1 if obstacles else 0
    calls = list(calls_of(targets[name], _places(runtime), seen.records.get(name))) if name else []
    document = {
        "at": now.isoformat(timespec="milliseconds"),
        "days": days,
        "calls": [asdict(call) for call in calls],
        "obstacles": [asdict(each) for each in obstacles],
        "calendar": [_appointment(each) for each in planned.appointments],
        "crowded": [{"hour": hour.isoformat(), "rotations": number} for hour, number in planned.crowded()],
        "cut": list(planned.cut),
    }
    result(options, document, lambda: _print_plan(calls, obstacles, planned, targets))
    return 1 if obstacles else 0


def _places(runtime: Runtime) -> Places:
    vault, others = runtime.settings.vault, runtime.settings.destinations
    elsewhere = {name: each.vault.mount for name, each in others.items()}
    return Places(vault.mount, vault.state_path, vault.receipts_path, elsewhere)


@dataclass(frozen=True, slots=True)
class Places:
    """Where Vault has what a rotation reads and writes: the mount, and the paths of records and of apps' receipts.

    ``elsewhere`` are the mounts of destinations by their names.
    """

    mount: str
    state: str
    receipts: str
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def of(self, copy: Location, what: str = "data") -> str:
        """A call's path for a copy of an app's secret."""
        return f"/v1/{({HOME: self.mount} | dict(self.elsewhere))[copy.destination]}/{what}/{copy.path}"


def calls_of(target: Target, places: Places, record: Record | None = None) -> Iterator[Call]:
    """Every call of one rotation in which nothing goes wrong, in their order. Pure.

    ``record`` is that of the target, as far as there is one: a first key replaces none, and one that died is not
    deleted.
    """
    yield from _until_published(target, places)
    old = record.current if record else None
    if old is None or record is None:
        return
    if not record.was_killed(old.access_key):
        yield from _delete(target, places)
    yield from _proof(target, places)


def _until_published(target: Target, places: Places) -> Iterator[Call]:
    record, secret, key = _three(target, places)
    yield Call("Vault", "GET", record, "where the target stands")
    yield Call("Vault", "POST", CAPABILITIES, "may the app's secret be written?")
    yield Call("Vault", "GET", secret, "is it what this project wrote?")
    for destination in dict.fromkeys(copy.destination for copy in target.also):
        called = f" of {destination}" if destination else ""
        yield Call("Vault", "POST", CAPABILITIES, f"may the copies{called} be written?")
    for copy in target.also:
        yield Call("Vault", "GET", places.of(copy), f"is the copy {_at(copy)} what this project wrote?")
    yield Call("HostUp", "GET", STATUS, "where is the storage, and how many keys are there?", UNKNOWN)
    yield Call("Vault", "POST", record, "the intent is on record")
    yield Call("HostUp", "POST", KEYS, "makes the new key")
    yield Call("Vault", "POST", key, "whose the new key is")
    yield Call("Vault", "POST", record, "the new key is on record: staged")
    yield Call("storage", "GET", "/", "signed with the new key: does it work?")
    yield Call("Vault", "POST", record, "verified")
    yield Call("Vault", "POST", secret, "publishes it, by check-and-set")
    for copy in target.also:
        yield Call("Vault", "GET", places.of(copy), f"does the copy {_at(copy)} have it already?")
    if target.also:
        yield Call("Vault", "GET", record, "is this rotation still under way?")
    for copy in target.also:
        yield Call("Vault", "POST", places.of(copy), f"the copy {_at(copy)}, by check-and-set")
    yield Call("Vault", "POST", record, "published; a key before retires")


def _delete(target: Target, places: Places) -> Iterator[Call]:
    record, secret, key = _three(target, places)
    yield Call("Vault", "GET", record, "after grace: where the target stands")
    if target.retire_cap is not None:
        for path in target.paths_here():
            receipts = f"/v1/{places.mount}/data/{places.receipts}/{path}"
            yield Call("Vault", "GET", receipts, "who says that he still uses the key before?")
    yield Call("Vault", "GET", secret, "is the key before not published again?")
    for copy in target.also:
        yield Call("Vault", "GET", places.of(copy), f"nor in the copy {_at(copy)}?")
    yield Call("Vault", "GET", key, "is it this target's?")
    yield Call("HostUp", "GET", STATUS, "how many keys are there before?", QUIET)
    yield Call("HostUp", "DELETE", f"{KEYS}/KEY", "deletes the key before")
    yield Call("Vault", "POST", record, "deleted")
    yield Call("HostUp", "GET", STATUS, "and how many afterwards?", QUIET)


def _proof(target: Target, places: Places) -> Iterator[Call]:
    record, secret, key = _three(target, places)
    yield Call("storage", "GET", "/", "with the key before and a wrong secret, until it is refused")
    yield Call("storage", "GET", "/", "with the current key and a wrong secret: does the gateway know that one?")
    yield Call("Vault", "GET", f"{secret}{VERSION}", "the secret of the key before, from its old version", DOUBTFUL)
    yield Call("storage", "GET", "/", "signed with the key before: is it refused?", DOUBTFUL)
    yield Call("Vault", "GET", f"{secret}{VERSION}", "does the old version hold the key before?")
    yield Call("Vault", "POST", f"/v1/{places.mount}/destroy/{target.path}", "destroys that version")
    for copy in target.also:
        yield Call(
            "Vault", "GET", f"{places.of(copy)}{VERSION}", f"does the old version of the copy {_at(copy)} hold it?"
        )
        yield Call("Vault", "POST", places.of(copy, "destroy"), f"destroys that version of the copy {_at(copy)}")
    yield Call("Vault", "GET", key, "whose it is")
    yield Call("Vault", "POST", key, "that it is dead")
    yield Call("Vault", "POST", record, "dead, with the proof")


def _three(target: Target, places: Places) -> tuple[str, str, str]:
    """The record, the app's secret, and the document about a key."""
    state = f"/v1/{places.mount}/data/{places.state}"
    return f"{state}/{target.name}", f"/v1/{places.mount}/data/{target.path}", f"{state}/_keys/KEY"


def _at(copy: Location) -> str:
    return f"at {copy.path}" + (f" of {copy.destination}" if copy.destination else "")


def _obstacles(
    runtime: Runtime, targets: Mapping[str, Target], records: Mapping[str, Record], *, one: bool
) -> Iterator[Obstacle]:
    accounts = dict.fromkeys(target.account for target in targets.values())
    yield from (Obstacle(None, what, hint) for what, hint in held_now(runtime, accounts))
    yield from _missing(runtime, targets)
    for name, target in targets.items():
        record = records.get(name)
        if record:
            yield from obstacles_of(target, record, runtime.clock.now())
            if one:
                yield from _of_secret(runtime, target)


def _missing(runtime: Runtime, targets: Mapping[str, Target]) -> Iterator[Obstacle]:
    """What the token that is used for this may not do; a worker's may be another one."""
    try:
        missing = runtime.vault.missing_capabilities(needed(replace(runtime.settings, targets=targets)))
    except RotatorError as error:
        yield Obstacle(None, error.what, error.hint)
        return
    for name, vault in runtime.elsewhere.items():
        wanted = needed_at(replace(runtime.settings, targets=targets), name)
        try:
            missing |= vault.missing_capabilities(wanted) if wanted else {}
        except RotatorError as error:
            yield Obstacle(None, f"destination {name}: {error.what}", error.hint)
    for path, lacks in missing.items():
        yield Obstacle(None, f"the token lacks {', '.join(lacks)} on {path}", "See `rotator vault policy`.")


def obstacles_of(target: Target, record: Record, now: datetime) -> Iterator[Obstacle]:
    """What stands in the way by a target's configuration and record. Pure."""
    name, failure, conflict = target.name, record.failure, moved(record, target)
    if conflict:
        yield Obstacle(name, conflict.what, conflict.hint)
    if waits_for_person(creates_at(record, target.account)):
        yield Obstacle(
            name, "no key is made before the unconfirmed creates are settled", f"See `rotator settle {name}`."
        )
    if paused := pause_of(record, now):
        yield Obstacle(name, f"no key is made during {pause_text(paused)}", f"`rotator resume {name}` ends it.")
    if freeze := freeze_at(target.freezes, now):
        hint = f"What is asked for is begun all the same: `rotator rotate {name}`."
        yield Obstacle(name, f"the schedule begins nothing during {freeze}", hint)
    if full := held_back_by(record):
        yield Obstacle(name, full, f"See `rotator status {name}`.")
    if record.deletes_held:
        hint = f"Look which key is which, then `rotator settle {name} --restored`."
        yield Obstacle(name, "Vault was set back: nothing is deleted", hint)
    if failure:
        yield Obstacle(
            name, f"it fails: {failure.what}", f"{failure.hint} Tried again at {failure.retry_at.isoformat()}."
        )


def _of_secret(runtime: Runtime, target: Target) -> Iterator[Obstacle]:
    """Whether what stands at the app's path would be overwritten, by the same judgement as the rotation's own."""
    try:
        session = Session(runtime.services, target, runtime.services.store.load(target.name, target.path))
        expected_version(session, runtime.services.vault.read(target.path))
        look_at_copies(session)
    except RecordError:
        return  # told with the record
    except RotatorError as error:
        yield Obstacle(target.name, error.what, error.hint)


def _appointment(each: Appointment) -> dict[str, Any]:
    return asdict(each) | {"at": each.at.isoformat(timespec="seconds")}


def _print_plan(calls: list[Call], obstacles: list[Obstacle], planned: Calendar, targets: Mapping[str, Target]) -> None:
    if calls:
        print_table(("#", "SERVICE", "CALL", "WHY"), (_call_row(place, call) for place, call in enumerate(calls, 1)))
        print_lines([""])
    print_lines(_obstacle_lines(obstacles))
    print_lines(["", f"Until {planned.until:%Y-%m-%d %H:%M} UTC:"])
    shown = planned.appointments[:MOST_LINES]
    rows = ((when(each.at, planned.since), each.target, each.kind, each.what) for each in shown)
    print_table(("WHEN", "TARGET", "WHAT", "OF"), rows)
    print_lines(_more_lines(planned, targets))


def _call_row(place: int, call: Call) -> tuple[str, ...]:
    why = f"{call.why} (only if {call.only_if})" if call.only_if else call.why
    return str(place), call.service, f"{call.method} {call.path}", why


def _obstacle_lines(obstacles: list[Obstacle]) -> Iterator[str]:
    yield "In the way: " + ("nothing" if not obstacles else str(len(obstacles)))
    for each in obstacles:
        yield f"  {each.target}: {each.what}" if each.target else f"  {each.what}"
        if each.hint:
            yield f"    {each.hint}"


def _more_lines(planned: Calendar, targets: Mapping[str, Target]) -> Iterator[str]:
    left = len(planned.appointments) - MOST_LINES
    if left > 0:
        yield f"and {left} more: --json or --ics has all of them"
    for hour, number in planned.crowded():
        yield f"crowded: {number} rotations in the hour from {hour:%Y-%m-%d %H:%M} UTC; a window or jitter spreads them"
    for name in planned.cut:
        yield f"{name} has more rotations than are reckoned here"
    for name, target in targets.items():
        if target.schedule.is_manual:
            yield f"{name} is rotated only when somebody asks"
