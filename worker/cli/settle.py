"""``rotator settle``: what a person found out about keys that nobody has on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.cli.given import Given, target_named
from worker.cli.in_use import see_that_nobody_uses
from worker.cli.messenger import wake_or_say
from worker.cli.output import print_lines, progress, result, say
from worker.cli.status import mint_lines
from worker.errors import UsageError
from worker.rotation.audit import note_foreign, survey
from worker.rotation.changes.settlement import Verdict
from worker.rotation.changes.settlement import settle as settled
from worker.rotation.record import UnknownMint
from worker.rotation.records import Loaded
from worker.rotation.status import mint_facts
from worker.service.assemble import Runtime
from worker.settings.environment import Need
from worker.targets.target import Target


@dataclass(frozen=True, slots=True)
class Answers:
    """What the person answered; at most one of them."""

    none: bool = False
    deleted: bool = False
    revoke: str | None = None

    def verdict(self) -> Verdict | None:
        """The answer in words, for the record; None when there is none. Raises UsageError for two."""
        if self.none + self.deleted + bool(self.revoke) > 1:
            raise UsageError("--none, --deleted and --revoke exclude each other", hint="Give the one that is true.")
        if self.none:
            return Verdict("a person found no key of this label")
        if self.deleted:
            return Verdict("a person deleted the key of this label")
        return Verdict(f"a person named access key {self.revoke}, to be retired", self.revoke) if self.revoke else None


def settle_or_note(
    given: Given, name: str | None, rotation_id: str | None, answers: Answers, number: int | None
) -> int:
    """Either a target's unknown mint, or the ``number`` of foreign keys. Raises UsageError for both, or neither."""
    if number is not None and (name or answers != Answers()):
        raise UsageError("--foreign is about the account, not about a target", hint="Give it alone.")
    if number is not None:
        return foreign(given, number)
    if name is None:
        raise UsageError("neither a TARGET nor --foreign is given", hint="See `rotator settle --help`.")
    return settle(given, name, rotation_id, answers)


def settle(given: Given, name: str, rotation_id: str | None, answers: Answers) -> int:
    """Settle one unknown mint, or without an answer list those that are open."""
    verdict = answers.verdict()
    runtime = given.runtime(Need.VAULT)
    target = target_named(runtime.settings, name)
    loaded = runtime.world.store.load(target.name, target.path)
    mints = [mint for mint in loaded.record.unknown_mints if mint.open]
    if verdict is None:
        result(given, [mint_facts(mint) for mint in mints], lambda: _print_open(name, mints))
        return 0
    chosen = rotation_id or _the_only_one(name, mints)
    if verdict.revoke:
        see_that_nobody_uses(runtime.world, runtime.settings.targets, verdict.revoke)
    _write(runtime, loaded, chosen, verdict)
    document: dict[str, Any] = {"target": name, "rotation_id": chosen, "settled": verdict.text, "open": len(mints) - 1}
    result(given, document, lambda: print_lines(_done(target, verdict, len(mints) - 1)))
    return 0


def foreign(given: Given, number: int) -> int:
    """Note how many keys of the account are not this project's, so that the audit expects them."""
    runtime = given.runtime(Need.VAULT)
    world = runtime.world
    document = world.vault.read(world.store.account_path)
    # keys that were adopted by name have been foreign once, and the audit counts them off
    adopted = survey(world, runtime.settings.targets, progress("reading records")).adopted
    count = world.account.key_count() if runtime.settings.hostup.api_key else None
    note_foreign(world, number + adopted, count, document.version)
    noted = {"foreign": number, "key_count": count}
    result(
        given, noted, lambda: print_lines([f"noted: {number} keys at HostUp are somebody else's; see `rotator audit`"])
    )
    return 0


def _write(runtime: Runtime, loaded: Loaded, rotation_id: str, verdict: Verdict) -> None:
    now = runtime.clock.now()
    runtime.world.store.change(loaded, lambda record: settled(record, rotation_id, verdict, now))
    trouble = wake_or_say(runtime, loaded.record.target)
    if trouble:
        say(trouble)


def _the_only_one(name: str, mints: list[UnknownMint]) -> str:
    if len(mints) == 1:
        return mints[0].rotation_id
    if not mints:
        raise UsageError("there is no open unknown mint", target=name, hint="Nothing has to be settled.")
    ids = ", ".join(mint.rotation_id for mint in mints)
    raise UsageError(f"{len(mints)} unknown mints are open", target=name, hint=f"Name the rotation, one of: {ids}.")


def _print_open(name: str, mints: list[UnknownMint]) -> None:
    if not mints:
        print_lines([f"{name}: nothing has to be settled"])
        return
    print_lines(line for mint in mints for line in mint_lines(name, mint_facts(mint)))
    print_lines(
        [
            "",
            "When you know what became of it, one of these lets the target go on:",
            f"  rotator settle {name} ROTATION_ID --none           there is no key with that label",
            f"  rotator settle {name} ROTATION_ID --deleted        you have deleted it in HostUp's panel",
            f"  rotator settle {name} ROTATION_ID --revoke KEY     the worker is to delete it, by this name",
        ]
    )


def _done(target: Target, verdict: Verdict, left: int) -> list[str]:
    lines = [f"{target.name}: settled; {verdict.text}"]
    lines += [f"  {left} more to settle" if left else "  nothing more to settle; the target goes on"]
    return lines
