"""Whom TLS trusts and which certificate it shows; loaded anew when one of the files has changed.

Whoever renews a certificate writes two files, one after the other: until they fit, the last good ones stay in use.
"""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import certifi

from worker.events import Event
from worker.settings.credential import log
from worker.settings.value_file import look_at


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Whom to trust instead of the public authorities, as files or folders, and a certificate with its key to show.

    ``server_name`` is the name that the server's certificate is for, where that is not the host of its address.
    """

    ca_file: str | None = None
    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    server_name: str | None = None

    def trust(self) -> Trust | None:
        """None where no file is given. Raises OSError or ssl.SSLError when something cannot be loaded."""
        if not (self.ca_file or self.ca_path or self.client_cert):
            return None
        authorities = (self.ca_file, self.ca_path) if self.ca_file or self.ca_path else (_public_file(),)
        files = (*authorities, self.client_cert, self.client_key)
        trust = Trust(self._context, tuple(file for file in files if file))
        trust.context()
        return trust

    def _context(self) -> ssl.SSLContext:
        own = self.ca_file or self.ca_path
        context = ssl.create_default_context(cafile=self.ca_file, capath=self.ca_path) if own else _public_context()
        if self.client_cert:
            # with a password, so that nobody is asked for one at a terminal
            context.load_cert_chain(self.client_cert, self.client_key, password="")
        return context


class Trust:
    """A TLS context that is loaded at first use, and again when ``files`` change; may be used by many threads."""

    def __init__(self, load: Callable[[], ssl.SSLContext], files: tuple[str, ...]) -> None:
        self._load = load
        self._files = tuple(map(Path, files))
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._seen: object = None

    def context(self) -> ssl.SSLContext:
        """The context to use now. Raises OSError or ssl.SSLError when none could be loaded so far."""
        context = self._context
        if context is not None and self._look() == self._seen:
            return context
        with self._lock:
            seen = self._look()  # before loading: a change in between is seen next time
            if self._context is None or seen != self._seen:
                self._context = self._loaded(self._context)
                self._seen = seen
            return self._context

    def _look(self) -> object:
        return tuple(map(look_at, self._files))

    def _loaded(self, last: ssl.SSLContext | None) -> ssl.SSLContext:
        files = ", ".join(map(str, self._files))
        try:
            context = self._load()
        except OSError as error:  # ssl.SSLError is one
            if last is None:
                raise
            hint = "The last good ones stay in use. Put the files right; they are read again when they change."
            reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
            log(logging.WARNING, Event.CREDENTIAL_KEPT, error=f"{files}: cannot be loaded ({reason})", hint=hint)
            return last
        if last is not None:
            log(logging.INFO, Event.CREDENTIAL_RENEWED, files=files)
        return context


def public_authorities() -> Trust:
    """The authorities that browsers trust, or those that SSL_CERT_FILE or SSL_CERT_DIR name, as httpx has it."""
    return Trust(_public_context, (_public_file(),))


def _public_file() -> str:
    return os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or certifi.where()


def _public_context() -> ssl.SSLContext:
    place = _public_file()
    if Path(place).is_dir():
        return ssl.create_default_context(capath=place)
    return ssl.create_default_context(cafile=place)
