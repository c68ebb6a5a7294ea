"""The container credentials endpoint: AWS SDKs ask it for keys over loopback (docs/apps.md).

Who may ask is told by a token in a file. A web page that a browser on this machine shows has no token, and is refused
besides by the names of ``Host`` and ``Origin`` (DNS rebinding).
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import socket
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from socketserver import TCPServer
from urllib.parse import unquote, urlsplit

from worker.credentials.formats import container
from worker.credentials.keeper import Keeper
from worker.credentials.unix_socket import path_in, private_place
from worker.errors import ConfigurationError, RotatorError
from worker.secret import Secret

FIRST_LOOK = 10.0
"""Seconds that a program waits for the first look at Vault, or for one that it asked for."""
_IDLE = 30.0
"""Seconds after which a connection that says nothing is closed."""
_TOKEN = 32
_SHORTEST_TOKEN = 16
_OTHERS = 0o027
"""A group may read: Kubernetes mounts a secret so, as links to files of root's."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: ``127.0.0.1:8911`` or ``[::1]:8911``; port 0 is any free one."""

    host: str
    port: int


def address_from(text: str) -> Address | Path:
    """Read ``--listen``: an address, or ``unix:/path``.

    Raises ConfigurationError for what is not loopback: a key must not leave this machine.
    """
    path = path_in(text)
    if path:
        return path
    parts = urlsplit(f"//{text}")
    try:
        host, port = parts.hostname or "", parts.port
        loopback = ip_address("127.0.0.1" if host == "localhost" else host).is_loopback
    except ValueError:
        host, port, loopback = "", None, False
    if not loopback or port is None:
        raise ConfigurationError(
            (f"--listen: {text[:64]!r} is no loopback address with a port, as 127.0.0.1:8911, and no unix:/path",)
        )
    return Address("127.0.0.1" if host == "localhost" else host, port)


def token_in(file: Path) -> Secret:
    """The token that callers have to show; made, for its owner alone, where there is no file.

    Raises ConfigurationError for a file that others may read, and one without a usable token.
    """
    with suppress(FileExistsError):
        _make_token(file)
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_CLOEXEC), "rb") as opened:
            found = os.fstat(opened.fileno())
            text = opened.read(4096).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = (isinstance(error, OSError) and error.strerror) or "it holds other characters than ASCII"
        raise ConfigurationError((f"--token-file: {file}: cannot be read: {why}",)) from None
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in {os.geteuid(), 0} or found.st_mode & _OTHERS:
        raise ConfigurationError(
            (f"--token-file: {file}: must be a file of this user's or root's that others cannot read",)
        )
    if len(text) < _SHORTEST_TOKEN or not text.isprintable() or " " in text:
        wanted = f"at least {_SHORTEST_TOKEN} characters, no spaces, and no end of line, which botocore refuses"
        raise ConfigurationError((f"--token-file: {file}: holds no token ({wanted})",))
    return Secret(text)


def _make_token(file: Path) -> None:
    """Whole or not at all: whoever reads it meanwhile, and a start after a full disk, find none rather than a part.

    Raises FileExistsError, ConfigurationError.
    """
    if os.path.lexists(file):
        raise FileExistsError
    unfinished = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        opened = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(opened, "w", encoding="ascii") as new:
                new.write(secrets.token_urlsafe(_TOKEN))  # botocore refuses a file with an end of line
            os.link(unfinished, file)
        finally:
            unfinished.unlink()
    except FileExistsError:
        raise
    except OSError as error:
        raise ConfigurationError((f"--token-file: {file}: cannot be made: {error.strerror}",)) from None


class Endpoint(ThreadingHTTPServer):
    """The server, at an address or at the path of a Unix socket.

    ``keepers`` by the path that programs ask for, without the slash before it. Raises ConfigurationError, OSError.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: Address | Path, token: Secret, keepers: Mapping[str, Keeper]) -> None:
        self.token = token
        self.keepers = keepers
        if isinstance(address, Path):
            self.address_family = socket.AF_UNIX
            with private_place(address):
                super().__init__(str(address), _Handler)  # type: ignore[arg-type] # typeshed knows of TCP only
            self.url, self.hosts = "http://localhost", {"localhost"}
            return
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        super().__init__((address.host, address.port), _Handler)
        port = self.server_address[1]
        host = f"[{address.host}]" if ":" in address.host else address.host
        self.url = f"http://{host}:{port}"
        self.hosts = {f"{host}:{port}", f"localhost:{port}"}

    def server_bind(self) -> None:
        """Without the look for this machine's name that HTTPServer would have, and a socket has no use for."""
        TCPServer.server_bind(self)


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint
    protocol_version = "HTTP/1.1"
    server_version = "rotator"
    sys_version = ""
    timeout = _IDLE

    def do_GET(self) -> None:
        """A key, or ``/healthz``, which tells nothing but that this process lives."""
        path = self._asked()
        if path == "healthz":
            self._answer(HTTPStatus.OK, {"status": "ok"})
        elif self._may_ask():
            self._hand_out(path, fresh=False)

    def do_POST(self) -> None:
        """``/refresh`` or ``/refresh/NAME``: look at Vault now, because a key was refused."""
        self.close_connection = True  # a body is not read
        if not self._may_ask():
            return
        words = self._asked().split("/", 1)
        if words[0] != "refresh":
            self._answer(HTTPStatus.NOT_FOUND, _said("there is only /refresh to post to"))
        elif len(words) > 1:
            self._hand_out(words[1], fresh=True)
        else:
            for keeper in self.server.keepers.values():
                with suppress(RotatorError):  # the next GET of it tells
                    keeper.look_now(FIRST_LOOK)
            self._answer(HTTPStatus.OK, {"status": "ok"})

    def _asked(self) -> str:
        """The path without slashes around it; of what is no address, nothing."""
        try:
            return unquote(urlsplit(self.path).path).strip("/")
        except ValueError:
            return ""

    def _may_ask(self) -> bool:
        shown = self.headers.get("Authorization", "")
        if self.headers.get("Host", "") not in self.server.hosts or self.headers.get("Origin") is not None:
            self._answer(HTTPStatus.FORBIDDEN, _said("this is for programs on this machine, by its loopback address"))
        elif not hmac.compare_digest(shown.encode("latin-1", "replace"), self.server.token.reveal().encode()):
            self._answer(
                HTTPStatus.UNAUTHORIZED, _said("the token is missing or wrong (AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)")
            )
        else:
            return True
        return False

    def _hand_out(self, name: str, *, fresh: bool) -> None:
        keeper = self.server.keepers.get(name)
        if keeper is None:
            self._answer(HTTPStatus.NOT_FOUND, _said("there is no such secret here"))
            return
        try:
            key = keeper.look_now(FIRST_LOOK) if fresh else keeper.key(FIRST_LOOK)
        except RotatorError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, _said(str(error)))
            return
        self._send(HTTPStatus.OK, container(key, datetime.now(UTC)))

    def _answer(self, status: HTTPStatus, body: Mapping[str, str]) -> None:
        self._send(status, json.dumps(body))

    def _send(self, status: HTTPStatus, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:  # a client that is not told sends its next call on a connection that ends
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: a line for each call of each program says nothing that anybody looks for."""


def _said(message: str) -> Mapping[str, str]:
    """An error as botocore shows it (``ContainerMetadataFetcher``: ``code`` and ``message``)."""
    return {"code": "RotatorError", "message": message}
