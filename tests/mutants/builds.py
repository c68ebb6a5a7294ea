"""Builds of the rotator that are broken on purpose, each as small changes to a copy of the package.

Each is a mistake that others made (docs/decisions.md) or that would be easy to make here. A change names the text that
it replaces; when that text is no longer there exactly once, the build fails loudly and has to be rewritten.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

ONE_FAULT = "tests/property/test_one_fault.py"
KV = "tests/contract/vault/test_kv.py"


@dataclass(frozen=True, slots=True)
class Edit:
    """In ``file``, ``old`` (which is there once) becomes ``new``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken build, and the tests that must notice."""

    name: str
    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]


def build(mutant: Mutant, folder: Path) -> None:
    """Copy package, tests and their settings into ``folder``, with the mutant's changes. Raises ValueError."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("worker", "tests", "config"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for edit in mutant.edits:
        file = folder / edit.file
        text = file.read_text("utf-8")
        if text.count(edit.old) != 1:
            raise ValueError(f"{edit.file} holds {text.count(edit.old)} times, not once: {edit.old!r}")
        file.write_text(text.replace(edit.old, edit.new), "utf-8")


MUTANTS = (
    Mutant(
        "an id of any length",
        (Edit("worker/service/message.py", "Field(min_length=1, max_length=LONGEST_ID), ", ""),),
        ("tests/unit/service/test_message.py",),
    ),
    Mutant(
        "what a message wants called is called",
        (Edit("worker/service/message.py", "    callbacks: _Nothing = None\n", "    callbacks: Any = None\n"),),
        ("tests/unit/service/test_message.py",),
    ),
    Mutant(
        "messages take every place for retiring keys",
        (Edit("worker/rotation/changes/asking.py", "RETIRING_FOR_MESSAGES = 10\n", "RETIRING_FOR_MESSAGES = 100\n"),),
        ("tests/unit/rotation/test_asking.py",),
    ),
    Mutant(
        "publish before stage",
        (
            Edit(
                "worker/rotation/steps/create.py",
                "        _record_key(session, holder, created, since)\n",
                "        from worker.rotation.record import StagedKey\n"
                "        from worker.rotation.steps.publish import _values\n"
                "        key = StagedKey(access_key=created.access_key, secret_key=created.secret_key,\n"
                "            request_id=created.request_id, created_at=session.now, verify_by=session.now)\n"
                "        rotation = session.record.rotation\n"
                "        values = session.target.fields.to_secret(_values(session, rotation, key))\n"
                "        session.services.vault.write(session.target.path, values, rotation.expected_version)\n"
                "        _record_key(session, holder, created, since)\n",
            ),
        ),
        (ONE_FAULT,),
    ),
    Mutant(
        "delete the oldest",
        (
            Edit(
                "worker/rotation/steps/retire.py",
                "        answer = delete_at_hostup(session, key)\n",
                "        from worker.rotation.record import Why\n"
                "        current = session.record.current\n"
                "        newer = current is not None and key.why is not Why.REPLACED\n"
                "        oldest = current.access_key if newer else key.access_key\n"
                "        answer = at.hostup.delete_key(oldest, BASE64)\n",
            ),
        ),
        (ONE_FAULT,),
    ),
    Mutant(
        "retry the POST after a time-out",
        (
            Edit(
                "worker/rotation/steps/create.py",
                "        created = at.hostup.create_key(label)\n",
                "        try:\n"
                "            created = at.hostup.create_key(label)\n"
                "        except HostUpUncertain:\n"
                "            created = at.hostup.create_key(label)\n",
            ),
        ),
        (ONE_FAULT,),
    ),
    Mutant(
        "forget the fence: a record is written over whatever is there",
        (
            Edit(
                "worker/rotation/records.py",
                "        written = self._vault.write(path, encode(record), loaded.version)\n",
                "        written = self._vault.write(path, encode(record), self._vault.read(path).version)\n",
            ),
        ),
        (ONE_FAULT,),
    ),
    Mutant(
        "forget the fence: Vault is not told which version is meant",
        (
            Edit(
                "worker/adapters/vault/kv.py",
                "secret=dict(data), cas=cas, mount_point",
                "secret=dict(data), mount_point",
            ),
        ),
        (f"{KV}::test_each_write_must_name_the_version_before",),
    ),
    Mutant(
        "drop the late winner's key",
        (
            Edit(
                "worker/rotation/changes/rotation.py",
                "        return _stray(record, holder, created, now)\n",
                "        return record\n",
            ),
        ),
        (ONE_FAULT,),
    ),
    Mutant(
        "take a KV version 1 answer as written",
        (
            Edit(
                "worker/adapters/vault/kv.py",
                "            raise not_versioned(ask)\n        written = Written(",
                "            return Written(cas + 1, None)\n        written = Written(",
            ),
        ),
        (f"{KV}::test_a_mount_of_kv_version_1_is_told_before_and_after_a_write",),
    ),
    Mutant(
        "begin although another rotation came and went meanwhile",
        (
            Edit(
                "worker/rotation/steps/create.py",
                "begun(record, rotation, ground)",
                "begun(record, rotation, record)",
            ),
        ),
        ("tests/unit/rotation/test_slow_worker.py",),
    ),
    Mutant(
        "blame a target for what another worker did well",
        (
            Edit(
                "worker/rotation/steps/session.py",
                "if under_way != rotation_id or record.current != current:",
                "if under_way != rotation_id:",
            ),
        ),
        ("tests/unit/rotation/test_slow_worker.py",),
    ),
    Mutant(
        "believe that a key is dead before it can have spread",
        (
            Edit(
                "worker/rotation/steps/retire.py",
                "if key.why in NEVER_SEEN and session.now < spread_by:",
                "if False:",
            ),
        ),
        ("tests/unit/rotation/test_young_keys.py",),
    ),
    Mutant(
        "delete a key without asking whose it is",
        (Edit("worker/rotation/steps/retire.py", "        see_that_it_is_ours(session, key)\n", ""),),
        ("tests/unit/rotation/test_claims.py",),
    ),
    Mutant(
        "believe that every key on record has a document of its own",
        (
            Edit(
                "worker/rotation/claiming.py",
                "if owner is None or not claims.are_complete():",
                "if False:",
            ),
        ),
        ("tests/unit/rotation/test_claims.py",),
    ),
    Mutant(
        "delete what apps read of a target that was removed",
        (Edit("worker/rotation/leftover.py", "return key.why is not Why.REVOKED and", "return False and"),),
        ("tests/unit/rotation/test_leftover.py",),
    ),
    Mutant(
        "believe a delete after which HostUp counts no fewer keys",
        (Edit("worker/rotation/steps/retire.py", "if not _is_counted(session, key):", "if False:"),),
        ("tests/unit/rotation/test_counted.py",),
    ),
    Mutant(
        "take a key whatever its label is",
        (Edit("worker/adapters/hostup/creating.py", "if key.label is not None and _tidied(", "if False and _tidied("),),
        ("tests/unit/adapters/test_hostup_answers.py",),
    ),
    Mutant(
        "publish a key that came with an error",
        (Edit("worker/adapters/hostup/creating.py", "    if success and (created", "    if (created"),),
        ("tests/unit/adapters/test_hostup_salvaged.py",),
    ),
    Mutant(
        "delete a key by a record that was read before its grace was over",
        (
            Edit(
                "worker/rotation/steps/retire.py",
                "if session.known_at is None or session.known_at < key.retire_after:",
                "if False:",
            ),
        ),
        ("tests/unit/rotation/test_rollback.py",),
    ),
    Mutant(
        "go on with a rollback that nobody saw in time",
        (Edit("worker/rotation/steps/publish.py", "in_time = session.latest < key.verify_by", "in_time = True"),),
        ("tests/unit/rotation/test_rollback.py",),
    ),
    Mutant(
        "heal a key of which the storage only cannot tell",
        (
            Edit(
                "worker/rotation/observe.py",
                "    if probe.life is not Life.DEAD or probe.code == WRONG_SECRET:\n",
                "    if probe.life is Life.ALIVE:\n",
            ),
        ),
        ("tests/unit/rotation/test_watch.py",),
    ),
    Mutant(
        "a key that is dead waits for the next watch",
        (Edit("worker/rotation/decide.py", "(watch or _is_doubtful(record))", "watch"),),
        ("tests/unit/rotation/test_watch.py",),
    ),
    Mutant(
        "what apps read is taken for well while its key's name stands there",
        (
            Edit(
                "worker/rotation/observe.py",
                "        changed = _changed(services, target, current, document, probe)\n",
                "        changed = ()\n",
            ),
        ),
        ("tests/property/test_watch.py",),
    ),
    Mutant(
        "a key that died is found, and nothing begins",
        (
            Edit(
                "worker/rotation/decide.py",
                "    return bool(record.requests) or (due is not None and due <= now) or may_heal(record, now)\n",
                "    return bool(record.requests) or (due is not None and due <= now)\n",
            ),
        ),
        ("tests/property/test_watch.py",),
    ),
    Mutant(
        "end the grace for any request",
        (
            Edit(
                "worker/rotation/changes/rotation.py",
                "if any(request.leaked for request in asked):",
                "if asked:",
            ),
        ),
        ("tests/unit/rotation/test_leak.py",),
    ),
    Mutant(
        "begin what is asked for in a pause",
        (Edit("worker/rotation/hold.py", "    if paused:\n", "    if paused and not record.requests:\n"),),
        ("tests/unit/rotation/test_holding.py",),
    ),
    Mutant(
        "a rotation is done although a copy does not have the key",
        (Edit("worker/rotation/steps/publish.py", "        failures += copying.failures\n", ""),),
        ("tests/unit/rotation/test_also.py",),
    ),
    Mutant(
        "a frozen worker writes an old key over a copy",
        (Edit("worker/rotation/steps/copies.py", "    session.reload()\n", ""),),
        ("tests/unit/rotation/test_also.py",),
    ),
    Mutant(
        "delete a key that a copy publishes",
        (
            Edit(
                "worker/rotation/steps/retire.py",
                "    found += [(copy.name, document) for copy, document in published_copies(session)]\n",
                "",
            ),
        ),
        ("tests/unit/rotation/test_also.py",),
    ),
    Mutant(
        "write over a copy that is somebody else's",
        (
            Edit(
                "worker/rotation/copy_access.py",
                "        if owner and owner.target == target.name:\n            return\n",
                "    return\n",
            ),
        ),
        ("tests/unit/rotation/test_also.py",),
    ),
    Mutant(
        "a retiring key is deleted on the account that its target is on by now",
        (
            Edit(
                "worker/rotation/steps/retire.py",
                "    hostup = session.services.at(key.account).hostup\n    refusal",
                "    hostup = session.here.hostup\n    refusal",
            ),
        ),
        ("tests/unit/rotation/test_accounts.py",),
    ),
    Mutant(
        "the circuit of one account holds every account",
        (
            Edit(
                "worker/adapters/redis/keys.py",
                'return named_for(account, key, ":")',
                "return key",
            ),
        ),
        ("tests/integration/test_accounts_in_redis.py",),
    ),
    Mutant(
        "a step on another account is done by a thread of the target's own",
        (Edit("worker/service/look.py", "            lend=lend,\n", ""),),
        ("tests/integration/test_bulkheads.py",),
    ),
    Mutant(
        "one account may take every thread",
        (
            Edit(
                "worker/service/bulkhead.py",
                "return self._taken.total() + 1 + waiting <= threads",
                "return self._taken.total() + 1 <= threads",
            ),
        ),
        ("tests/unit/service/test_bulkhead.py",),
    ),
    Mutant(
        "HostUp is asked to roll the API key before that is on record",
        (
            Edit(
                "worker/rotation/api_key/tend.py",
                "    kept = _begin(desk, kept, call, create=False)\n    return _asked(desk, terms, kept, call, "
                "lambda: desk.hostup.roll(key_id, held.api_key))",
                "    new = desk.hostup.roll(key_id, held.api_key)\n"
                "    return _asked(desk, terms, _begin(desk, kept, call, create=False), call, lambda: new)",
            ),
        ),
        ("tests/unit/rotation/test_api_key_roll.py", "tests/property/test_api_key_roll.py"),
    ),
    Mutant(
        "a new API key is put over one that somebody else put there",
        (
            Edit(
                "worker/rotation/api_key/place.py",
                "if isinstance(there, str) and there and mark_of(Secret(there)) != call.old_mark:",
                "if False:",
            ),
        ),
        ("tests/unit/rotation/test_api_key_roll.py",),
    ),
    Mutant(
        "a refused roll forgets the unsettled one before it",
        (Edit("worker/rotation/api_key/changes.py", "    earlier = record.earlier\n", "    earlier = None\n"),),
        ("tests/unit/rotation/test_api_key_roll.py",),
    ),
    Mutant(
        "a 403 for however long says nothing of a dead API key",
        (
            Edit(
                "worker/rotation/api_key/find_out.py",
                "return (Finding.REFUSED if is_refusal(error) else Finding.UNKNOWN), error.what",
                "return Finding.UNKNOWN, error.what",
            ),
        ),
        ("tests/unit/rotation/test_api_key_roll.py",),
    ),
    Mutant(
        "a bootstrap key is asked again and again",
        (
            Edit(
                "worker/rotation/api_key/changes.py",
                "    tried = create or record.tried_create\n",
                "    tried = False\n",
            ),
        ),
        ("tests/unit/rotation/test_api_key_roll.py",),
    ),
)
