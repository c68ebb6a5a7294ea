"""``rotator pause``, ``resume`` and ``reschedule``: what people say of a target's next rotation.

With ``--all`` each record is changed, one after the other. A change that is there already is left as it is, so the
command may be run again after it was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from worker.cli.asking import moment_of, reason_of
from worker.cli.messenger import wake_or_say
from worker.cli.options import Options, target_named
from worker.cli.output import print_lines, progress, result, say
from worker.cli.texts import when
from worker.cli.who import asker
from worker.errors import QueueUnavailable, RotatorError, UsageError, VaultUnavailable
from worker.rotation.changes.holding import paused, rescheduled, resumed
from worker.rotation.hold import pause_of, pause_text
from worker.rotation.record import Paused, Record
from worker.rotation.status import due_at
from worker.service.assemble import Runtime
from worker.settings.environment import Need
from worker.targets.freeze import freeze_at
from worker.targets.target import Target


@dataclass(frozen=True, slots=True)
class Which:
    """One target by name, or all that are configured."""

    name: str | None
    every: bool

    def of(self, runtime: Runtime) -> list[Target]:
        """The targets. Raises UsageError for one that is not configured, for both and for neither."""
        if self.every == (self.name is not None):
            raise UsageError("name one target, or say --all", hint="Nothing was changed.")
        targets = runtime.settings.targets
        return [target_named(runtime.settings, self.name)] if self.name else [targets[name] for name in sorted(targets)]


@dataclass(slots=True)
class _Done:
    """What became of each target: its record, and what went wrong with the others."""

    records: list[tuple[Target, Record]] = field(default_factory=list)
    failed: list[RotatorError] = field(default_factory=list)


def pause(options: Options, which: Which, *, reason: str, until: str | None, by: str) -> int:
    """Have no new keys made. 1 when that could not be put on every record. Raises UsageError, VaultUnavailable."""
    runtime = options.runtime(Need.VAULT)
    now = runtime.clock.now()
    end = moment_of("--until", until, now) if until else None
    wanted = Paused(at=now, by=asker(by), reason=reason_of(reason), until=end)
    done = _change(runtime, which, lambda record: paused(record, wanted))
    _tell(options, runtime, done, "paused")
    if which.every and not options.as_json:
        say("Targets that are added to the configuration later are not paused.")
    return 1 if done.failed else 0


def resume(options: Options, which: Which, *, by: str) -> int:
    """End pauses. 1 when that could not be put on every record. Raises UsageError, VaultUnavailable."""
    runtime = options.runtime(Need.VAULT)
    now, who = runtime.clock.now(), asker(by)
    done = _change(runtime, which, lambda record: resumed(record, who, now))
    _tell(options, runtime, done, "resumed")
    return 1 if done.failed else 0


def reschedule(options: Options, name: str, *, at: str | None, as_scheduled: bool, by: str) -> int:
    """Set the next rotation, once. Raises UsageError, RecordError, VaultError."""
    if as_scheduled == (at is not None):
        raise UsageError("give --at, or --as-scheduled", hint="Nothing was changed.")
    runtime = options.runtime(Need.VAULT)
    now, who = runtime.clock.now(), asker(by)
    moment = moment_of("--at", at, now) if at else None
    done = _change(runtime, Which(name, every=False), lambda record: rescheduled(record, moment, who, now))
    if done.failed:
        raise done.failed[0]
    if moment and (freeze := freeze_at(done.records[0][0].freezes, moment)):
        say(f"That is in {freeze}: the rotation begins after it.")
    _tell(options, runtime, done, "rescheduled")
    return 0


def _change(runtime: Runtime, which: Which, change: Callable[[Record], Record]) -> _Done:
    """Change each record and wake its target; what is wrong with one does not keep the others from it."""
    targets, done = which.of(runtime), _Done()
    show = progress("changing records")
    for number, target in enumerate(targets, 1):
        store = runtime.services.store
        try:
            record = store.change(store.open(target), change).record
        except VaultUnavailable as error:
            left = f"{number - 1} of {len(targets)} records were changed. " if which.every else ""
            raise VaultUnavailable(
                error.what, operation="change", hint=f"{left}Run the command again: it goes on. {error.hint}".strip()
            ) from None
        except RotatorError as error:
            if not which.every:
                raise
            done.failed.append(error)
            continue
        done.records.append((target, record))
        show(number, len(targets))
    _wake(runtime, [target.name for target, _ in done.records])
    return done


def _wake(runtime: Runtime, names: Sequence[str]) -> None:
    """Have workers look at what was changed; of many they learn by the due set alone."""
    if len(names) == 1:
        wake_or_say(runtime, names[0])
        return
    try:
        runtime.shared.due.wake_all(names, runtime.clock.now())
    except QueueUnavailable as error:
        say(f"{error.what}. The change is on record; workers see it at their next look at each target.")


def _tell(options: Options, runtime: Runtime, done: _Done, what: str) -> None:
    now = runtime.clock.now()
    document = [_document(target, record, now, what) for target, record in done.records]
    document += [{"target": error.target, "done": "failed", "error": error.what} for error in done.failed]
    for error in done.failed:
        say(f"{error.headline}. {error.hint}")
    result(options, document, lambda: print_lines(_lines(done.records, now)))


def _document(target: Target, record: Record, now: datetime, what: str) -> dict[str, Any]:
    pause, due = pause_of(record, now), due_at(record, target, now)
    return {
        "target": target.name,
        "done": what,
        "paused_by": pause.by if pause else None,
        "paused_until": pause.until.isoformat() if pause and pause.until else None,
        "reason": pause.reason if pause else None,
        "next_rotation_at": due.isoformat() if due else None,
    }


def _lines(records: Sequence[tuple[Target, Record]], now: datetime) -> Iterator[str]:
    for target, record in records:
        pause, due = pause_of(record, now), due_at(record, target, now)
        goes_on = f"next rotation {when(due, now)}" if due else "it is rotated only when asked for"
        if pause:
            yield f"{target.name}: no new key is made: {pause_text(pause)}"
            yield "  Keys in grace are still deleted and proven dead. A key that leaked is replaced all the same."
        else:
            yield f"{target.name}: {goes_on}"
