"""boto3 sessions whose keys stay fresh: by time, and at once when a key is refused.

Needs botocore, and boto3 for :func:`session`.
"""

from __future__ import annotations

import logging
import math
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from threading import Lock, local
from typing import Any, ClassVar

from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.session import Session as BotocoreSession

from worker.credentials.environment import DEFAULT_MOUNT, Place, login_from, place_at, server_from
from worker.credentials.helper import REFRESH
from worker.credentials.keeper import Read
from worker.credentials.keys import AppKey, key_in, look_every
from worker.credentials.login import Session
from worker.credentials.vault import Vault
from worker.errors import RotatorError

_LOG = logging.getLogger(__name__)

REFUSED = frozenset({"InvalidAccessKeyId", "AccessDenied", "403", "SignatureDoesNotMatch"})
"""What a gateway says of a key that was deleted; a HEAD's answer has no body, so botocore makes "403" of it."""
NOT_KNOWN = "InvalidAccessKeyId"
"""The refusal that a lacking right cannot be the reason for."""
BETWEEN_REFUSALS = 1.0
"""Seconds between two looks at Vault for refusals of one key: a program that lacks a right is refused over and over."""


class FreshCredentials(Credentials):
    """Botocore credentials that follow an app's secret. Any thread may use them.

    Not botocore's own refreshable ones: those go by the wall clock, fail requests while Vault is away, and know nothing
    of refusals. Here the last good key is handed out then; only the first read raises, what ``read`` does.
    """

    def __init__(self, read: Read, place: Place, refresh: timedelta = REFRESH) -> None:
        self._source = read
        self._place = place
        self._wanted = refresh
        self._look_lock = Lock()
        self._refusals = Lock()
        self._refused = ("", -math.inf)
        self._used = local()
        self._began = time.monotonic()
        self._key = self._read()
        self._looked = time.monotonic()
        super().__init__(self._key.access_key, self._key.secret_key.reveal(), method="hostup-rotator")

    @property
    def key(self) -> AppKey:
        """The key as it is known now; without a look."""
        return self._key

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """The key for one request, after a look at Vault where one is due."""
        now, every = time.monotonic(), look_every(self._wanted, [self._key]).total_seconds()
        if now - self._looked >= every:
            self._look(now - every)  # one that another thread began meanwhile is as good
        key = self._key
        self._used.access_key = key.access_key
        return ReadOnlyCredentials(key.access_key, key.secret_key.reveal(), None, None)

    def retry_if_refused(self, response: tuple[Any, Any] | None = None, **_: Any) -> Any:
        """A handler of botocore's event ``needs-retry``: 0 (try again at once) where there is another key by now.

        It runs in the thread that signed the request, so the key that was refused is known.
        """
        used, code = getattr(self._used, "access_key", None), _error_code(response)
        if used is None or code not in REFUSED:
            return None
        if self._key.access_key == used:
            self._look_for(used, surely=code == NOT_KNOWN)
        return 0 if self._key.access_key != used else None

    def _look_for(self, refused: str, *, surely: bool) -> None:
        """A look because this key was refused; where there was just one, only if it ``surely`` is dead, and later."""
        asked = time.monotonic()
        with self._refusals:
            before, at = self._refused
            wait = at + BETWEEN_REFUSALS - asked if before == refused else 0.0
            if wait <= 0:
                self._refused = (refused, asked)
        if wait > 0 and not surely:
            return
        time.sleep(max(0.0, wait))
        self._look(asked)

    def _look(self, asked: float) -> None:
        """One look for many threads: who comes second waits for it.

        One that began before ``asked`` may have seen what was there before the key was refused, and does not count.
        """
        with self._look_lock:
            if self._began >= asked:
                return
            self._began = time.monotonic()
            try:
                self._key = self._read()
                self.access_key, self.secret_key = self._key.access_key, self._key.secret_key.reveal()
            except RotatorError as error:
                _LOG.warning("the last good key stays in use: %s", error)
            self._looked = time.monotonic()

    def _read(self) -> AppKey:
        fields, version = self._source(self._place.mount, self._place.path)
        return key_in(fields, version, self._place.names)


def _error_code(response: tuple[Any, Any] | None) -> str:
    """``response`` is what botocore hands to such a handler: the HTTP answer and what was parsed of it, or None."""
    error = response[1].get("Error") if response and isinstance(response[1], dict) else None
    return str(error.get("Code")) if isinstance(error, dict) else ""


@dataclass(frozen=True, slots=True)
class _Provider:
    """The form in which botocore takes credentials: the first provider that has some wins."""

    credentials: FreshCredentials
    METHOD: ClassVar[str] = "hostup-rotator"
    CANONICAL_NAME: ClassVar[str] = "hostup-rotator"

    def load(self) -> FreshCredentials:
        return self.credentials


def session(path: str, *, mount: str = DEFAULT_MOUNT, fields: str = "", auth_mount: str = "") -> Any:
    """A ``boto3.Session`` that works with an app's secret as long as the process lives. Raises as ``read`` does."""
    return _session(_fresh(path, mount, fields, auth_mount))


def client(path: str, *, mount: str = DEFAULT_MOUNT, fields: str = "", auth_mount: str = "", **options: Any) -> Any:
    """A boto3 client for S3 with the key, endpoint and region of an app's secret; ``options`` go to boto3."""
    fresh = _fresh(path, mount, fields, auth_mount)
    return _session(fresh).client("s3", **{"endpoint_url": fresh.key.endpoint or None, **options})


def attach(
    inner: BotocoreSession, path: str, *, mount: str = DEFAULT_MOUNT, fields: str = "", auth_mount: str = ""
) -> FreshCredentials:
    """Have a botocore session of your own work with an app's secret; raises as ``read`` does.

    Returns the credentials, whose ``key`` tells endpoint and region.
    """
    return _attached(inner, _fresh(path, mount, fields, auth_mount))


def _session(fresh: FreshCredentials) -> Any:
    boto3 = import_module("boto3")  # an extra, and without types
    inner = BotocoreSession()
    _attached(inner, fresh)
    return boto3.Session(botocore_session=inner, region_name=fresh.key.region or None)


def _attached(inner: BotocoreSession, fresh: FreshCredentials) -> FreshCredentials:
    inner.get_component("credential_provider").providers.insert(0, _Provider(fresh))
    inner.register("needs-retry", fresh.retry_if_refused)
    return fresh


def _fresh(path: str, mount: str, fields: str, auth_mount: str) -> FreshCredentials:
    place = place_at(path, mount, fields)
    return FreshCredentials(Session(Vault(server_from(os.environ)), login_from(os.environ, auth_mount)).read, place)
