"""Whether a service's address is one that may be handed a secret."""

from __future__ import annotations

import ipaddress
import re

import httpx

from worker.errors import ConfigurationError
from worker.http import is_loopback

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_HIGHEST_PORT = 65535


def address_problem(url: str) -> str | None:
    """What is wrong with a service's address, in words that follow the setting's name; None when nothing is.

    Right is https, or plain http to this machine, with a host and nothing behind the path. The address itself is not
    quoted: it may hold a password.
    """
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        return "is not a URL"
    if not _is_host(parts.raw_host.decode("ascii")):
        return "must be https:// and a host's name"
    if parts.port is not None and not 0 < parts.port <= _HIGHEST_PORT:
        return f"has a port outside 1 to {_HIGHEST_PORT}"
    if parts.userinfo or "?" in url or "#" in url:
        return "must not hold a user name, a password, a query or a fragment"
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url)):
        return None
    return "must begin with https:// (http:// is for this machine only, such as http://127.0.0.1:8080)"


def require_address(url: str, setting: str) -> str:
    """The address without the slash at its end. Raises ConfigurationError, which names ``setting``."""
    problem = address_problem(url)
    if problem:
        raise ConfigurationError((f"{setting} {problem}",))
    return url.rstrip("/")


def _is_host(host: str) -> bool:
    # checked here because the resolver answers a bad label with UnicodeError, which is no network error
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))
    return True
