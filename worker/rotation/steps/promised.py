"""How long apps were told that the key before works on, wherever they read it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from worker.rotation.copy_access import vault_of
from worker.rotation.ports import Document
from worker.rotation.record import Rotation, version_at
from worker.rotation.steps.copies import Copying, is_of_current
from worker.rotation.steps.session import Session

LONGEST_PROMISE = timedelta(days=366)


def promised(session: Session, rotation: Rotation, copying: Copying) -> timedelta:
    """How long the key before has to work on: as configured, or as its secret or a copy told apps, if that is longer.

    No longer than the key would have been current, whatever somebody else wrote there.
    """
    target = session.target
    longest = min(LONGEST_PROMISE, target.schedule.greatest_age())
    told = (_told(session, document) for document in _before(session, rotation, copying))
    return max((target.grace, *(min(promise, longest) for promise in told)))


def _told(session: Session, document: Document) -> timedelta:
    """For how long a secret told apps that its key works on; nothing where it is not of the current key."""
    told = (document.data or {}).get(session.target.fields.name_of("grace_seconds"))
    if not isinstance(told, int) or not is_of_current(session, document):
        return timedelta(0)
    return timedelta(seconds=min(max(told, 0), LONGEST_PROMISE.total_seconds()))


def _before(session: Session, rotation: Rotation, copying: Copying) -> Iterator[Document]:
    """The app's secret and its copies as apps read them before; read again where another worker wrote over them."""
    target, document, current = session.target, session.secret, session.record.current
    if current and rotation.expected_version:
        if document is None or not is_of_current(session, document):
            document = session.services.vault.read_version(target.path, rotation.expected_version)
        yield document
    for copy in target.also:
        known, version = copying.before.get(copy.name), version_at(current.copies, copy.name) if current else None
        if version and (known is None or not is_of_current(session, known)):
            with vault_of(session.services, copy) as vault:
                known = vault.read_version(copy.path, version)
        if known:
            yield known
