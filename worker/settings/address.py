"""Whether a service's address is one that may be handed a secret.

This accepts only what every reader of URLs splits in
the same way.
"""

from __future__ import annotations

import ipaddress
import re

from worker.errors import ConfigurationError

_URL = re.compile(
    r"(?P<scheme>https?)://(?:\[(?P<ip>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]+))?(?:/[!-~]*)?"
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_HIGHEST_PORT = 65535


def address_problem(url: str) -> str | None:
    """What is wrong with a service's address, in words that follow the setting's name; None when nothing is.

    Right is https, or plain http to this machine, with a host and nothing behind the path. The address itself is not
    quoted: it may hold a password.
    """
    if any(sign in url for sign in "@?#\\"):
        return "must not hold a user name, a password, a query or a fragment"
    parts = _URL.fullmatch(url)
    host = (parts["ip"] or parts["host"]) if parts else ""
    if parts is None or not is_host(host):
        return "must be https:// and a host's name"
    if parts["port"] and not 0 < int(parts["port"][:6]) <= _HIGHEST_PORT:
        return f"has a port outside 1 to {_HIGHEST_PORT}"
    if parts["scheme"] == "https" or is_this_machine(host):
        return None
    return "must begin with https:// (http:// is for this machine only, such as http://127.0.0.1:8080)"


def require_address(url: str, setting: str) -> str:
    """The address without the slash at its end. Raises ConfigurationError, which names ``setting``."""
    problem = address_problem(url)
    if problem:
        raise ConfigurationError((f"{setting} {problem}",))
    return url.rstrip("/")


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine: 127.0.0.0/8, ::1 or localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_host(host: str) -> bool:
    """Whether this is an IP address or may be a name; a bad label has the resolver raise UnicodeError, no OSError."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))
    return True
