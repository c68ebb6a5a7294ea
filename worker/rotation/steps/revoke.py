"""The step that deletes the current key because it leaked and a person said so, although there is no other."""

from __future__ import annotations

from dataclasses import replace

from worker.errors import CircuitOpen, HostUpError, RotatorError, VaultUnavailable
from worker.rotation.changes.leak import revoked, to_revoke
from worker.rotation.changes.rotation import to_retire
from worker.rotation.record import Why
from worker.rotation.steps.counted import count_before
from worker.rotation.steps.retire import delete_at_hostup, record_delete, see_that_it_is_counted, see_that_it_is_ours
from worker.rotation.steps.session import Pause, Session


def revoke(session: Session, access_key: str) -> Pause | None:
    """Delete the current key. What stands in the way is recorded, and tried again.

    Also where nobody could see it die: it leaked, so that waits for nothing.
    """
    current = to_revoke(session.record, access_key)
    key = to_retire(access_key, Why.REVOKED, current.rotation_id, current.request_id, session.now)
    key = replace(key, account=current.account)
    since = session.services.clock.monotonic()
    try:
        see_that_it_is_ours(session, key)
        account = session.services.at(key.account).account
        account.enter(session.target.name)
        before = count_before(account)
        answer = delete_at_hostup(session, key)
    except CircuitOpen as error:
        return Pause(access_key, error.until, error.what)
    except VaultUnavailable:
        raise
    except RotatorError as error:
        if isinstance(error, HostUpError):
            session.services.at(key.account).account.failed(error)
        session.fail(error, "revoke")
        return Pause(access_key, session.now + session.backoff(error), error.what)
    now = session.now
    record_delete(session, key, answer, lambda record: revoked(record, access_key, answer, now), since=since)
    see_that_it_is_counted(session, key, before, answer)
    return None
