"""Whether every target's record can be used, and whether its current key lives."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from worker.cli.check_destinations import of_left_alone
from worker.cli.output import progress
from worker.cli.verdicts import Verdict, failed
from worker.errors import VaultError
from worker.rotation.findings import NAMED, of_answers, of_targets
from worker.rotation.observe import Observation, advice, observe_all
from worker.rotation.record import TroubleKind
from worker.rotation.status import moved
from worker.rotation.survey import Survey, survey
from worker.rotation.texts import first_of
from worker.service.assemble import Runtime
from worker.service.audit_task import slack

GRAVE = ("blocked", "overdue")
"""Kinds of findings with which a target stands still: until a person acts, or although nothing holds it back."""


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
    known = {name: record for name, record in records.items() if not conflicts[name]}
    observed = observe_all(runtime.services, known, targets, progress("looking at what apps read")) if keys else {}
    troubled += [verdict for name, each in observed.items() for verdict in _of_observation(runtime, name, each)]
    unjudged = _unjudged(observed)
    troubled += _standing(runtime, seen, {verdict.check for verdict in troubled})
    yield from troubled
    yield from _of_unjudged(unjudged)
    for finding in of_answers(known, observed):
        yield Verdict("object storage", "failed", finding.what, finding.hint)
    yield from of_left_alone(known, targets)
    not_well = {verdict.check for verdict in troubled} | {
        f"target {name}" for names in unjudged.values() for name in names
    }
    well = len(targets) - len(not_well)
    current = sum(1 for record in known.values() if record.current)
    yield Verdict("targets", "ok", f"{well} of {len(targets)} are well; {current} have a key")


def _standing(runtime: Runtime, seen: Survey, known: Collection[str]) -> Iterator[Verdict]:
    """What stands still or is late, by the same judgement as the audit's; not of targets that have a line already."""
    for finding in of_targets(seen, runtime.settings.targets, runtime.clock.now(), slack(runtime)):
        name = finding.target or ""
        if name in runtime.settings.targets and f"target {name}" not in known:
            record = seen.records.get(name)
            if finding.kind in ("overdue", "unasked") and record and record.current is None and record.failure is None:
                continue  # it is new: no worker has looked at it yet
            grave = finding.kind in GRAVE or finding.kind in set(TroubleKind)
            yield Verdict(f"target {name}", "failed" if grave else "warning", finding.what, finding.hint)


def _unjudged(observed: Mapping[str, Observation]) -> dict[str, list[str]]:
    """Targets of whose current key nobody knows whether it lives, by why that is so."""
    found: dict[str, list[str]] = {}
    for name, observation in observed.items():
        if observation.living is None and not observation.trouble:
            found.setdefault(observation.what or "the object storage does not say", []).append(name)
    return found


def _of_unjudged(unjudged: Mapping[str, list[str]]) -> Iterator[Verdict]:
    """One line for each reason: a storage that cannot be asked has the same to say of each target."""
    for what, names in unjudged.items():
        told = f"{first_of(names, NAMED)}: not known whether the current key lives: {what}"
        check = f"target {names[0]}" if len(names) == 1 else f"{len(names)} targets"
        yield Verdict(check, "warning", told, "It proves nothing about the key. Run `rotator check` again later.")


def _of_observation(runtime: Runtime, name: str, observation: Observation) -> Iterator[Verdict]:
    if observation.trouble:
        yield Verdict(f"target {name}", "failed", observation.trouble.what, advice(name, observation.trouble))
    elif observation.unseen:
        what = "; ".join(observation.unseen.values())
        yield Verdict(f"target {name}", "warning", what, "See the line of the destination.")
    elif observation.document and observation.document.expires_at:
        place = f"-mount={runtime.settings.vault.mount} {runtime.settings.targets[name].path}"
        what = f"Vault deletes the app's secret at {observation.document.expires_at.isoformat(timespec='seconds')}"
        hint = f"Turn that off before: `vault kv metadata put -delete-version-after=0s {place}`, then rotate."
        yield Verdict(f"target {name}", "failed", what, hint)
