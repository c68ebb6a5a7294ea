"""Whether every target's record can be used, and whether its current key lives."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from worker.cli.output import progress
from worker.cli.verdicts import Verdict, failed
from worker.errors import VaultError
from worker.rotation.audit import READERS, survey
from worker.rotation.ports import Life
from worker.rotation.record import Record
from worker.rotation.status import moved
from worker.service.assemble import Runtime


def look(runtime: Runtime, *, keys: bool) -> Iterator[Verdict]:
    """One line for each target with trouble, and one for all the others."""
    targets = runtime.settings.targets
    try:
        seen = survey(runtime.services, targets, progress("reading records"))
    except VaultError:
        yield Verdict("targets", "failed", "not looked at: their records are in Vault")
        return
    troubled = [failed(f"target {name}", error) for name, error in seen.unreadable.items() if name in targets]
    records = {name: record for name, record in seen.records.items() if name in targets}
    conflicts = {name: moved(record, targets[name]) for name, record in records.items()}
    troubled += [failed(f"target {name}", conflict) for name, conflict in conflicts.items() if conflict]
    known = [record for name, record in records.items() if not conflicts[name]]
    if keys:
        troubled += _dead_keys(runtime, known)
    yield from troubled
    well = len(targets) - len(troubled)
    current = sum(1 for record in known if record.current)
    yield Verdict("targets", "ok", f"{well} of {len(targets)} are well; {current} have a key")


def _dead_keys(runtime: Runtime, records: list[Record]) -> list[Verdict]:
    """A current key that the storage does not know is worth waking somebody up."""
    held = [(record.target, record.current.access_key) for record in records if record.current]
    show = progress("asking about keys")
    found = []
    with ThreadPoolExecutor(READERS, thread_name_prefix="keys") as pool:
        lives = pool.map(runtime.services.storage.lives, (access_key for _, access_key in held))
        for done, ((target, access_key), probe) in enumerate(zip(held, lives, strict=True), start=1):
            show(done, len(held))
            if probe.life is Life.DEAD:
                detail = f"its current key {access_key} is refused by the object storage ({probe.code})"
                hint = f"Somebody deleted it elsewhere. Make a new one: `rotator rotate {target} --wait`."
                found.append(Verdict(f"target {target}", "failed", detail, hint))
    return found
