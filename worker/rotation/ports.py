"""What a rotation needs of the outside world, as Protocols; doubles and real parts pass the same contract tests.

Every method does exactly one call outside (or none that can change anything). All raise only errors of
:mod:`worker.errors`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol

from worker.errors import HostUpError
from worker.secret import Secret


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new access key, as ``POST /api/object-storage/keys`` answered (page "Create a key").

    The secret is shown this once. ``request_id`` is None only when the answer broke the contract by leaving it out.
    ``salvaged`` are phrases on what was wrong with an answer in which the key had to be searched for.
    """

    access_key: str
    secret_key: Secret
    request_id: str | None
    salvaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeletedKey:
    """How ``DELETE /api/object-storage/keys/{key}`` ended (page "Delete a key").

    ``status`` is a 2xx, or 404 or 410 when there was no such key. ``form`` is how the key stood in the path:
    ``base64`` or ``plain``.
    """

    status: int
    request_id: str | None
    form: str

    @property
    def was_there(self) -> bool:
        """Whether it was this call that deleted the key: any 2xx."""
        return self.status // 100 == HTTPStatus.OK // 100


@dataclass(frozen=True, slots=True)
class StorageStatus:
    """``GET /api/object-storage`` (page "Service status"); every field but ``provisioned`` may be missing.

    ``count_problem`` says why a count that was there cannot be one.
    """

    provisioned: bool
    endpoint: str | None
    region: str | None
    key_count: int | None
    request_id: str | None
    count_problem: str = ""


class HostUpPort(Protocol):
    """The HostUp API."""

    def create_key(self, label: str) -> CreatedKey:
        """Make one new key. Never retried in here.

        Raises HostUpRefused (nothing was made), HostUpUnreachable (nothing was sent), HostUpUncertain (it may exist).
        """
        ...

    def delete_key(self, access_key: str, form: str = "base64") -> DeletedKey:
        """Delete one key by name; ``form`` is ``base64`` or ``plain``. 404 and 410 are results, not errors.

        Raises HostUpLastKey, HostUpRefused, HostUpUnreachable, HostUpUncertain.
        """
        ...

    def status(self) -> StorageStatus:
        """The service's status, with the number of keys where the API tells it. Raises HostUpError."""
        ...


@dataclass(frozen=True, slots=True)
class ApiKeyGrants:
    """What an API key of HostUp is called and may do, as the answer that brought it says (page "The worker's own key").

    None: it does not say. What the names of scopes mean is not documented.
    """

    name: str | None = None
    scopes: tuple[str, ...] | None = None
    dns_permissions: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A new API key, as ``POST /api/keys/{keyId}/roll`` or ``POST /api/keys`` answered; it is shown this once.

    ``key_id`` is None where the answer does not tell it. ``salvaged`` are phrases on what was wrong with the answer.
    With ``sure`` False nobody knows whether this is the key: it has to be proven before it takes another one's place.
    ``others`` are what else in such an answer may be it.
    """

    api_key: Secret
    key_id: str | None
    request_id: str | None
    grants: ApiKeyGrants = field(default_factory=ApiKeyGrants)
    salvaged: tuple[str, ...] = ()
    sure: bool = True
    others: tuple[Secret, ...] = ()


class ApiKeysPort(Protocol):
    """HostUp's API about API keys; each call is made by the key that it is given. Never retried in here.

    All raise HostUpRefused (nothing was made), HostUpUnreachable (nothing was sent), HostUpUncertain.
    """

    def roll(self, key_id: str, api_key: Secret) -> NewApiKey:
        """Replace an API key, which itself is the one that asks; the old one is assumed to die at once."""
        ...

    def create(self, grants: ApiKeyGrants, api_key: Secret) -> NewApiKey:
        """Make one more API key, by another one."""
        ...

    def prove(self, api_key: Secret) -> StorageStatus:
        """See that a key works: ask for the object storage's status with it."""
        ...


class Life(StrEnum):
    """What one signed call proved about a key."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Probe:
    """What the object storage answered to one signed ``GET /``.

    ``life`` is the verdict; ``status`` and ``code`` (the S3 error code) are what it rests on; ``request_id`` is the
    storage's own ``x-amz-request-id``; ``detail`` says in words why a verdict is unknown. ``asked`` is False where the
    storage could not even be asked, because it is not known or not accepted.
    """

    life: Life
    status: int | None
    code: str | None
    request_id: str | None
    detail: str = ""
    asked: bool = True


WRONG_SECRET = "SignatureDoesNotMatch"  # noqa: S105 - an S3 error code
"""What the storage answers to a secret that is not the key's own; the key lives."""

SUSPENDED = "UserSuspended"
"""What it answers to the right secret of a key whose user is suspended; to a wrong one it answers as ever."""

SKEWED = "RequestTimeTooSkewed"
"""What it answers where its clock and this machine's are more than 15 minutes apart."""


class StoragePort(Protocol):
    """The object storage, asked about keys only. Neither method raises for an answer or its absence: see Probe."""

    def works(self, access_key: str, secret_key: Secret) -> Probe:
        """Does this key with this secret work? ALIVE: yes. DEAD: refused. UNKNOWN: the answer says nothing."""
        ...

    def lives(self, access_key: str) -> Probe:
        """Does this key exist? Needs no secret: signed with a wrong one (docs/facts.md, "Ceph's object gateway")."""
        ...


@dataclass(frozen=True, slots=True)
class EndpointNote:
    """The endpoint that is accepted, with the region beside it, since when, and by whom (first sight, or a person).

    ``named_instead`` is what HostUp was seen to name since.
    """

    endpoint: str
    region: str | None
    accepted_at: str
    accepted_by: str
    named_instead: str | None = None


class EndpointNotesPort(Protocol):
    """What is kept of the object storage's endpoint. All raise VaultError and RecordDeleted."""

    def accepted(self) -> EndpointNote | None:
        """What was accepted; None before the first sight."""
        ...

    def keep(self, endpoint: str, region: str | None) -> None:
        """HostUp names this one, which is the accepted one or the first."""
        ...

    def refuse(self, endpoint: str) -> None:
        """HostUp names this one instead of the accepted one."""
        ...


class Absence(StrEnum):
    """Why there is nothing to read at a path of Vault. Only what was never there is a fresh start."""

    NEVER = "not there"  # never written, or deleted with its metadata
    DELETED = "deleted"  # the latest version can be brought back by undelete
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class Document:
    """One KV v2 document: its data and the version that a check-and-set write must name.

    ``version`` 0 means that nothing was ever there. ``data`` is None when there is nothing to read: never written,
    deleted or destroyed (then ``version`` is still the number to name). ``created_at`` is Vault's own time of it, and
    ``expires_at`` when Vault will delete this version by itself.
    """

    data: Mapping[str, object] | None
    version: int
    vault_request_id: str | None = None
    created_at: datetime | None = None
    absence: Absence | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DocumentSettings:
    """What is set of one document by itself.

    After what time versions expire (Vault's text; None: not set), and how many are kept (0: as the mount says).
    """

    delete_version_after: str | None
    max_versions: int


@dataclass(frozen=True, slots=True)
class Written:
    """A write that Vault confirmed: the new version, and Vault's own request id."""

    version: int
    vault_request_id: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a worker saw last of a target's record: its version, and its newest entry by number and hash; 0: nothing.

    The hash of an entry rests on all before it, so that it tells one history from another as long.
    """

    version: int = 0
    entry: int = 0
    entry_hash: str = ""


NOTHING_SEEN = Seen()


class VaultPort(Protocol):
    """KV version 2 in one mount; paths are inside it and have no leading slash."""

    def read(self, path: str, at_least: int = 0) -> Document:
        """Read the latest version; a missing document is a Document with version 0, not an error.

        Where that is older than ``at_least``, which is known to be there, it is read again for a second: a standby may
        be behind. After that it is so.
        """
        ...

    def read_version(self, path: str, version: int) -> Document:
        """Read one version, which may be an old one; a missing one is a Document without data."""
        ...

    def write(self, path: str, data: Mapping[str, object], cas: int) -> Written:
        """Write with check-and-set. VaultCasMismatch: not written; VaultUnavailable: unknown, read to find out."""
        ...

    def prepare_record(self, path: str) -> None:
        """Set ``max_versions=1`` and ``cas_required`` on a record's document; may be repeated."""
        ...

    def settings_of(self, path: str) -> DocumentSettings | None:
        """What is set of one document, written or not; None where nothing is, or the token may not read it."""
        ...

    def destroy(self, path: str, version: int) -> None:
        """Destroy one old version for good; one that is gone already is no error."""
        ...

    def undelete(self, path: str, version: int) -> None:
        """Bring a deleted version back. Raises VaultDenied where the policy does not allow it, VaultRefused."""
        ...

    def list(self, path: str) -> tuple[str, ...]:
        """The names directly below a path (folders end in ``/``); empty when there are none."""
        ...

    def missing_capabilities(self, wanted: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Which of the wanted capabilities are missing, by API path (``secret/data/…``); one call for all of them.

        Also checks that the mount exists, is KV version 2, and lets nothing expire. Raises VaultMountMissing,
        VaultNotVersioned, VaultExpires, VaultError.
        """
        ...


@dataclass(slots=True)
class Place:
    """One of the places for creates: whether its create is a trial, how many keys there were, how many it ``made``.

    ``key_count`` is None when that was not asked for lately; it is kept up by what all workers make and delete.
    """

    trial: bool
    key_count: int | None
    made: int = 0


class AccountPort(Protocol):
    """What a rotation needs to know of the account."""

    @contextmanager
    def place(self, target: str) -> Iterator[Place]:
        """Take one of the places for creates. What was ``made`` in it is reported at its end.

        Raises CircuitOpen when no calls may be made, TryAgainLater when no place comes free soon.
        """
        ...

    def enter(self, target: str) -> bool:
        """See whether calls other than creates may be made; True means: as a trial. Raises CircuitOpen."""
        ...

    def succeeded(self, made: int = 0) -> None:
        """A call succeeded; ``made`` keys more (or fewer) exist since."""
        ...

    def failed(self, error: HostUpError) -> None:
        """A call failed."""
        ...

    def quiet(self) -> int | None:
        """A number that is the same later if no create was begun in between; None while one is under way, or unknown.

        Only creates of workers are known here.
        """
        ...

    def look(self) -> int | None:
        """Ask HostUp how many keys there are; None when its answer does not tell. Raises HostUpError."""
        ...

    def key_count(self) -> int | None:
        """Ask HostUp how many keys there are; None when it does not answer now."""
        ...
