"""Apps that read their key from Vault and use it all the while, and note every time that it did not work."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from worker.sandbox.texts import MOUNT
from worker.sandbox.vault_admin import VaultAdmin
from worker.selftest.evidence import Json, Watched
from worker.targets.fields import PRESETS

READ_EVERY = 0.7
USE_EVERY = 0.1
"""Seconds. As rarely as the grace period of a second allows: who reads more often would not notice a short one."""

REFUSALS = ("InvalidAccessKeyId", "AccessDenied", "SignatureDoesNotMatch")
"""What the object storage says of a key that does not work; all else is the storage's own trouble."""

_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Secret:
    """What an app read, and (monotonic) when it began to read it."""

    access_key: str
    secret_key: str = field(repr=False)
    endpoint: str
    region: str
    read_at: float


@dataclass(slots=True)
class Tally:
    """What an app saw. Times are in seconds.

    ``gaps``, by key: from its refusal, when Vault had published it less than the grace period before, to the next call
    that worked. ``stale``: refusals of keys that were read longer ago, because Vault could not be read.
    """

    worked: int = 0
    refused: int = 0
    stale: int = 0
    troubled: int = 0
    unread: int = 0
    gaps: dict[str, float] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)


class App:
    """One app of one target; runs in a thread until stopped."""

    def __init__(self, vault: VaultAdmin, target: Watched) -> None:
        self.tally = Tally()
        self.target = target
        self._vault = vault
        self._names = PRESETS[target.path.split("/")[1]]
        self._secret: Secret | None = None
        self._refused: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"app of {target.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> Tally:
        """End, and tell what was seen."""
        self._stop.set()
        self._thread.join(timeout=60)
        self._end_gap()
        return self.tally

    def _run(self) -> None:
        while not self._stop.wait(USE_EVERY):
            if self._secret is None or time.monotonic() - self._secret.read_at > READ_EVERY:
                self._read()
            if self._secret:
                self._use(self._secret)

    def _read(self) -> None:
        since = time.monotonic()
        try:
            status, answer = self._vault.ask("GET", f"{MOUNT}/data/{self.target.path}")
        except (OSError, ValueError):
            status, answer = 0, {}
        if status == http.client.OK:
            self._secret = self._parse(answer["data"]["data"], since)
        else:
            self.tally.unread += 1

    def _parse(self, data: Json, since: float) -> Secret:
        parts = (str(data[self._names.name_of(name)]) for name in ("access_key", "secret_key", "endpoint", "region"))
        access_key, secret_key, endpoint, region = parts
        return Secret(access_key, secret_key, endpoint, region, since)

    def _use(self, secret: Secret) -> None:
        code = list_buckets(secret)
        now = time.monotonic()
        if code == "":
            self.tally.worked += 1
            self._end_gap()
        elif code not in REFUSALS:
            self.tally.troubled += 1
        elif timedelta(seconds=now - secret.read_at) >= self.target.grace:
            self.tally.stale += 1
            self._secret = None  # an app that is refused reads again at once
        else:
            self.tally.refused += 1
            note = f"{secret.access_key}: {code} {now - secret.read_at:.3f} s after it was read"
            self.tally.notes.append((secret.access_key, note))
            self._refused.setdefault(secret.access_key, now)
            self._secret = None

    def _end_gap(self) -> None:
        for access_key, since in self._refused.items():
            gap = time.monotonic() - since
            self.tally.gaps[access_key] = max(self.tally.gaps.get(access_key, 0.0), gap)
        self._refused.clear()


def list_buckets(secret: Secret) -> str:
    """One signed call: empty when it worked, S3's code when it was refused, and ``?`` for anything else."""
    request = AWSRequest(method="GET", url=f"{secret.endpoint}/")
    S3SigV4Auth(Credentials(secret.access_key, secret.secret_key), "s3", secret.region).add_auth(request)
    address = urlsplit(secret.endpoint)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/", headers=dict(request.headers.items()))
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return "?"
    finally:
        connection.close()
    return "" if answer.status == http.client.OK and b"<Owner>" in body else _code(body)


def _code(body: bytes) -> str:
    try:
        return ET.fromstring(body).findtext("Code") or "?"
    except ET.ParseError:
        return "?"
