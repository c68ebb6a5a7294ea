"""The steps that take a key away: delete it once its time is over, prove that it is dead, destroy its old version.

Every delete is of one key by name that is on record as retiring, right after a look at what Vault publishes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from worker.errors import (
    AccountGone,
    CircuitOpen,
    Conflict,
    HostUpError,
    HostUpLastKey,
    HostUpRefused,
    RotatorError,
    VaultError,
    VaultUnavailable,
)
from worker.events import Event
from worker.rotation.changes.retirement import (
    dead,
    delete_again,
    delete_failed,
    deleted,
    find,
    grace_extended,
    still_alive,
    uncounted,
)
from worker.rotation.claiming import others_that_need
from worker.rotation.in_use import Kept, extended_until, kept, kept_until_at_most
from worker.rotation.ports import DeletedKey, Life, Probe
from worker.rotation.record import RetiringKey, Why
from worker.rotation.records import Change
from worker.rotation.steps.copies import destroy_copies, published_copies
from worker.rotation.steps.counted import Count, count_before, undiminished
from worker.rotation.steps.session import Pause, Session
from worker.secret import Secret
from worker.targets.backoff import next_death_probe
from worker.targets.receipts import Receipts, receipts_in

BASE64 = "base64"
PLAIN = "plain"
GONE = (400, 404, 410)
"""Statuses that may mean "no such key", or that the key stood in the path in a form the API does not take."""

NEVER_SEEN = frozenset({Why.STRAY, Why.UNUSABLE, Why.SETTLED, Why.REMOVED, Why.LEFT})
"""Keys that never worked under our eyes and retire as soon as they are known. One that has not spread yet is refused
just as a dead one is, and then a delete that only says 200 or 404 would be believed."""


def delete(session: Session, access_key: str) -> Pause | None:
    """Delete a retiring key whose time is over, unless Vault publishes it."""
    key = find(session.record, access_key)
    early = key.retire_after - session.earliest
    if early > timedelta(0):
        # a clock that is set right is noticed soon
        again = session.now + min(early, session.services.policy.tick)
        return Pause(access_key, again, f"a clock by which the time of access key {access_key} is not over yet")
    if session.known_at is None or session.known_at < key.retire_after:
        # a rollback may have begun since, in time; what is read from here on is told apart by the record
        session.reload()
        key = find(session.record, access_key)
    end = extended_until(key, session.target, session.services.vault_away.of(session.target))
    if end and end > session.now:
        now = session.now
        session.change(lambda record: grace_extended(record, access_key, end, now))
        return None
    in_use = _kept_in_use(session, key)
    if in_use:
        return Pause(access_key, in_use.until, in_use.why)
    since = session.services.clock.monotonic()
    try:
        at = session.services.at(key.account)
        at.storage.see_that_it_can_be_asked()  # or nobody could see that the current key lives
        _see_that_it_is_not_published(session, key)
        see_that_it_is_ours(session, key)
        at.account.enter(session.target.name)
        before = count_before(at.account)
        answer = delete_at_hostup(session, key)
    except CircuitOpen as error:
        return Pause(access_key, error.until, error.what)
    except VaultUnavailable:
        raise
    except RotatorError as error:
        _failed(session, key, error)
        return None
    now = session.now
    record_delete(session, key, answer, lambda record: deleted(record, access_key, answer, now), since=since)
    see_that_it_is_counted(session, key, before, answer)
    return None


def see_that_it_is_counted(session: Session, key: RetiringKey, before: Count | None, answer: DeletedKey) -> None:
    """Put on record where HostUp counts no fewer keys after a delete. Raises RecordError, VaultError."""
    after = undiminished(session.services.at(key.account).account, before) if before and answer.was_there else None
    if before and after is not None:
        counts, now = (before.keys, after), session.now
        session.change(lambda record: uncounted(record, key.access_key, *counts, now))


def record_delete(session: Session, key: RetiringKey, answer: DeletedKey, change: Change, *, since: float) -> None:
    """Put what HostUp answered to a delete on record.

    Repeated until it is written: another delete would get another requestId, and this one would be lost (promise 8);
    but not for ever, because the key is on record either way, and other targets wait for this thread.

    Raises RecordError, VaultError.
    """
    session.services.at(key.account).account.succeeded(made=-1 if answer.was_there else 0)
    patience = session.services.policy.lease.total_seconds()
    try:
        session.change_until_written(change, since=since, patience=patience)
    except VaultError as error:
        # then at least the log has the requestId
        session.log(Event.KEY_RETIRED, access_key=key.access_key, request_id=answer.request_id, error=error.what)
        raise


def _kept_in_use(session: Session, key: RetiringKey) -> Kept | None:
    """Whether the key stays because apps say that they use it; asked only where the target wants that."""
    target, policy = session.target, session.services.policy
    if kept_until_at_most(key, target) is None:
        return None
    try:
        found = [
            receipts_in(session.services.vault.read(f"{policy.receipts_path}/{path}").data or {})
            for path in target.paths_here()  # who reads in another mount leaves none
        ]
        receipts = Receipts(tuple(receipt for each in found for receipt in each.known))
    except VaultUnavailable:
        raise
    except VaultError:
        receipts = None  # the policy may lack the right; `rotator check` tells
    return kept(key, target, receipts, session.now, policy.tick)


def _see_that_it_is_not_published(session: Session, key: RetiringKey) -> None:
    if key.why is Why.REVOKED:
        return  # a person has said so
    target, current = session.target, session.record.current
    newest = current.vault_version if current else 0
    found = [(target.path, session.services.vault.read(target.path, newest))]
    found += [(copy.name, document) for copy, document in published_copies(session)]
    for where, document in found:
        if document.data is not None and target.fields.read(document.data, "access_key") == key.access_key:
            raise Conflict(
                f"access key {key.access_key} was to be deleted, but Vault publishes it as version {document.version} "
                f"of {where}",
                target=target.name,
                hint="It is not deleted while it stands there. Somebody put an old version back: rotate again, or put "
                "the current one back (`rotator status` names it).",
            )


def see_that_it_is_ours(session: Session, key: RetiringKey) -> None:
    """By its own document, and where that may tell too little, by every record. Raises Conflict, VaultError."""
    others = others_that_need(session.services, key.access_key, session.target.name)
    if not others:
        return
    raise Conflict(
        f"access key {key.access_key} was to be deleted, but it is on record for target {', '.join(others)}",
        target=session.target.name,
        hint=f"It is not deleted for this target. See `rotator status {others[0]}`, and which of them uses it.",
    )


def delete_at_hostup(session: Session, key: RetiringKey) -> DeletedKey:
    """Delete on the key's own account, by the documented form; if that was perhaps not understood, once by the other.

    That is so wherever the key is not proven dead: a refusal by itself proves nothing (:func:`_proof`), and who asks
    for a key that is gone does no harm.
    """
    hostup = session.services.at(key.account).hostup
    refusal: HostUpRefused | None = None
    try:
        answer = hostup.delete_key(key.access_key, BASE64)
    except HostUpLastKey:
        raise
    except HostUpRefused as error:
        if error.answer.status not in GONE:
            raise
        answer, refusal = DeletedKey(error.answer.status or 0, error.request_id, BASE64), error
    if answer.status not in GONE:
        return answer
    life = _proof(session, key).life
    if life is Life.DEAD:
        return answer
    try:
        return hostup.delete_key(key.access_key, PLAIN)
    except HostUpLastKey:
        raise
    except HostUpRefused as error:
        if refusal or life is Life.ALIVE or error.answer.status not in GONE:
            raise
        return answer  # by neither form is there such a key


def _failed(session: Session, key: RetiringKey, error: RotatorError) -> None:
    if isinstance(error, HostUpError):
        session.services.at(key.account).account.failed(error)
    retry_after = getattr(error, "retry_after", None)
    backoff = session.services.policy.backoff(session.target)
    now = session.now
    retry_at = now + backoff.delay(key.attempts + 1, key.access_key, retry_after)
    session.change(lambda record: delete_failed(record, key.access_key, error, retry_at, now))


def prove_dead(session: Session, access_key: str) -> Pause | None:
    """Probe a deleted key; once it is refused, destroy its version of the app's secret and drop it from the record."""
    key = find(session.record, access_key)
    spread_by = key.retire_after + session.services.policy.verify_within
    if key.why in NEVER_SEEN and session.now < spread_by:
        return Pause(access_key, spread_by, f"access key {access_key} is so new that a refusal would prove nothing")
    since = session.services.clock.monotonic()
    try:
        probe = _proof(session, key)
    except AccountGone as error:
        _failed(session, key, error)
        return None
    if probe.life is not Life.DEAD:
        return _not_dead_yet(session, key, probe)
    try:
        # first, because without its secret it may be that nobody can prove it a second time
        session.services.store.claims.note_dead(access_key, session.target.name, probe)
        _destroy_version(session, key)
        destroy_copies(session, access_key, key.copies)
    except VaultUnavailable:
        raise
    except VaultError as error:
        _failed(session, key, error)
        return None
    now = session.now
    session.change(lambda record: dead(record, access_key, probe, now), since=since)
    return None


def _proof(session: Session, key: RetiringKey) -> Probe:
    """Whether the key is dead, with what that rests on in ``detail``.

    Some gateways refuse a wrong secret of a living key just as a dead one (docs/facts.md, "Ceph's object gateway"). So
    a refusal counts only where the same gateway tells a living key apart in the same moment: the target's current one.
    For a target that has none there any more, another's does. Else the key's own secret is used once, from its old
    version in Vault; where that is destroyed already, what it was destroyed upon counts.
    """
    storage = session.services.at(key.account).storage
    probe = storage.lives(key.access_key)
    if probe.life is not Life.DEAD:
        return probe
    witness = _witness(session, key)
    if not _is_counted(session, key):
        witness = None
    if witness and witness != key.access_key and storage.lives(witness).life is Life.ALIVE:
        return replace(probe, detail=f"the same gateway knows access key {witness}")
    secret = _old_secret(session, key)
    if secret is None:
        known = session.services.store.claims.proof_of_death(key.access_key, session.target.name)
        if known:
            return known  # the worker that proved it died right after it had its secret destroyed
        why = key.error if key.undiminished else "the gateway may refuse a wrong secret of any key"
        return replace(probe, life=Life.UNKNOWN, detail=why)
    probe = storage.works(key.access_key, secret)
    return replace(probe, detail="refused with its own secret") if probe.life is Life.DEAD else probe


def _witness(session: Session, key: RetiringKey) -> str | None:
    """A key that should live at the gateway of this one: the target's current key, or another target's."""
    current = session.record.current
    if current is None or session.record.was_killed(current.access_key):
        return session.witnesses.get(key.account)
    if current.account == key.account or _share_a_gateway(session, current.account, key.account):
        return current.access_key
    return session.witnesses.get(key.account)


def _share_a_gateway(session: Session, one: str, other: str) -> bool:
    """Whether two accounts have the same object storage, as far as that is known."""
    try:
        return session.services.at(one).storage.endpoint == session.services.at(other).storage.endpoint
    except VaultUnavailable:
        raise
    except RotatorError:
        return False


def _is_counted(session: Session, key: RetiringKey) -> bool:
    """Whether HostUp counts fewer keys than before the delete, where it did not at once."""
    if key.undiminished is None:
        return True
    count = session.services.at(key.account).account.key_count()
    return count is not None and count < key.undiminished


def _old_secret(session: Session, key: RetiringKey) -> Secret | None:
    """The key's secret, while Vault still has the version that held it."""
    if not key.vault_version:
        return None
    data = session.services.vault.read_version(session.target.path, key.vault_version).data or {}
    fields = session.target.fields
    value = fields.read(data, "secret_key")
    if fields.read(data, "access_key") != key.access_key or not value:
        return None
    session.services.keep_secret(Secret(value))
    return Secret(value)


def _destroy_version(session: Session, key: RetiringKey) -> None:
    """Destroy the version that held the key; never the current one, nor any that came after it.

    Versions begin at 1 again after a delete with metadata, so what has the number now may be another key's.
    """
    current = session.record.current
    if not key.vault_version or current is None or key.vault_version >= current.vault_version:
        return
    vault, path = session.services.vault, session.target.path
    document = vault.read_version(path, key.vault_version)
    if document.data is not None and session.target.fields.read(document.data, "access_key") == key.access_key:
        vault.destroy(path, key.vault_version)


def _not_dead_yet(session: Session, key: RetiringKey, probe: Probe) -> Pause | None:
    now = session.now
    since_deleted = now - (key.deleted_at or now)
    if since_deleted <= session.services.policy.dead_within:
        reason = f"access key {key.access_key} is deleted, not refused yet: {probe.code or probe.detail}"
        return Pause(key.access_key, now + next_death_probe(since_deleted), reason)
    if key.overdue and (probe.life is Life.ALIVE or key.undiminished is not None):
        session.change(lambda record: delete_again(record, key.access_key, now))
        return None
    look_at = now + session.services.policy.backoff(session.target).delay(key.attempts + 1, key.access_key)
    session.change(lambda record: still_alive(record, key.access_key, look_at, overdue=True, now=now))
    return None
