"""What is not there is not always new: it may have been deleted, destroyed, or lost with its metadata."""

from __future__ import annotations

from worker.errors import RecordDeleted, VaultExpires
from worker.rotation.ports import Absence, Document, VaultPort
from worker.targets.target import Target


def see_that_it_is_there(document: Document, mount: str, path: str, target: str | None, otherwise: str) -> Document:
    """The document as it is, if it can be read or was never written; ``otherwise`` says what helps beside undelete.

    Raises RecordDeleted: a write over a deleted version of a record would destroy it (docs/facts.md, "Vault").
    """
    if document.data is not None or document.version == 0:
        return document
    if document.absence is Absence.DELETED:
        command = f"vault kv undelete -mount={mount} -versions={document.version} {path}"
        hint = f"Nothing was touched. Bring it back: `{command}`. Did it expire? `rotator check` names the setting."
    else:
        hint = f"Nothing was touched. Restore it from a snapshot of Vault. {otherwise}"
    what = f"version {document.version} of {mount}/{path} was {document.absence or 'taken away'}"
    raise RecordDeleted(what, target=target, hint=hint)


OLDER = 10
"""So many versions of the app's secret are looked at; Vault keeps no more by default."""


def lasting(mount: str, path: str) -> str:
    """The command by which versions of a document expire no more."""
    return f"vault kv metadata put -mount={mount} -delete-version-after=0s {path}"


def see_that_it_lasts(vault: VaultPort, mount: str, path: str) -> None:
    """See, before a first key, that what is written there is not set to expire. Raises VaultExpires, VaultError."""
    settings = vault.settings_of(path)
    if settings and settings.delete_version_after:
        raise VaultExpires(
            f"{mount}/{path} is set to lose every version after {settings.delete_version_after}",
            operation="look first",
            path=f"{mount}/metadata/{path}",
            hint=f"Turn it off: `{lasting(mount, path)}`. No key is made before.",
        )


def see_that_it_is_new(vault: VaultPort, target: Target, archives: str, seen_version: int) -> None:
    """See that a target without a record is a new one.

    ``archives`` is the folder of its archived history; ``seen_version``, if not 0, the highest version of its record
    that any worker has seen.

    Deleting a document with its metadata leaves nothing behind, so the record then looks as if it had never been there;
    but archived history, a rotation id of ours in the app's secret, or in an older version where somebody deleted the
    latest, or what workers have seen shows that it was. Raises RecordDeleted, VaultError.
    """
    see_that_none_was_seen(target, seen_version)
    if vault.list(archives):
        raise _gone(target, f"there is history of it in {archives}")
    latest = vault.read(target.path)
    if latest.data is not None:
        _see_that_it_is_not_ours(target, latest)
        return
    for version in range(latest.version - 1, max(0, latest.version - 1 - OLDER), -1):
        _see_that_it_is_not_ours(target, vault.read_version(target.path, version))


def see_that_none_was_seen(target: Target, seen_version: int) -> None:
    """See that no worker has seen a record of this target before. Raises RecordDeleted."""
    if seen_version:
        raise _gone(target, f"a worker has seen version {seen_version} of it, by Redis")


def _see_that_it_is_not_ours(target: Target, document: Document) -> None:
    rotation_id = target.fields.read(document.data or {}, "rotation_id")
    if rotation_id:
        what = f"the app's secret at {target.path}, version {document.version}, is of rotation {rotation_id}"
        raise _gone(target, what)


def _gone(target: Target, sign: str) -> RecordDeleted:
    return RecordDeleted(
        f"there is no record, but {sign}: the record was deleted with its metadata, or the target had another name",
        target=target.name,
        hint=f"Nothing was touched. If it had another name: `rotator rename OLD {target.name}`. Else restore Vault's "
        f"snapshot, or have the record made anew from what is left: `rotator repair {target.name}`.",
    )
