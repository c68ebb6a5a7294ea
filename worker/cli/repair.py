"""``rotator repair``: what to do about a record that cannot be read, and about keys that were rescued meanwhile.

Shows what it would do, and does it with ``--yes``. The unreadable document is kept whole beside the records first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from worker.cli.in_use import claim, in_use, owners_in, seen_by_all
from worker.cli.messenger import wake_or_say
from worker.cli.options import Options, target_named
from worker.cli.output import print_lines, result
from worker.errors import AccountGone, QueueUnavailable, RecordDeleted, RecordUnreadable, UsageError
from worker.rotation.changes.repair import LooseKey, Repair, RepairEvidence, loose_keys, rebuild, retired
from worker.rotation.changes.settlement import found_in
from worker.rotation.claiming import living_keys
from worker.rotation.claims import Owner
from worker.rotation.history import Entry
from worker.rotation.observe import life_of
from worker.rotation.ports import Absence, Life
from worker.rotation.record import Record, decode
from worker.rotation.records import Change, Loaded
from worker.rotation.services import Services
from worker.rotation.trace import entries
from worker.service.assemble import Runtime
from worker.settings.environment import Need
from worker.targets.account import DEFAULT_ACCOUNT
from worker.targets.target import Target


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A loose key, with what else is known of it now: whether it lives, and whose it is."""

    loose: LooseKey
    life: str
    owner: str | None

    @property
    def needs_person(self) -> bool:
        """Whether nobody answers for a key that may live."""
        return self.owner is None and self.life != "dead"


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """What is wrong (None: the record itself is well), the record afterwards, and the keys it does not answer for."""

    target: Target
    version: int
    problem: str | None
    document: Mapping[str, Any]
    repair: Repair
    rescued: Mapping[str, Mapping[str, object]]
    keys: tuple[FoundKey, ...]


def repair(options: Options, name: str, named: list[str], *, yes: bool) -> int:
    """Show what is to be done about a target's record; do it with ``yes``, and retire the keys that are named."""
    runtime = options.runtime(Need.VAULT)
    target = target_named(runtime.settings, name)
    plan = _plan(runtime, target)
    chosen = [_chosen(plan, access_key) for access_key in dict.fromkeys(named)]
    if yes:
        _carry_out(runtime, plan, chosen)
    document = _document(plan, chosen, done=yes)
    result(options, document, lambda: print_lines(_lines(plan, chosen, done=yes)))
    return 0


def _plan(runtime: Runtime, target: Target) -> RepairPlan:
    """Raises RecordTooNew (what a newer release wrote is never touched), RecordDeleted (undelete brings it back)."""
    services = runtime.services
    raw = services.vault.read(services.store.path(target.name))
    document = raw.data or {}
    rescued = services.store.rescued(target.name)
    try:
        record = services.store.open(target).record if raw.data is None else decode(document, target.name)
    except (RecordUnreadable, RecordDeleted) as error:
        if raw.absence is Absence.DELETED:
            raise
        evidence = _evidence(runtime, target, document)
        repaired = rebuild(target.name, target.path, error.what, evidence, runtime.clock.now())
        return _with_keys(runtime, RepairPlan(target, raw.version, error.what, document, repaired, rescued, ()))
    unchanged = Repair(record, (), (), ())
    return _with_keys(runtime, RepairPlan(target, raw.version, None, document, unchanged, rescued, ()))


def _evidence(runtime: Runtime, target: Target, document: Mapping[str, object]) -> RepairEvidence:
    services = runtime.services
    published = services.vault.read(target.path)
    archived = tuple(services.store.archived(target.name))
    found_at = published.created_at or runtime.clock.now()
    found = found_in(target.fields, published)
    owner = services.store.claims.owner(found.access_key) if found else None
    if found:
        found = replace(found, account=owner.account if owner else target.account)
    return RepairEvidence(document, archived, found, found_at)


def _with_keys(runtime: Runtime, plan: RepairPlan) -> RepairPlan:
    loose = list(plan.repair.loose)
    if plan.rescued:
        history = _history(runtime, plan)
        loose += [key for saved in plan.rescued.values() for key in loose_keys(saved, history, plan.repair.record)]
    loose += _of_a_lost_record(runtime, plan)
    unique = {key.access_key: key for key in reversed(loose)}
    # with a record made anew the target may have had another name: the key that apps read is on record under that still
    rebuilt = plan.repair.record.current if plan.problem is not None else None
    if not (unique or rebuilt):
        return plan
    services, targets = runtime.services, runtime.settings.targets
    seen = seen_by_all(services, targets)
    whose, witnesses = owners_in(seen, services, targets, apart_from=plan.target.name), seen.witnesses()
    witnesses |= {rebuilt.account: rebuilt.access_key} if rebuilt else {}
    if rebuilt and rebuilt.access_key in whose:
        raise in_use(rebuilt.access_key, whose[rebuilt.access_key])
    placed = (replace(key, account=_account_of(runtime, plan, key)) for key in reversed(unique.values()))
    keys = tuple(
        FoundKey(
            key, _life(services, key, witnesses), whose.get(key.access_key) or _made_for(runtime, plan, key.access_key)
        )
        for key in placed
    )
    return replace(plan, keys=keys)


def _of_a_lost_record(runtime: Runtime, plan: RepairPlan) -> Iterator[LooseKey]:
    """Where nothing is left of the record, the keys' own documents tell which ones were made for the target."""
    if plan.problem is None or plan.document:
        return
    for access_key, owner in living_keys(runtime.services, tuple(plan.repair.record.keys_on_record())).items():
        if owner.target == plan.target.name:
            yield LooseKey(access_key, "_keys", owner.rotation_id, account=owner.account)


def _account_of(runtime: Runtime, plan: RepairPlan, key: LooseKey) -> str:
    """Where the key lies: by what named it, else by its own document, else where the target belongs to."""
    owner = runtime.services.store.claims.owner(key.access_key)
    return key.account or (owner.account if owner else plan.target.account)


def _life(services: Services, key: LooseKey, witnesses: Mapping[str, str]) -> str:
    account = key.account or DEFAULT_ACCOUNT
    try:
        life = life_of(services.at(account).storage, key.access_key, witnesses.get(account))
    except AccountGone:
        return Life.UNKNOWN.value
    # one that has not spread yet is refused as a dead one is
    young = key.made_at is not None and services.clock.now() - key.made_at < services.policy.verify_within
    return Life.UNKNOWN.value if life is Life.DEAD and young else life.value


def _made_for(runtime: Runtime, plan: RepairPlan, access_key: str) -> str | None:
    """The other target that the key was made for, by the key's own document."""
    owner = runtime.services.store.claims.owner(access_key)
    return owner.target if owner and owner.target != plan.target.name else None


def _history(runtime: Runtime, plan: RepairPlan) -> tuple[Entry, ...]:
    if plan.problem is None:
        return entries(runtime.services.store, plan.target.name)
    return plan.repair.record.history.entries()


def _chosen(plan: RepairPlan, access_key: str) -> LooseKey:
    for key in plan.keys:
        if key.loose.access_key == access_key:
            if key.owner:
                raise in_use(access_key, key.owner)
            return key.loose
    raise UsageError(
        f"access key {access_key} is none of those that would be left over",
        target=plan.target.name,
        hint="`rotator repair` without --retire lists them. The current key cannot be retired.",
    )


def _carry_out(runtime: Runtime, plan: RepairPlan, chosen: list[LooseKey]) -> None:
    store, target = runtime.services.store, plan.target
    for key in chosen:
        claim(runtime.services, key.access_key, Owner(target.name, key.rotation_id, key.account or DEFAULT_ACCOUNT))
    if plan.problem:
        for name in _rescued_names(plan):
            store.put_rescued(target.name, name, {"why": plan.problem, "document": dict(plan.document)})
        loaded = store.rewrite(plan.repair.record, plan.version)
    else:
        loaded = Loaded(plan.repair.record, plan.version)
    if chosen:
        store.change(loaded, _retirement(chosen, runtime.clock.now(), target))
    _settle_rescued(runtime, plan, chosen)
    with suppress(QueueUnavailable):  # then a worker finds the record set back, and its audit settles that
        runtime.shared.index.forget_version(target.name)
    wake_or_say(runtime, target.name)


def _retirement(chosen: list[LooseKey], now: datetime, target: Target) -> Change:
    def change(record: Record) -> Record:
        for key in chosen:
            # apps may be using it: it works on for as long as a key that was replaced does
            record = retired(record, key, now, now + target.grace)
        return record

    return change


def _settle_rescued(runtime: Runtime, plan: RepairPlan, chosen: list[LooseKey]) -> None:
    """What was rescued is dealt with once somebody answers for every key in it, or it is dead."""
    open_keys = {key.loose.access_key for key in plan.keys if key.needs_person} - {key.access_key for key in chosen}
    if open_keys:
        return
    for name in (*plan.rescued, *_rescued_names(plan)):  # not what a worker rescued since: nobody looked at that
        runtime.services.store.settle_rescued(plan.target.name, name, "every key in it is on record or dead")


def _rescued_names(plan: RepairPlan) -> list[str]:
    """Under which name the document is kept, if there is one."""
    return [f"unreadable-{plan.version:012d}"] if plan.problem and plan.document else []


def _document(plan: RepairPlan, chosen: list[LooseKey], *, done: bool) -> dict[str, Any]:
    current = plan.repair.record.current
    return {
        "target": plan.target.name,
        "problem": plan.problem,
        "done": done,
        "access_key": current.access_key if current else None,
        "vault_version": current.vault_version if current else None,
        "kept": list(plan.repair.kept),
        "dropped": list(plan.repair.dropped),
        "rescued": [*plan.rescued, *_rescued_names(plan)],
        "loose_keys": [
            {"access_key": key.loose.access_key, "where": key.loose.where, "life": key.life, "owner": key.owner}
            for key in plan.keys
        ],
        "retire": [key.access_key for key in chosen],
    }


def _lines(plan: RepairPlan, chosen: list[LooseKey], *, done: bool) -> Iterator[str]:
    name = plan.target.name
    if plan.problem is None and not plan.rescued:
        yield f"{name}: the record is well, and nothing was rescued; there is nothing to do"
        return
    yield from _about_record(plan) if plan.problem else [f"{name}: the record is well; keys were rescued"]
    retired = {key.access_key for key in chosen}
    for key in plan.keys:
        yield from _about_key(plan, key, retire=key.loose.access_key in retired)
    yield ""
    yield "Done. Nothing was deleted at HostUp." if done else "Nothing was changed yet. With --yes it is done."


def _about_record(plan: RepairPlan) -> Iterator[str]:
    current = plan.repair.record.current
    yield f"{plan.target.name}: {plan.problem}"
    for name in _rescued_names(plan):
        yield f"  the document is kept whole as {name} under _rescued/{plan.target.name}"
    if current:
        yield f"  current key: {current.access_key}, version {current.vault_version} of {plan.target.path}"
    else:
        yield f"  current key: none; what stands at {plan.target.path} is not known to be ours (see `rotator adopt`)"
    yield f"  kept: {', '.join(plan.repair.kept) or 'nothing'}"
    yield f"  dropped: {', '.join(plan.repair.dropped) or 'nothing'}"


def _about_key(plan: RepairPlan, key: FoundKey, *, retire: bool) -> Iterator[str]:
    where = f"access key {key.loose.access_key}, named in {key.loose.where or 'what was rescued'}"
    if retire:
        yield f"  {where}: is retired, and deleted after the grace period"
    elif key.owner:
        yield f"  {where}: is a key of target {key.owner}"
    elif key.life == "dead":
        yield f"  {where}: the object storage does not know it; nothing to do"
    else:
        yield f"  {where}: {key.life}, and nobody answers for it. It is left alone; to have it deleted:"
        yield f"    rotator repair {plan.target.name} --yes --retire {key.loose.access_key}"
