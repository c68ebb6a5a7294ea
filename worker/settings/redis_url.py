"""The address of Redis: whether it may be used, and what it means, the same to Celery and to redis-py.

Both read such addresses themselves, and differ: in what they undo of a percent sign, in where they look for a user, a
password and a database, in options that only one of them knows. So it is read once, here, and each is told the parts.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import SplitResult, parse_qs, parse_qsl, quote, unquote, urlencode

from worker.secret import Secret
from worker.settings.address import is_host, is_this_machine
from worker.settings.sentinel_url import OPTIONS as SENTINEL_OPTIONS
from worker.settings.sentinel_url import SCHEME as SENTINEL
from worker.settings.sentinel_url import SentinelProblem, Sentinels, sentinels, split

DEFAULT_PORT = 6379

_SOCKETS = ("unix", "redis+socket")
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_TLS_OPTIONS = ("ssl_cert_reqs", "ssl_check_hostname", *_FILES)
_DATABASE_OPTIONS = ("db", "virtual_host")
_OPTIONS = ("username", "password", *_DATABASE_OPTIONS, *_TLS_OPTIONS, *SENTINEL_OPTIONS)
_SHOWN = re.compile(r"[a-z_]{1,30}")
_UNENCODED = "has a /, ? or # in its user or password: write them %2F, %3F and %23"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """An address of Redis, read: ``host`` and port, the ``path`` of a socket, or ``sentinels`` (``host`` is the first).

    ``tls`` is empty for a connection in the clear, else the options of it by the names that redis-py and kombu share.
    """

    host: str
    port: int
    path: str
    database: int
    username: str
    password: Secret = field(repr=False)
    tls: Mapping[str, str]
    sentinels: Sentinels | None = None

    @property
    def in_the_clear(self) -> bool:
        """Whether a password would go over a network for all to read."""
        behind = self.sentinels
        any_password = self.password.reveal() or (behind and behind.password.reveal())
        hosts = [host for host, _ in behind.places] if behind else [self.host]
        return bool(any_password and not self.tls and not self.path and not all(map(is_this_machine, hosts)))

    def without_login(self) -> RedisAddress:
        """The same without user and password of Redis; what Sentinels ask for stays."""
        return replace(self, username="", password=Secret(""))

    def for_redis(self) -> dict[str, Any]:
        """The arguments of ``redis.Redis``. A socket has no keepalive, and redis-py refuses to be told of one."""
        login = {"username": self.username or None, "password": self.password.reveal() or None, "db": self.database}
        if self.path:
            return {**login, "unix_socket_path": self.path}
        # a certificate of no use is found by the check, and so is a name that is not the server's
        tls = {"ssl": True, "ssl_check_hostname": True, **_without(self.tls, "ssl_check_hostname")} if self.tls else {}
        where = {} if self.sentinels else {"host": self.host, "port": self.port}
        return {**login, **where, "socket_keepalive": True, **tls}

    def for_celery(self) -> Secret:
        """The same in Celery's words, in which a socket is ``redis+socket://``, with the database by another name.

        Of Sentinels the first only; the others, and what set it is, are told by other ways.
        """
        user, password = quote(self.username, safe=""), quote(self.password.reveal(), safe="")
        login = f"{user}:{password}@" if password else f"{user}@" if user else ""
        if self.path:
            return Secret(f"redis+socket://{login}{quote(self.path)}?virtual_host={self.database}")
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme, options = ("rediss", f"?{urlencode(self.tls)}") if self.tls else ("redis", "")
        return Secret(f"{scheme}://{login}{host}:{self.port}/{self.database}{options}")


def read_redis_url(url: Secret) -> RedisAddress:
    """Read an address. Raises ValueError, with words that follow the setting's name and quote nothing secret."""
    try:
        parts = split(url.reveal())
        port = parts.port
    except SentinelProblem:
        raise
    except ValueError:
        # a password that is cut off at a sign leaves what looks like a port
        raise ValueError(_UNENCODED if "@" in url.reveal() else "is not a URL") from None
    if parts.scheme not in ("redis", "rediss", SENTINEL, *_SOCKETS):
        raise ValueError("must begin with redis://, rediss://, sentinel:// or unix://")
    _see_that_the_login_is_whole(parts)
    query = _query(parts)
    behind = sentinels(url.reveal(), query, _host)
    if parts.scheme in _SOCKETS:
        place: tuple[str, int, str] = ("", 0, _socket(parts))
    elif behind:
        place = (*behind.places[0], "")
    else:
        place = (_host(parts, port), DEFAULT_PORT if port is None else port, "")
    username, password = _login(parts, query)
    return RedisAddress(*place, _database(parts, query), username, Secret(password), _tls(parts, query), behind)


def login_of(url: Secret) -> tuple[str, str]:
    """User and password of an address that may be used, whatever has become of the files that it names."""
    parts = split(url.reveal())
    return _login(parts, _query(parts))


def redis_problem(url: Secret) -> str | None:
    """What is wrong with an address of Redis, in words that follow its name; None when nothing is.

    ``rediss://`` without ``ssl_cert_reqs=required`` would accept any certificate (docs/facts.md, "Celery on Redis").
    """
    try:
        read_redis_url(url)
    except ValueError as error:
        return str(error)
    return None


def exposure(url: Secret) -> str | None:
    """What is wrong with an address by which a password goes over a network for all to read; None where none does."""
    if not read_redis_url(url).in_the_clear:
        return None
    return (
        "would send its password to another machine in the clear; use rediss://, or where the network is yours alone, "
        "set insecure = true under [redis]"
    )


def redis_passwords(url: Secret) -> tuple[Secret, ...]:
    """The passwords in an address of Redis, as written, as meant, and as Celery is told it; for redaction."""
    parts = split(url.reveal())
    query = parse_qs(parts.query)
    written = [parts.password or "", *query.get("password", []), *query.get("sentinel_password", [])]
    meant = [*map(unquote, written)]
    every = (*written, *meant, *(quote(value, safe="") for value in meant))
    return tuple(Secret(value) for value in dict.fromkeys(every) if value)


def for_celery(url: Secret) -> Secret:
    """An address that may be used, in Celery's words."""
    return read_redis_url(url).for_celery()


def _see_that_the_login_is_whole(parts: SplitResult) -> None:
    """Raises ValueError where a sign in it was taken for the beginning of the path or the options."""
    of_options = "@" in parts.query and "password=" not in parts.query
    if parts.scheme not in _SOCKETS and "@" not in parts.netloc and ("@" in parts.path or of_options):
        raise ValueError(_UNENCODED)


def _query(parts: SplitResult) -> dict[str, str]:
    """The options, each once: of one that is named twice, Celery would take the last and redis-py the first."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _OPTIONS:
            shown = f"the option {name}" if _SHOWN.fullmatch(name) else "an option"
            raise ValueError(f"has {shown} that is not known; allowed are {', '.join(_OPTIONS)}")
        if name in found:
            raise ValueError(f"has the option {name} twice; leave one of them out")
        found[name] = value
    if parts.fragment:
        raise ValueError("must not hold a #; in a password write it %23")
    return found


def _host(parts: SplitResult, port: int | None) -> str:
    if not parts.hostname:
        raise ValueError("names no host")
    if not is_host(parts.hostname):
        raise ValueError("names a host that cannot be one")
    if port == 0:
        raise ValueError("has the port 0, which no server has")
    return parts.hostname


def _socket(parts: SplitResult) -> str:
    if not parts.path.strip("/"):
        raise ValueError("names no socket")
    # without a slash at its beginning, Celery would take the path's first part for a host
    if parts.netloc.rpartition("@")[2] or not parts.path.startswith("/"):
        raise ValueError("must be unix:///path or unix://:password@/path; in a password write a / as %2F")
    return unquote(parts.path)


def _database(parts: SplitResult, query: Mapping[str, str]) -> int:
    in_path = "" if parts.scheme in _SOCKETS else parts.path.strip("/")
    named = [in_path, *(query.get(name, "") for name in _DATABASE_OPTIONS)]
    if any(text and not (text.isascii() and text.isdecimal() and len(text) < len("100000")) for text in named):
        raise ValueError("must have the number of a database behind the host, such as /0, or as db=0, or nothing")
    numbers = {int(text) for text in named if text}
    if len(numbers) > 1:
        raise ValueError("names two databases; leave one of them out")
    return numbers.pop() if numbers else 0


def _login(parts: SplitResult, query: Mapping[str, str]) -> tuple[str, str]:
    username = _one("user", unquote(parts.username or ""), query.get("username", ""))
    return username, _one("password", unquote(parts.password or ""), query.get("password", ""))


def _one(what: str, in_login: str, in_query: str) -> str:
    if in_login and in_query and in_login != in_query:
        raise ValueError(f"names a {what} before the host and another one as an option; leave one of them out")
    return in_login or in_query


def _tls(parts: SplitResult, query: Mapping[str, str]) -> dict[str, str]:
    given = {name: query[name] for name in _TLS_OPTIONS if name in query}
    if parts.scheme != "rediss" and not (parts.scheme == SENTINEL and given):
        if given:
            raise ValueError(f"has the option {next(iter(given))}, which is for rediss:// and sentinel:// only")
        return {}
    if given.get("ssl_cert_reqs") != "required":
        raise ValueError("must check the server's certificate: add ssl_cert_reqs=required to it")
    if given.get("ssl_check_hostname", "true").lower() != "true":
        raise ValueError("must check the server's name: leave ssl_check_hostname out")
    _see_that_files_load(given)
    return given


def _see_that_files_load(options: Mapping[str, str]) -> None:
    """Raises ValueError: redis-py would say so at the first call, and not which of the files it is."""
    authorities, folder, certificate, key = (options.get(name) for name in _FILES)
    if key and not certificate:
        raise ValueError("has the option ssl_keyfile without ssl_certfile; add the certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authorities or folder:
        try:
            context.load_verify_locations(authorities, folder)
        except OSError:  # ssl.SSLError is one
            raise ValueError("names certificates (ssl_ca_certs, ssl_ca_path) that cannot be loaded as PEM") from None
    if certificate:
        try:
            context.load_cert_chain(certificate, key, password=_no_passphrase)
        except (OSError, ValueError):
            what = "names a certificate and key (ssl_certfile, ssl_keyfile) that cannot be loaded as PEM"
            raise ValueError(f"{what} without a passphrase") from None


def _no_passphrase() -> str:
    """Instead of a question on the terminal."""
    raise ValueError("there is none")


def _without(options: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in options.items() if key != name}
