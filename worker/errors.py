"""Every error of the rotator, as one tree.

Each says what happened (``what``), to which target, with which requestId, and what to do (``hint``). None ever
holds an answer's body, a header or a secret.

.. code-block:: text

    RotatorError
    ├── ConfigurationError          a setting is missing or wrong                        exit 78
    ├── UsageError                  a command or a message asks for what does not exist  exit 2
    ├── TryAgainLater               nothing is wrong that waiting would not mend         exit 75
    │   ├── RequestLimited          messages asked for too many rotations of a target; ``next_at``
    │   ├── CircuitOpen             HostUp failed too often in a row; ``until``
    │   └── QueueUnavailable        Redis cannot be reached, or does not take writes
    ├── HostUpError                 operation, status, code, retry_after
    │   ├── HostUpRefused           a clear no (4xx): nothing was changed
    │   │   ├── HostUpRateLimited   429; ``retry_after`` when the answer has it
    │   │   ├── HostUpLastKey       400 "Cannot delete the last access key"
    │   │   └── HostUpKeyRolled     401 while the API key is rolled: says nothing of the account
    │   ├── HostUpUnreachable       no connection was made: nothing was sent, nothing was changed
    │   │   └── HostUpKeyMissing    there is no API key to call with
    │   └── HostUpUncertain         time-out, cut, 5xx, unreadable: it may have been done
    ├── VaultError                  operation, path, status
    │   ├── VaultUnavailable        cannot be reached, or 5xx: a *write* may have been done  exit 75
    │   │   ├── VaultSealed         503 sealed, or 501 not initialised
    │   │   ├── VaultStandby        472, 473 or a redirect: not the active node
    │   │   ├── VaultNoLeader       no node is active
    │   │   └── VaultRateLimited    429: a rate limit quota; nothing was done
    │   ├── VaultDenied             403 after a fresh login: the policy lacks a capability
    │   ├── VaultLoginFailed        no token, wrong AppRole, an unwrap that somebody else did first
    │   ├── VaultMountMissing       no secrets engine at this mount
    │   ├── VaultNotVersioned       the mount is KV v1: a write would answer 204 and keep no version
    │   ├── VaultExpires            the mount lets all that is in it expire
    │   ├── VaultCasMismatch        check-and-set: another writer was first
    │   ├── VaultTooLarge           more than Vault or its storage takes: nothing was written
    │   ├── VaultRefused            any other 4xx
    │   └── CopyFailed              of the call for a copy of an app's secret, whatever it was
    │       └── CopyAway            its Vault was away: it is tried again by itself            exit 75
    ├── CredentialsMissing          there is no secret where an app's secret is looked for
    ├── CredentialsUnusable         an app's secret holds no key
    ├── CacheUnusable               a helper cannot keep the last good key
    ├── FileUnwritable              a file of an app's key cannot be made or replaced: it stays as it was
    ├── AppNotTold                  a program could not be told that its key has changed
    ├── NotDelivered                a notice could not be delivered: it is tried again
    ├── AccountGone                 a key lies on an account that is not configured any more
    ├── StorageError                the object storage's address is unknown or wrong
    │   └── EndpointRefused         HostUp names another one than before, or one inside; a person decides
    ├── RecordError                 a target's record cannot be used as it is
    │   ├── RecordUnreadable        garbage or hand-edited values
    │   ├── RecordTooNew            written by a newer release
    │   ├── RecordTooLarge          a new key might not fit into it any more: none is made
    │   └── RecordDeleted           deleted, destroyed, or lost with its metadata: no fresh start
    ├── Superseded                  another worker has taken over this rotation
    ├── PersonNeeded                only a person can clear this up (unconfirmed creates)
    └── Conflict                    Vault holds a secret that this project did not write; a person decides
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from worker.printable import printable

LONGEST_SAID = 2_000
"""Characters of what an error says: it may quote what somebody else wrote, and that may be of any length."""


def _said(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= LONGEST_SAID else f"{shown[:LONGEST_SAID]}…"


class RotatorError(Exception):
    """The root of all errors that this project raises.

    ``what`` happened, the ``hint`` what to do, the ``target`` it happened to and the ``request_id`` of the answer
    that reported it, where there are such. All of them are :func:`.printable`, and cut at :data:`LONGEST_SAID`.
    """

    exit_code = 1

    def __init__(self, what: str, *, hint: str = "", target: str | None = None, request_id: str | None = None) -> None:
        self.what = _said(what)
        self.hint = _said(hint)
        self.target = _said(target) if target else target
        self.request_id = _said(request_id) if request_id else request_id
        super().__init__(self.what)

    @property
    def headline(self) -> str:
        """What happened, to which target and with which requestId."""
        about = [f"target {self.target}"] if self.target else []
        about += [f"requestId {self.request_id}"] if self.request_id else []
        return self.what + (f" ({', '.join(about)})" if about else "")

    def __str__(self) -> str:
        """One line: the headline, and what to do."""
        return f"{self.headline}. {self.hint}" if self.hint else self.headline

    def fields(self) -> dict[str, str]:
        """The same as fields of a log line; what is empty is left out."""
        fields = {
            "error": self.what,
            "kind": type(self).__name__,
            "hint": self.hint,
            "target": self.target,
            "request_id": self.request_id,
        }
        return {name: value for name, value in fields.items() if value}


class ConfigurationError(RotatorError):
    """A setting is missing or wrong; ``problems`` lists all of them, each naming file and key."""

    exit_code = 78

    def __init__(self, problems: tuple[str, ...], *, hint: str = "Correct the configuration and start again.") -> None:
        self.problems = tuple(map(_said, problems))
        super().__init__("; ".join(self.problems), hint=hint)
        self.what = "; ".join(self.problems)  # all of them, however many


class UsageError(RotatorError):
    """Something was asked for that does not exist, such as an unknown target."""

    exit_code = 2


class TryAgainLater(RotatorError):
    """Nothing is wrong that waiting would not mend."""

    exit_code = 75


class CircuitOpen(TryAgainLater):
    """The account answers nothing but errors, or asked for a pause (``why``); nobody calls before ``until``."""

    def __init__(self, until: datetime, why: str | None = None, command: str = "rotator circuit") -> None:
        super().__init__(
            why or "HostUp has failed too often in a row",
            hint=f"No call is made before {until.isoformat()}; `{command}` says why.",
        )
        self.until = until


class RequestLimited(TryAgainLater):
    """Messages asked for too many rotations of a target; the next one may be asked for at ``next_at``."""

    def __init__(self, why: str, next_at: datetime, *, target: str) -> None:
        super().__init__(
            f"a message asked for a rotation, and {why}",
            target=target,
            hint=f"Nothing was done. A message may ask for one again at {next_at.isoformat(timespec='seconds')}; a "
            f"person may at any time: `rotator rotate {target}`.",
        )
        self.next_at = next_at


class QueueUnavailable(TryAgainLater):
    """Redis cannot be reached, or does not take writes."""


class QueueOverlong(QueueUnavailable):
    """What lies in Redis is longer than anything that a worker writes there, and is not read."""


@dataclass(frozen=True, slots=True)
class HostUpCall:
    """Where a HostUp error comes from: which operation, which HTTP status, the API's own ``code``.

    ``retry_after`` is in seconds, from the header ``Retry-After`` (page "Errors and limits").
    """

    operation: str
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None


class HostUpError(RotatorError):
    """The HostUp API said no, or said nothing that can be used; ``answer`` tells which call and which status."""

    def __init__(self, what: str, answer: HostUpCall, *, hint: str = "", request_id: str | None = None) -> None:
        super().__init__(what, hint=hint, request_id=request_id)
        self.answer = answer

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before the next call, where the API says so."""
        return self.answer.retry_after


class HostUpRefused(HostUpError):
    """A clear no (4xx): nothing was changed."""


class HostUpRateLimited(HostUpRefused):
    """429: too many requests; nothing was changed."""


class HostUpLastKey(HostUpRefused):
    """400 with the message that the last access key cannot be deleted (page "Delete a key")."""


class HostUpKeyRolled(HostUpRefused):
    """401 while the API key is rolled: the next one is not there yet. Nothing was changed; the account is well."""


class HostUpUnreachable(HostUpError):
    """No connection was made, so nothing was sent and nothing was changed."""


class HostUpKeyMissing(HostUpUnreachable):
    """The API key cannot be had from Vault, so nothing was sent."""


class HostUpUncertain(HostUpError):
    """The call may have been carried out: time-out, connection cut, 5xx, or an answer that cannot be read.

    ``access_key`` is set when the answer named a key but showed no usable secret: that key exists and can only be
    deleted.
    """

    def __init__(
        self,
        what: str,
        answer: HostUpCall,
        *,
        hint: str = "",
        request_id: str | None = None,
        access_key: str | None = None,
    ) -> None:
        super().__init__(what, answer, hint=hint, request_id=request_id)
        self.access_key = access_key


class VaultError(RotatorError):
    """Vault said no, or nothing. ``operation`` and ``path`` tell of which call, ``status`` its HTTP status."""

    def __init__(
        self, what: str, *, operation: str = "", path: str = "", status: int | None = None, hint: str = ""
    ) -> None:
        super().__init__(what, hint=hint)
        self.operation = operation
        self.path = path
        self.status = status


class VaultUnavailable(VaultError):
    """Vault cannot be reached or failed inside; a write that ends so may have been carried out."""

    exit_code = 75


class VaultSealed(VaultUnavailable):
    """Vault is sealed (503) or not initialised (501)."""


class VaultStandby(VaultUnavailable):
    """This node is not the active one (472, 473, or a redirect, which is never followed)."""


class VaultNoLeader(VaultUnavailable):
    """No node of this Vault is active: standbys may serve reads meanwhile, and nothing is written."""


class VaultRateLimited(VaultUnavailable):
    """429: a rate limit quota of Vault's was used up for as long as the call may take; nothing was done."""


class VaultDenied(VaultError):
    """403, also after a fresh login: the token's policy lacks a capability on this path."""


class VaultLoginFailed(VaultError):
    """There is no usable token and none can be had."""


class VaultMountMissing(VaultError):
    """There is no secrets engine at the configured mount."""


class VaultNotVersioned(VaultError):
    """The mount is KV version 1, which answers 204 to a version 2 write and keeps nothing that can be read back."""


class VaultExpires(VaultError):
    """``delete_version_after`` of the mount or of a document lets records and apps' secrets expire by themselves."""


class VaultCasMismatch(VaultError):
    """Check-and-set refused the write: another writer was first."""


class VaultTooLarge(VaultError):
    """What was to be written is larger than Vault, its storage or a proxy takes: trying again changes nothing."""


class VaultRefused(VaultError):
    """Any other 4xx answer of Vault."""


class CopyFailed(VaultError):
    """A call for a copy of an app's secret failed, at the ``location`` that the text names; nothing else is wrong."""

    def __init__(self, location: str, why: VaultError) -> None:
        super().__init__(
            f"the copy at {location}: {why.what}",
            operation=why.operation,
            path=why.path,
            status=why.status,
            hint=why.hint,
        )
        self.location = location


class CopyAway(CopyFailed):
    """Its Vault could not be reached, or failed inside; a write that ends so may have been carried out."""

    exit_code = TryAgainLater.exit_code


class CredentialsMissing(RotatorError):
    """There is no secret where an app's secret is looked for, or ``version`` of it was deleted."""

    def __init__(self, what: str, *, hint: str = "", version: int = 0) -> None:
        super().__init__(what, hint=hint)
        self.version = version


class CredentialsUnusable(RotatorError):
    """What stands where an app's secret is looked for holds no key, or not in a form that can be handed out."""


class NotDelivered(RotatorError):
    """A notice could not be delivered by a channel; nothing of what a receiver answered is quoted."""


class CacheUnusable(RotatorError):
    """The file where a helper keeps the last good key is not its own, or cannot be read or written."""


class FileUnwritable(RotatorError):
    """A file that an app reads its key from cannot be made or replaced; what was there is there unchanged."""


class AppNotTold(RotatorError):
    """The key was written, and the program that reads it could not be told so."""


class AccountGone(RotatorError):
    """A key lies on an account that is not configured any more: it can be neither asked about nor deleted."""


class StorageError(RotatorError):
    """The object storage's address is unknown or wrong."""


class EndpointRefused(StorageError):
    """HostUp names an object storage that is not the accepted one, or none that may be asked; a person decides."""


class RecordError(RotatorError):
    """A target's record cannot be used as it is; that target stands still, all others go on."""


class RecordUnreadable(RecordError):
    """The record is not what this project writes: garbage, or edited by hand."""


class RecordTooNew(RecordError):
    """The record was written by a newer release, which this one must not interpret."""


class RecordTooLarge(RecordError):
    """The record holds so much that the rest of a rotation might not fit into it any more."""


class RecordDeleted(RecordError):
    """A document of ours was there, and was deleted, destroyed, or lost with its metadata: that is no fresh start."""


class Superseded(RotatorError):
    """Another worker has taken over this rotation, or the record has moved on."""


class PersonNeeded(RotatorError):
    """The target stands still until a person has cleared something up."""


class Conflict(RotatorError):
    """Vault holds a secret at the target's path that this project did not write; only a person can decide.

    ``location`` names the copy of it where that is so; empty: the secret itself.
    """

    def __init__(
        self, what: str, *, hint: str = "", target: str | None = None, request_id: str | None = None, location: str = ""
    ) -> None:
        super().__init__(what, hint=hint, target=target, request_id=request_id)
        self.location = location
