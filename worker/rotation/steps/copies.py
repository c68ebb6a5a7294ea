"""Copies of an app's secret: looked at before a key is made, written after it works. Safe to repeat.

Each names the rotation that wrote it, as the secret itself does, so a worker that was killed in between finds its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from worker.errors import (
    Conflict,
    CopyFailed,
    RotatorError,
    Superseded,
    VaultCasMismatch,
    VaultDenied,
)
from worker.events import Event
from worker.rotation.copy_access import see_that_it_may_be_replaced, vault_of
from worker.rotation.fresh import see_that_it_lasts
from worker.rotation.ports import Document
from worker.rotation.record import CopyVersion, Rotation, StagedKey, version_at
from worker.rotation.steps.session import Session
from worker.targets.location import Location

NEEDED = ("create", "read", "update")


@dataclass(slots=True)
class Copying:
    """How writing all copies went: which have the key, what went wrong, whether to begin ``again`` at once.

    ``before`` is what stood there, where it was read.
    """

    copies: list[CopyVersion] = field(default_factory=list)
    failures: list[RotatorError] = field(default_factory=list)
    before: dict[str, Document] = field(default_factory=dict)
    again: bool = False


def look_at_copies(session: Session) -> None:
    """See that every copy can be written, is ours or nothing, and lasts. Raises Conflict, CopyFailed."""
    for _, group in groupby(sorted(session.target.also, key=_destination), key=_destination):
        copies = list(group)
        _see_that_they_may_be_written(session, copies)
        for copy in copies:
            with vault_of(session.services, copy) as vault:
                if session.record.current is None:
                    see_that_it_lasts(vault, _mount(session, copy), copy.path)
                document = vault.read(copy.path)
            see_that_it_may_be_replaced(session.services, session.target, session.record, copy, document)


def write_copies(session: Session, rotation: Rotation, key: StagedKey, content: Mapping[str, object]) -> Copying:
    """Write every copy that does not have the key on record yet; one that fails keeps no other from being written.

    First all are read, then the record, then they are written by the versions that were read: so a worker that was slow
    writes over nothing that a later rotation published. Raises Superseded; VaultUnavailable where the records are.
    """
    wanted = [copy for copy in session.target.also if version_at(rotation.copies, copy.name) is None]
    names = {copy.name for copy in session.target.also}
    found = Copying([copy for copy in rotation.copies if copy.location in names])
    pending = [copy for copy in wanted if _is_to_be_written(session, rotation, key, copy, found)]
    if not pending:
        return found
    session.reload()
    known = session.record.rotation
    if known is None or known.id != rotation.id:
        raise Superseded(f"rotation {rotation.id} was finished by another worker", target=session.target.name)
    for copy in pending:
        _write(session, copy, found, content)
    order = [copy.name for copy in session.target.also]
    found.copies.sort(key=lambda copy: order.index(copy.location))
    return found


def is_of_current(session: Session, document: Document) -> bool:
    """Whether it is of the rotation that published the current key."""
    current, fields, data = session.record.current, session.target.fields, document.data or {}
    found = fields.read(data, "rotation_id"), fields.read(data, "access_key")
    return current is not None and found == (current.rotation_id, current.access_key)


def destroy_copies(session: Session, access_key: str, copies: tuple[CopyVersion, ...]) -> None:
    """Destroy these versions where they hold the key; never one that is current, nor any that came after it.

    Raises CopyFailed, VaultUnavailable.
    """
    current = session.record.current
    for copy in session.target.also:
        version, newest = version_at(copies, copy.name), version_at(current.copies if current else (), copy.name)
        if version is None or newest is None or version >= newest:
            continue
        with vault_of(session.services, copy) as vault:
            document = vault.read_version(copy.path, version)
            if document.data is not None and session.target.fields.read(document.data, "access_key") == access_key:
                vault.destroy(copy.path, version)


def destroy_rolled_back(session: Session, rotation: Rotation, access_key: str) -> None:
    """After a rollback the key stands in two versions of the app's secret and of each copy; the older one goes.

    Apps read the key already, which has to go on record: what fails is only logged. Raises VaultUnavailable.
    """
    versions = {copy.location: copy.version for copy in rotation.from_copies}
    places = [(Location(session.target.path), rotation.from_version)]
    places += [(copy, versions.get(copy.name)) for copy in session.target.also]
    for place, version in places:
        if not version:
            continue
        try:
            with vault_of(session.services, place) as vault:
                data = vault.read_version(place.path, version).data or {}
                if session.target.fields.read(data, "access_key") == access_key:
                    vault.destroy(place.path, version)
        except CopyFailed as error:
            session.log(Event.KEY_RETIRE_FAILED, access_key=access_key, error=error.what)


def published_copies(session: Session) -> Iterator[tuple[Location, Document]]:
    """Every copy as it is now. Raises CopyFailed, VaultUnavailable."""
    for copy in session.target.also:
        with vault_of(session.services, copy) as vault:
            document = vault.read(copy.path)
        yield copy, document


def _destination(copy: Location) -> str:
    return copy.destination


def _mount(session: Session, copy: Location) -> str:
    destination = session.services.destination(copy.destination)
    return destination.mount if destination else ""


def _see_that_they_may_be_written(session: Session, copies: list[Location]) -> None:
    mount = _mount(session, copies[0])
    wanted = {f"{mount}/data/{copy.path}": NEEDED for copy in copies}
    with vault_of(session.services, copies[0]) as vault:
        missing = vault.missing_capabilities(wanted)
    for copy in copies:
        path = f"{mount}/data/{copy.path}"
        if path in missing:
            what = f"the token lacks {', '.join(missing[path])} on {path}"
            hint = "Give the worker's policy there these capabilities (`rotator vault policy`)."
            denied = VaultDenied(what, operation="look first", path=path, status=403, hint=hint)
            raise CopyFailed(copy.name, denied)


def _is_to_be_written(session: Session, rotation: Rotation, key: StagedKey, copy: Location, found: Copying) -> bool:
    """Whether the copy may be written and does not have the key yet; what else there is goes into ``found``."""
    fields = session.target.fields
    try:
        with vault_of(session.services, copy) as vault:
            document = found.before[copy.name] = vault.read(copy.path)
        data = document.data or {}
        if (fields.read(data, "rotation_id"), fields.read(data, "access_key")) == (rotation.id, key.access_key):
            found.copies.append(CopyVersion(location=copy.name, version=document.version))
            return False
        see_that_it_may_be_replaced(session.services, session.target, session.record, copy, document)
    except (CopyFailed, Conflict) as error:
        found.failures.append(error)
        return False
    return True


def _write(session: Session, copy: Location, found: Copying, content: Mapping[str, object]) -> None:
    before = found.before[copy.name]
    # what somebody added to it stays, as in the secret itself
    added = session.target.fields.added(before.data or {}) if is_of_current(session, before) else {}
    try:
        with vault_of(session.services, copy) as vault:
            written = vault.write(copy.path, {**added, **content}, before.version)
    except VaultCasMismatch:
        found.again = True
    except CopyFailed as error:
        found.failures.append(error)
    else:
        found.copies.append(CopyVersion(location=copy.name, version=written.version))
