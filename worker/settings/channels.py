"""What a channel of notices is, once it is checked (:mod:`worker.settings.notify`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from worker.notices.routes import Route
from worker.secret import Secret
from worker.settings.notify_secrets import Given

TLS = ("starttls", "tls", "none")


@dataclass(frozen=True, slots=True)
class Webhook:
    """By HTTP: ``secret`` signs, ``token`` goes into ``Authorization``."""

    url: Given
    secret: Given | None
    token: Given | None


@dataclass(frozen=True, slots=True)
class Mail:
    """By SMTP; ``tls`` is one of :data:`TLS`."""

    host: str
    port: int
    tls: str
    sender: str
    to: tuple[str, ...]
    user: str | None
    password: Given | None


@dataclass(frozen=True, slots=True)
class Command:
    """A program that is run, and variables that it is given beside a few harmless ones."""

    run: tuple[str, ...]
    pass_env: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Channel:
    """One ``[[notify]]``. ``timeout`` is how long one delivery may take."""

    name: str
    kind: str
    route: Route
    timeout: timedelta
    way: Webhook | Mail | Command

    def secrets(self) -> tuple[Secret, ...]:
        """Those that were given; for redaction."""
        match self.way:
            case Webhook(url, secret, token):
                given = (url if url.is_secret else None, secret, token)
            case Mail(password=password):
                given = (password, None, None)
            case _:
                given = (None, None, None)
        return tuple(each.value for each in given if each)
