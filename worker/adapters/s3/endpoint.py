"""Whether an endpoint that HostUp names may be asked about keys, by its address alone.

What DNS makes of a name is looked at where the connection is made (:mod:`worker.adapters.http.guard`); by way of a
proxy nobody here sees it, so names that are only known inside are refused here.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from worker.adapters.http.guard import Guard, is_public
from worker.settings.address import address_problem, is_this_machine

_HTTPS = 443
_INSIDE = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "private", "home.arpa", "localdomain")
"""Domains that are never public (RFC 6761, 6762, 8375; ICANN's ``internal``)."""


def named_endpoint_problem(endpoint: str, *, inside: bool) -> str | None:
    """What is wrong with an endpoint that HostUp names, in words that follow it; None when nothing is.

    ``inside``: HostUp's API itself is on this machine or in a network of its own, so its storage may be there, too.
    """
    problem = address_problem(endpoint)
    if problem or inside:
        return problem
    split = urlsplit(endpoint)
    host = (split.hostname or "").removesuffix(".")
    if split.scheme != "https":
        return "must begin with https://"
    if split.port not in (None, _HTTPS):
        return f"has another port than {_HTTPS}"
    if split.path not in ("", "/"):
        return "must not have a path"
    if not _is_outside(host):
        return "leads to this machine or into a network of its own"
    return None


def _is_outside(host: str) -> bool:
    try:
        return is_public(host)
    except ValueError:
        pass  # no IP address in its one proper form
    last = host.rpartition(".")[2]
    if last[:1].isdigit():
        return False  # 127.1, 2130706433, 0x7f.1, 0177.0.0.1: resolvers take them for addresses
    return "." in host and not any(host == name or host.endswith(f".{name}") for name in _INSIDE)


def is_inside(url: str, guard: Guard, *, by_proxy: bool) -> bool:
    """Whether an address of ours is this machine or in a network of its own; a proxy knows names that we do not."""
    split = urlsplit(url)
    host = (split.hostname or "").removesuffix(".")
    if is_this_machine(host):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return not by_proxy and guard.leads_inside(host, split.port or _HTTPS)


def same_endpoint(one: str, other: str) -> bool:
    """Whether two addresses are the same place, however they are written."""
    return _as_one(one) == _as_one(other)


def _as_one(endpoint: str) -> tuple[str, str, int | None, str]:
    split = urlsplit(endpoint)
    own = {"http": 80, "https": _HTTPS}.get(split.scheme)
    host = (split.hostname or "").removesuffix(".")
    return split.scheme, host, split.port or own, split.path.rstrip("/")
