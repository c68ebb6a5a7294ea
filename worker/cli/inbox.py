"""``rotator inbox``: all that waits for a person, each with the command that settles it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from worker.cli.options import Options
from worker.cli.output import print_lines, progress, result
from worker.events import Event
from worker.rotation.audit import AuditReport
from worker.rotation.changes.watch import may_heal, wants_healing
from worker.rotation.decide import creates_at
from worker.rotation.findings import AuditFinding
from worker.rotation.history import Entry
from worker.rotation.record import Failure, Record, TroubleKind, Why
from worker.service.audit_task import whole_audit
from worker.settings.environment import Need
from worker.targets.account import DEFAULT_ACCOUNT, account_option, account_word
from worker.targets.location import location

COMMANDS = {
    "set back": "rotator settle {target} --restored",
    "record": "rotator repair {target}",
    "removed": "rotator remove {target}",
    "renamed": "rotator rename {target} NEW",
    "rescued": "rotator repair {target}",
    "endpoint": "rotator accept-endpoint{account}",
    "api key": "rotator roll-api-key{account_word} --settle",
    "alive": "rotator status {target}",
    "paused": "rotator resume {target}",
    "chain": "rotator accept-chain {target} --reason WHY",
    "unasked": "rotator rotate {target}",
    "moved": "rotator rotate {target}",
    TroubleKind.OVERWRITTEN.value: "rotator adopt {target} --access-key KEY",
}
"""Findings of the audit that only a person settles, by their kinds. All others go on by themselves."""

HEALED = (TroubleKind.KEY_REFUSED, TroubleKind.KEY_DENIED, TroubleKind.SECRET_LOST)
"""What a new key mends, which is made by itself a few times a day."""

FOR_PERSONS = frozenset(
    {
        "CopyFailed",
        "EndpointRefused",
        "HostUpKeyMissing",
        "HostUpRefused",
        "PersonNeeded",
        "RecordTooLarge",
        "VaultDenied",
        "VaultExpires",
        "VaultMountMissing",
        "VaultNotVersioned",
        "VaultRefused",
        "VaultTooLarge",
    }
)
"""Errors with which a rotation fails until somebody acts."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that waits: about which target (None: the account), what it is, and what to do."""

    target: str | None
    kind: str
    what: str
    command: str
    hint: str


def inbox(options: Options) -> int:
    """Print what waits; 1 while there is anything."""
    runtime = options.runtime(Need.HOSTUP | Need.VAULT)
    found = whole_audit(runtime, progress("reading records"))
    waiting = list(waiting_in(found))
    result(options, {"waiting": [asdict(each) for each in waiting]}, lambda: print_lines(_lines(waiting)))
    return 1 if waiting else 0


def waiting_in(found: AuditReport) -> Iterator[Waiting]:
    """What of an audit waits for a person. Pure."""
    for finding in found.findings:
        command = _command(finding, found)
        if command:
            yield Waiting(finding.target, finding.kind, finding.what, command, finding.hint)
    for name, record in found.survey.records.items():
        yield from _of_creates(name, record)
        yield from _of_leak_that_was_said(name, record)


def _command(finding: AuditFinding, found: AuditReport) -> str | None:
    name = finding.target or ""
    record = found.survey.records.get(name)
    if finding.kind == "drift":
        return _of_drift(finding.account or DEFAULT_ACCOUNT, found)
    account = finding.account or DEFAULT_ACCOUNT
    if finding.kind == "account":
        # what lies on an account that is gone, or that nobody knows any more which keys of an account are foreign
        return f"rotator status {name}" if name else f"rotator settle --foreign N{account_option(account)}"
    if finding.kind == "failing" and record and record.failure:
        return _of_failure(name, record.failure)
    if finding.kind in HEALED and record:
        given_up = wants_healing(record) and not may_heal(record, found.at)
        return f"rotator rotate {name} --wait" if given_up else None
    if finding.kind == TroubleKind.OVERWRITTEN and finding.location:
        return _of_copy(finding.location)
    command = COMMANDS.get(finding.kind)
    option, word = account_option(account), account_word(account)
    return command.format(target=name, account=option, account_word=word) if command else None


def _of_failure(name: str, failure: Failure) -> str | None:
    if failure.kind == "Conflict":
        return _of_copy(failure.location) if failure.location else f"rotator adopt {name} --access-key KEY"
    return f"rotator rotate {name} --now-anyway" if failure.kind in FOR_PERSONS else None


def _of_copy(name: str) -> str:
    """What somebody else wrote over a copy is deleted there; adopting reads the app's secret alone."""
    return f"vault kv delete -mount=MOUNT {location(name).path}"


def _of_drift(account: str, found: AuditReport) -> str | None:
    known = found.survey.records.values()
    if any(create.open for record in known for create in creates_at(record, account)):
        return None  # one of these may be the key: what they wait for comes first
    numbers = ((each.foreign or 0) + (each.drift or 0) for each in found.accounts if each.account == account)
    return f"rotator settle --foreign {max(0, sum(numbers))}{account_option(account)}"


def _of_creates(name: str, record: Record) -> Iterator[Waiting]:
    for create in record.unconfirmed_creates:
        if create.open:
            what = f"a key labelled {create.label!r} may have been made at {create.at.isoformat(timespec='seconds')}"
            hint = "Look for that label in HostUp's panel: --none if there is none, --deleted if you deleted it."
            command = f"rotator settle {name} {create.rotation_id} --revoke ACCESS_KEY"
            yield Waiting(name, "unconfirmed create", f"{what}: {create.error}", command, hint)


def _of_leak_that_was_said(name: str, record: Record) -> Iterator[Waiting]:
    """A message said that keys leaked, and was not believed: a person has to, while one of them may still work."""
    said = next((e for e in record.history.newest_first() if e.facts.get("leak_said")), None)
    if said is None or said.at is None or record.leaked:
        return
    alive = list(_alive_since(record, said))
    if alive:
        what = (
            f"a message said at {said.at.isoformat(timespec='seconds')} that its keys leaked, and of those "
            f"{', '.join(alive)} may still work"
        )
        hint = "If they did not leak, nothing is to be done: this goes away with them, when their grace period is over."
        yield Waiting(name, "leak said", what, f"rotator rotate {name} --leaked", hint)


def _alive_since(record: Record, then: Entry) -> Iterator[str]:
    """The keys that apps could read when this entry was written, and that are not deleted."""
    entries = (entry for entry in record.history.entries() if entry.number > then.number)
    later = {entry.access_key for entry in entries if entry.event == Event.SECRET_PUBLISHED}
    keys = [record.current.access_key] if record.current and not record.was_killed(record.current.access_key) else []
    keys += [key.access_key for key in record.retiring if key.why is Why.REPLACED and not key.deleted_at]
    yield from (key for key in keys if key not in later)


def _lines(waiting: list[Waiting]) -> Iterator[str]:
    if not waiting:
        yield "nothing waits for you"
    for each in waiting:
        yield f"{each.target}: {each.what}" if each.target else each.what
        yield f"  {each.command}"
        if each.hint:
            yield f"  {each.hint}"
