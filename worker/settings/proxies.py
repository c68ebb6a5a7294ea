"""Which proxy leads to a service: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, as httpx reads them.

httpx keeps its reading to itself, so it is done here, and a test holds it against httpx's. One thing is different: this
machine's own addresses (127.0.0.0/8, ::1, localhost) are never asked for by way of a proxy, with or without NO_PROXY.
A proxy elsewhere would look for them on its own machine, and hand it what is sent in plain text.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from worker.errors import ConfigurationError
from worker.secret import Secret
from worker.settings.address import is_host, is_this_machine

_PORTS = {"http": 80, "https": 443}
_ALLOWED = (
    "must be the address of a proxy, such as http://proxy.example:3128 or http://user:password@proxy.example:3128, "
    "with nothing behind it; in a password write %40, %3A, %2F, %3F, %23 and %25 for @, :, /, ?, # and %"
)
_ALLOWED_DIRECT = (
    "its entry {number} is none; allowed are hosts, domains and addresses, each with a port or without, such as "
    "vault.example, .example, 10.0.0.1 or [::1]:8200, with commas between them"
)
_VARIABLES = ("https_proxy", "http_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy; its text is its host and port, without the login."""

    secure: bool
    host: str
    port: int
    login: tuple[str, Secret] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Where it is."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Direct:
    """One entry of NO_PROXY: ``*name`` covers a name and what is below it, ``*.name`` only what is below it."""

    scheme: str
    host: str
    port: int | None

    def covers(self, url: SplitResult) -> bool:
        port = None if url.port == _PORTS.get(url.scheme) else url.port
        fits = self.scheme in ("all", url.scheme) and self.port in (None, port)
        host, name = url.hostname or "", self.host.removeprefix("*")
        if not self.host.startswith("*"):
            return fits and host in (name, name or host)
        return fits and (host == name or host.endswith(f".{name.removeprefix('.')}"))


@dataclass(frozen=True, slots=True)
class Proxies:
    """What the environment says of proxies."""

    _by_scheme: Mapping[str, Proxy] = field(default_factory=dict)
    _direct: tuple[_Direct, ...] = ()

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Self:
        """Read the variables. Raises ConfigurationError for one that would be used and cannot be read."""
        given = _given(env)
        entries = [entry.strip() for entry in given.get("no_proxy", "").split(",") if entry.strip()]
        if "*" in entries:
            return cls()
        names = {scheme: name for scheme in _PORTS if (name := _variable(given, scheme))}
        return cls(
            {scheme: _proxy(name.upper(), given[name]) for scheme, name in names.items()},
            tuple(_direct(entry, number) for number, entry in enumerate(entries, 1)),
        )

    @classmethod
    def only(cls, variable: str, value: str) -> Self:
        """One proxy for every address but this machine's own. Raises ConfigurationError."""
        return cls(dict.fromkeys(_PORTS, _proxy(variable, value)))

    def to(self, url: str) -> Proxy | None:
        """The proxy for an address, or None where the way is direct."""
        split = urlsplit(url)
        if is_this_machine(split.hostname or "") or any(entry.covers(split) for entry in self._direct):
            return None
        return self._by_scheme.get(split.scheme)


def proxy_secrets(env: Mapping[str, str]) -> tuple[Secret, ...]:
    """What must not be shown of the proxies' addresses: passwords, as they are written and as they are sent."""
    given = _given(env)
    values = (value for name in _VARIABLES if name in given for value in _login_values(given[name]))
    return tuple(Secret(value) for value in dict.fromkeys(values) if value)


def login_secrets(value: str) -> tuple[Secret, ...]:
    """The same of one proxy's address."""
    return tuple(Secret(part) for part in dict.fromkeys(_login_values(value)) if part)


def _given(env: Mapping[str, str]) -> dict[str, str]:
    """The variables by their names in lower case; where both are set, the one in lower case counts, even if empty."""
    found = {name.lower(): value for name, value in env.items() if name != name.lower()}
    found |= {name: value for name, value in env.items() if name == name.lower()}
    if "REQUEST_METHOD" in env:
        found.pop("http_proxy", None)  # a CGI program gets a request's header "Proxy" under this name
    return {name: found[name] for name in (*_VARIABLES, "no_proxy") if found.get(name)}


def _variable(given: Mapping[str, str], scheme: str) -> str | None:
    return next((name for name in (f"{scheme}_proxy", "all_proxy") if name in given), None)


def _proxy(variable: str, value: str) -> Proxy:
    url = _split(value)
    port = _port(url) if url else None
    if url is None or port is None or not _is_address(value, url):
        raise ConfigurationError((f"environment: {variable}: {_ALLOWED}",))
    login = (unquote(url.username or ""), Secret(unquote(url.password or "")))
    return Proxy(url.scheme == "https", url.hostname or "", port, login if url.username or url.password else None)


def _is_address(value: str, url: SplitResult) -> bool:
    plain = value.isascii() and value.isprintable() and not any(sign in value for sign in " ?#\\")
    return plain and url.path in ("", "/") and is_host(url.hostname or "")


def _split(value: str) -> SplitResult | None:
    try:
        return urlsplit(value if "://" in value else f"http://{value}")
    except ValueError:  # brackets that nothing closes
        return None


def _port(url: SplitResult) -> int | None:
    own = _PORTS.get(url.scheme)
    try:
        return own if url.port is None else (own and url.port) or None
    except ValueError:
        return None


def _direct(entry: str, number: int) -> _Direct:
    if "://" not in entry:
        entry = f"all://{_in_brackets(entry) or entry if _is_exact(entry) else '*' + entry}"
    try:
        split = urlsplit(entry)
        return _Direct(split.scheme, split.hostname or "", split.port)
    except ValueError:  # brackets that nothing closes, or a port that is no number
        raise ConfigurationError((f"environment: NO_PROXY: {_ALLOWED_DIRECT.format(number=number)}",)) from None


def _is_exact(entry: str) -> bool:
    if entry.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(entry.partition("/")[0])
    except ValueError:
        return False
    return True


def _in_brackets(entry: str) -> str:
    return f"[{entry}]" if ":" in entry else ""


def _login_values(value: str) -> Iterator[str]:
    url = _split(value)
    if url is None:
        yield value  # nobody knows which part of it is the password
        return
    user, password = url.username or "", url.password or ""
    hidden = password or user  # a name alone may be a token
    yield from (hidden, unquote(hidden))
    if hidden:
        yield base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
