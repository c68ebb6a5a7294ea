"""Which copies of an app's secret a target wants, and which have its key by the record. Pure."""

from __future__ import annotations

from worker.rotation.record import Record, version_at
from worker.targets.location import Location
from worker.targets.target import Target


def on_record(record: Record, target: Target) -> tuple[Location, ...]:
    """The copies that are wanted, and have the current key by the record."""
    current = record.current
    return tuple(copy for copy in target.also if current and version_at(current.copies, copy.name) is not None)


def lacking(record: Record, target: Target) -> tuple[Location, ...]:
    """The copies that are wanted, and do not have the current key by the record; none where there is no key yet."""
    current = record.current
    return tuple(copy for copy in target.also if version_at(current.copies, copy.name) is None) if current else ()


def left_alone(record: Record, target: Target) -> tuple[str, ...]:
    """Where copies are on record that are not wanted any more."""
    wanted = {copy.name for copy in target.also}
    current = record.current
    return tuple(copy.location for copy in current.copies if copy.location not in wanted) if current else ()
