"""``rotator rotate``: puts a request on record in Vault, has a worker look at it, and waits for the outcome."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.cli.asking import reason_of
from worker.cli.failing import INTERRUPTED
from worker.cli.held import held_text
from worker.cli.leak import Leak, LeakFollower, leak_lines, see_that_it_is_meant
from worker.cli.messenger import Messenger
from worker.cli.options import Options, target_named
from worker.cli.output import print_facts, print_lines, result, say
from worker.cli.texts import when
from worker.cli.waiting import TRY_LATER, Outcome, Waiting, document
from worker.cli.who import asker
from worker.errors import QueueUnavailable, UsageError
from worker.rotation.hold import pause_of, pause_text
from worker.rotation.reconcile import accept
from worker.rotation.record import Failure, Record, Request
from worker.rotation.status import held_back_by
from worker.service.assemble import Runtime
from worker.service.leaks import tried_now
from worker.settings.environment import Need
from worker.targets.durations import parse_duration
from worker.targets.target import Target

ON_RECORD = "The request is on record in Vault and is not lost; the current key stays as it is until it is served."
KEPT = (
    "The old key is NOT deleted, as there is no new one, nor is any in its grace period. To delete them all the same: "
    "`rotator rotate TARGET --leaked --even-without-a-new-one`."
)
ANYWAY = "`rotator rotate --now-anyway` tries at once."
NO_WORKER = f"No worker is there to rotate the key. {ON_RECORD} Start one with `rotator worker`."


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for: why, who he is, and whether it is tried at once whatever asks for a pause.

    ``leak``: the key leaked; then it is tried at once, too.
    """

    reason: str = ""
    by: str = ""
    now_anyway: bool = False
    leak: Leak | None = None


def rotate(options: Options, name: str, wish: Wish, *, wait: bool, timeout: str) -> int:
    """Ask for a rotation; the exit code tells whether it succeeded, or with ``wait`` off, whether a worker is there."""
    patience, by, leak = _patience(timeout), asker(wish.by), wish.leak
    reason = reason_of(wish.reason)
    runtime = options.runtime(Need.VAULT)
    target = target_named(runtime.settings, name)
    if leak and not see_that_it_is_meant(runtime, target, leak):
        return 1
    request = Request(id=str(uuid.uuid4()), reason=reason, at=runtime.clock.now(), leaked=leak is not None)
    record = accept(runtime.services, target, request, by)
    _say_what_is_under_way(record)
    if wish.now_anyway or leak:
        record = _skip_pauses(runtime, target)
    else:
        _say_what_it_waits_for(runtime, record, target.account)
    if not wait and not (leak and leak.even_without):
        return _hand_over(options, runtime, record)
    return _wait(options, Waiting(runtime, target, request, record), patience, leak, by)


def _patience(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--timeout: {text[:40]!r} {error}") from None


def _say_what_is_under_way(record: Record) -> None:
    rotation = record.rotation
    if rotation:
        say(f"Rotation {rotation.id} is under way already ({rotation.phase}); the request joins it.")
    elif len(record.requests) > 1:
        say(f"{len(record.requests) - 1} earlier requests wait; one rotation will serve all of them.")


def _skip_pauses(runtime: Runtime, target: Target) -> Record:
    """Have the next try be now; what fails again waits again."""
    try:
        return tried_now(runtime, target)
    except QueueUnavailable as error:
        say(f"{error.what}. What holds calls to HostUp back could not be closed.")
    return runtime.services.store.load(target.name, target.path).record


def _say_what_it_waits_for(runtime: Runtime, record: Record, account: str) -> None:
    now, failure = runtime.clock.now(), record.failure
    if paused := pause_of(record, now):
        say(f"The request waits for {pause_text(paused)} to end: `rotator resume {record.target}`.")
    if full := held_back_by(record):
        say(f"{full}.")
    if failure and failure.retry_at > now and failure.kind == "HostUpRateLimited":
        say(f"HostUp asked for a pause: the next try is {when(failure.retry_at, now)}. {ANYWAY}")
    try:
        for held in runtime.shared.circuit(account).held(now):
            say(f"{held_text(held, now)}. {ANYWAY}")
    except QueueUnavailable:
        return  # it is said when a worker is to be woken


def _hand_over(options: Options, runtime: Runtime, record: Record) -> int:
    messenger = Messenger(runtime)
    try:
        messenger.wake(record.target)
        trouble = "" if messenger.has_worker() else NO_WORKER
    except QueueUnavailable as error:
        trouble = f"{error.what}. {ON_RECORD} A worker finds it by itself once Redis is back."
    if trouble:
        say(trouble)
    result(
        options,
        document(record, "accepted", {}),
        lambda: print_lines([f"{record.target}: the request for a rotation is on record"]),
    )
    return TRY_LATER if trouble else 0


def _wait(options: Options, waiting: Waiting, patience: timedelta, leak: Leak | None, by: str) -> int:
    try:
        outcome = waiting.until_served(patience)
        if leak:
            outcome = _follow(waiting, outcome, patience, leak, by)
    except KeyboardInterrupt:
        say(f"No longer waiting. {ON_RECORD}")
        return INTERRUPTED
    if outcome.failure:
        _say_failure(outcome.failure)
    elif outcome.gave_up:
        say(outcome.gave_up)
    result(options, outcome.document, lambda: _print_outcome(outcome))
    return outcome.exit_code


def _follow(waiting: Waiting, outcome: Outcome, patience: timedelta, leak: Leak, by: str) -> Outcome:
    """After the rotation: until the old keys are dead; where there was none, what the person said of that."""
    follower = LeakFollower(waiting.runtime, waiting.target, waiting.request)
    if outcome.exit_code == 0:
        return follower.until_dead(outcome, patience)
    if not leak.even_without:
        say(KEPT)
        return outcome
    if outcome.failure:
        _say_failure(outcome.failure)
    return follower.revoke(leak, by, patience) or outcome


def _say_failure(failure: Failure) -> None:
    facts = f" (requestId {failure.request_id})" if failure.request_id else ""
    say(f"The rotation failed: {failure.what}{facts}")
    say(f"  {failure.hint}")
    say(f"  {ON_RECORD} It is tried again at {when(failure.retry_at, datetime.now(UTC))}.")


def _print_outcome(outcome: Outcome) -> None:
    facts: dict[str, Any] = outcome.document
    print_facts(
        [
            ("target", facts["target"]),
            ("outcome", facts["outcome"]),
            ("access key", facts["access_key"] or ""),
            ("previous access key", facts.get("previous_access_key") or ""),
            ("Vault version", str(facts.get("vault_version") or "")),
            ("requestId", facts["request_id"] or ""),
            ("rotation id", facts.get("rotation_id") or ""),
            ("took", f"{facts['duration_ms']} ms" if facts.get("duration_ms") is not None else ""),
            *leak_lines(facts),
        ]
    )
