"""The login to Redis out of its address: read again from ``REDIS_URL_FILE`` when that changes, for each new connection.

Connections that are there go on by the login that they were opened with, as Redis has it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from redis.credentials import CredentialProvider

from worker.secret import Secret
from worker.settings.credential import Credential, no_logs
from worker.settings.redis_url import exposure, login_of, read_redis_url, redis_passwords
from worker.settings.values import redis_url


class RedisLogin(CredentialProvider):
    """What redis-py asks for user and password before it opens a connection; ``url`` is the address in ``file``."""

    def __init__(self, url: Secret, file: Path | None, on_new: Callable[[Secret], None] = no_logs) -> None:
        self._on_new = on_new
        self._began_with = read_redis_url(url).without_login()
        self._may_be_exposed = exposure(url) is not None
        self._url = Credential(url, file, "REDIS_URL_FILE", parse=self._parsed, on_new=self._tell)

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """User and password, or the password alone; nothing where the address has none."""
        username, password = login_of(self._url.current())
        if not password:
            return ()  # type: ignore[return-value]  # redis-py looks whether there is anything, and does not log in
        return (username, password) if username else (password,)

    def names_another_server(self) -> bool:
        """Whether the file has another server, database or TLS option by now than the process began with."""
        try:
            return read_redis_url(self._url.current()).without_login() != self._began_with
        except ValueError:  # the certificates that it names are just being renewed
            return False

    def _parsed(self, text: str) -> Secret:
        url = redis_url(text)
        problem = None if self._may_be_exposed else exposure(url)
        if problem:
            raise ValueError(problem)
        return url

    def _tell(self, url: Secret) -> None:
        for secret in (url, *redis_passwords(url)):
            self._on_new(secret)
