"""``rotator rename``: a target has another name in the configuration; its record goes along."""

from __future__ import annotations

from datetime import datetime

from worker.cli.messenger import wake_or_say
from worker.cli.options import Options, target_named
from worker.cli.output import print_lines, result
from worker.errors import UsageError
from worker.rotation.changes.renaming import emptied, taken_along
from worker.rotation.record import Record
from worker.rotation.records import Loaded, RecordStore
from worker.settings.environment import Need


def rename(options: Options, old: str, new: str) -> int:
    """Move the record of ``old``, which is no longer configured, to ``new``, which is, at the same path.

    Raises UsageError when one of them is not so or both have keys, TryAgainLater, RecordError, VaultError.
    """
    runtime = options.runtime(Need.VAULT)
    target = target_named(runtime.settings, new)
    if old in runtime.settings.targets:
        raise UsageError(
            f"{old} is still in {runtime.settings.file}", hint="Nothing was changed. Give it the new name there first."
        )
    if old not in runtime.services.store.targets():
        raise UsageError(f"nothing is on record of a target {old[:64]!r}", hint="`rotator audit` names what there is.")
    store = runtime.services.store
    leaving = store.load(old, target.path)
    if leaving.record.path != target.path:
        raise UsageError(
            f"{old} was published at {leaving.record.path}, and {new} is configured at {target.path}",
            target=new,
            hint="Nothing was changed. A new name at another path is a new target.",
        )
    record = move(store, leaving, store.load(new, target.path), runtime.clock.now())
    wake_or_say(runtime, new)
    key = record.current.access_key if record.current else None
    lines = [
        f"{old} is called {new} now: its record, with access key {key or 'none'}, is that of {new}",
        f"  What was archived of its history stays under the old name: `rotator history {old}`.",
    ]
    result(options, {"old": old, "new": new, "access_key": key}, lambda: print_lines(lines))
    return 0


def move(store: RecordStore, leaving: Loaded, known: Loaded, now: datetime) -> Record:
    """Have the new name take everything over; after a crash in between it goes on at the next call.

    Whose each key is stands in a document of its own, too, and is changed before the old name forgets the key.
    """
    record = store.change(known, lambda into: taken_along(into, leaving.record, now)).record
    for access_key in set(leaving.record.keys_on_record()) & set(record.keys_on_record()):
        store.claims.hand_over(access_key, record.target)
    if any(leaving.record.keys_on_record()) or leaving.record.rotation or leaving.record.unconfirmed_creates:
        store.change(leaving, lambda gone: emptied(gone, record, now))
    return record
