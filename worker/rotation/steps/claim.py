"""Before a new key is put on record: see that it is no other target's, and no other rotation's."""

from __future__ import annotations

from worker.errors import HostUpCall, HostUpUncertain, VaultError, VaultUnavailable
from worker.events import Event
from worker.rotation.changes.rotation import Holder
from worker.rotation.claims import Owner
from worker.rotation.steps.session import Session
from worker.rotation.until_written import until_written


def somebody_elses(session: Session, holder: Holder, access_key: str, request_id: str | None) -> HostUpUncertain | None:
    """Claim a key that HostUp named; the error to record instead when it is somebody's already.

    A key in hand must end up somewhere, so this waits for Vault as long as it takes, and where Vault does not allow the
    claim, the key goes on its way without one.
    """
    owner = _claimed(session, access_key, Owner(session.target.name, holder.rotation_id, holder.account))
    if owner is None or (owner.target, owner.rotation_id) == (session.target.name, holder.rotation_id):
        return None
    whose = f"for target {owner.target}" + (f" since rotation {owner.rotation_id}" if owner.rotation_id else "")
    return HostUpUncertain(
        f"HostUp answered with access key {access_key}, which is on record already {whose}; nothing is published or "
        "deleted by that name",
        HostUpCall("create_key", 200),
        request_id=request_id,
        hint="A cache or proxy may have mixed answers up: nothing between here and HostUp may keep answers. The key "
        "that was asked for may exist all the same: look for its label in HostUp's panel.",
    )


def _claimed(session: Session, access_key: str, owner: Owner) -> Owner | None:
    claims, clock = session.services.store.claims, session.services.clock
    try:
        return until_written(
            lambda: claims.claim(access_key, owner), clock, session.target.name, tried_again=VaultUnavailable
        )
    except VaultError as error:
        session.log(Event.KEY_UNCLAIMED, rotation_id=owner.rotation_id, access_key=access_key, error=str(error))
        return owner
