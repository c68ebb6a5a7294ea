"""``rotator settle``: what a person found out about keys that nobody has on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.cli.in_use import claim, see_that_nobody_uses
from worker.cli.leaving import on_record, wake
from worker.cli.options import Options, account_named
from worker.cli.output import print_lines, progress, result
from worker.cli.status import create_lines
from worker.errors import UsageError
from worker.rotation.baseline import note_foreign
from worker.rotation.changes.repair import LooseKey, retired
from worker.rotation.changes.settlement import Settlement, settled_create
from worker.rotation.changes.watch import deletes_resumed
from worker.rotation.claims import Owner
from worker.rotation.record import UnconfirmedCreate
from worker.rotation.records import Loaded
from worker.rotation.status import create_facts
from worker.rotation.survey import survey
from worker.service.assemble import Runtime
from worker.settings.environment import Need
from worker.targets.account import DEFAULT_ACCOUNT, at_account
from worker.targets.target import Target


@dataclass(frozen=True, slots=True)
class Answers:
    """What the person answered; at most one of them."""

    none: bool = False
    deleted: bool = False
    revoke: str | None = None
    restored: bool = False

    def verdict(self) -> Settlement | None:
        """The answer in words, for the record; None when there is none. Raises UsageError for two."""
        if self.none + self.deleted + bool(self.revoke) + self.restored > 1:
            raise UsageError(
                "--none, --deleted, --revoke and --restored exclude each other", hint="Give the one that is true."
            )
        if self.none:
            return Settlement("a person found no key of this label")
        if self.deleted:
            return Settlement("a person deleted the key of this label")
        return (
            Settlement(f"a person named access key {self.revoke}, to be retired", self.revoke) if self.revoke else None
        )


@dataclass(frozen=True, slots=True)
class Foreign:
    """How many keys of which account a person says are somebody else's."""

    number: int | None = None
    account: str | None = None


def settle_or_note(
    options: Options, name: str | None, rotation_id: str | None, answers: Answers, noted: Foreign
) -> int:
    """Either a target's unconfirmed create, or the number of foreign keys. Raises UsageError for both and none."""
    if noted.number is not None and (name or answers != Answers()):
        raise UsageError("--foreign is about the account, not about a target", hint="Give it alone.")
    if noted.number is not None:
        return foreign(options, noted.number, noted.account)
    if noted.account:
        raise UsageError(
            "--account goes with --foreign only", hint="A create is settled on the account it was made on."
        )
    if name is None:
        raise UsageError("neither a TARGET nor --foreign is given", hint="See `rotator settle --help`.")
    return resume(options, name) if answers.restored else settle(options, name, rotation_id, answers)


def settle(options: Options, name: str, rotation_id: str | None, answers: Answers) -> int:
    """Settle one unconfirmed create, or without an answer list those that are open."""
    verdict = answers.verdict()
    runtime = options.runtime(Need.VAULT)
    target = on_record(runtime, name)
    store = runtime.services.store
    loaded = store.open(target) if name in runtime.settings.targets else store.load(target.name, target.path)
    creates = [create for create in loaded.record.unconfirmed_creates if create.open]
    if verdict is None:
        result(options, [create_facts(create) for create in creates], lambda: _print_open(name, creates))
        return 0
    if verdict.revoke and not creates and rotation_id is None:
        return _retire(options, runtime, target, loaded, verdict.revoke)
    chosen = rotation_id or _the_only_one(name, creates)
    if verdict.revoke:
        see_that_nobody_uses(runtime.services, runtime.settings.targets, verdict.revoke)
        accounts = [create.account for create in creates if create.rotation_id == chosen]
        claim(runtime.services, verdict.revoke, Owner(name, chosen, next(iter(accounts), DEFAULT_ACCOUNT)))
    now = runtime.clock.now()
    store.change(loaded, lambda record: settled_create(record, chosen, verdict, now))
    wake(runtime, target)
    document: dict[str, Any] = {
        "target": name,
        "rotation_id": chosen,
        "settled": verdict.text,
        "open": len(creates) - 1,
    }
    result(options, document, lambda: print_lines(_done(target, verdict, len(creates) - 1)))
    return 0


def _retire(options: Options, runtime: Runtime, target: Target, loaded: Loaded, access_key: str) -> int:
    """Bring a key that no create answers for on record, to be deleted: it was forgotten, as Vault was set back.

    Apps may be using it, so it works on for as long as one that was replaced does.
    """
    services, now = runtime.services, runtime.clock.now()
    see_that_nobody_uses(services, runtime.settings.targets, access_key)
    owner = services.store.claims.owner(access_key)
    rotation_id, account = (owner.rotation_id, owner.account) if owner else (None, target.account)
    claim(services, access_key, Owner(target.name, rotation_id, account))
    key, until = LooseKey(access_key, "", rotation_id, account=account), now + target.grace
    services.store.change(loaded, lambda record: retired(record, key, now, until))
    wake(runtime, target)
    document = {"target": target.name, "revoked": access_key, "retire_after": until.isoformat(timespec="seconds")}
    line = f"{target.name}: access key {access_key} is deleted after the grace period, at {document['retire_after']}"
    result(options, document, lambda: print_lines([line]))
    return 0


def resume(options: Options, name: str) -> int:
    """Let keys be deleted again after Vault was set back: the person has looked, and all is well."""
    runtime = options.runtime(Need.VAULT)
    target = on_record(runtime, name)
    store, now = runtime.services.store, runtime.clock.now()
    loaded = store.load(target.name, target.path)
    if not loaded.record.deletes_held:
        raise UsageError("nothing is held back", target=name, hint="See `rotator status`.")
    store.change(loaded, lambda record: deletes_resumed(record, "a person says that all is well", now))
    wake(runtime, target)
    result(options, {"target": name, "deletes_held": False}, lambda: print_lines([f"{name}: keys are deleted again"]))
    return 0


def foreign(options: Options, number: int, account: str | None) -> int:
    """Note how many keys of an account are not this project's, so that the audit expects them."""
    runtime = options.runtime(Need.VAULT)
    services, of = runtime.services, account_named(runtime.settings, account)
    document = services.vault.read(services.store.account_path(of))
    # keys that were adopted by name have been foreign once, and the audit counts them off
    adopted = survey(services, runtime.settings.targets, progress("reading records")).adopted(of)
    known = runtime.settings.accounts[of].hostup.has_api_key
    count = services.at(of).account.key_count() if known else None
    note_foreign(services, number + adopted, count, document.version, of)
    noted = {"account": of, "foreign": number, "key_count": count}
    result(
        options,
        noted,
        lambda: print_lines(
            [f"noted: {number} keys at HostUp{at_account(of)} are somebody else's; see `rotator audit`"]
        ),
    )
    return 0


def _the_only_one(name: str, creates: list[UnconfirmedCreate]) -> str:
    if len(creates) == 1:
        return creates[0].rotation_id
    if not creates:
        raise UsageError("there is no open unconfirmed create", target=name, hint="Nothing has to be settled.")
    ids = ", ".join(create.rotation_id for create in creates)
    raise UsageError(
        f"{len(creates)} unconfirmed creates are open", target=name, hint=f"Name the rotation, one of: {ids}."
    )


def _print_open(name: str, creates: list[UnconfirmedCreate]) -> None:
    if not creates:
        print_lines([f"{name}: nothing has to be settled"])
        return
    print_lines(line for create in creates for line in create_lines(name, create_facts(create)))
    print_lines(
        [
            "",
            "When you know what became of it, one of these lets the target go on:",
            f"  rotator settle {name} ROTATION_ID --none           there is no key with that label",
            f"  rotator settle {name} ROTATION_ID --deleted        you have deleted it in HostUp's panel",
            f"  rotator settle {name} ROTATION_ID --revoke KEY     the worker is to delete it, by this name",
        ]
    )


def _done(target: Target, verdict: Settlement, left: int) -> list[str]:
    lines = [f"{target.name}: settled; {verdict.text}"]
    lines += [f"  {left} more to settle" if left else "  nothing more to settle; the target goes on"]
    return lines
