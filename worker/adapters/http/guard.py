"""Hosts that must be public: looked at where the connection is made, so that no second answer of DNS can differ.

Somebody else named them, and this machine reaches what that somebody cannot: itself, its network, and the address at
which clouds hand credentials out (169.254.169.254).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from worker.adapters.http.backend import Resolve, resolved

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
_OF_CLOUDS = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("168.63.129.16/32"))
"""What only machines in a cloud reach, and Python calls global: Oracle's metadata and Azure's."""

_LOW_32_BITS = 0xFFFF_FFFF


class NotPublic(OSError):
    """A host that must be public leads to this machine or into a network of its own."""


class Guard:
    """Resolves hosts as ``resolve`` does; every address of those that are named to it has to be public."""

    def __init__(self, resolve: Resolve = resolved) -> None:
        self._resolve = resolve
        self._guarded: frozenset[str] = frozenset()

    def keep_public(self, host: str) -> None:
        """From now on this host must be public."""
        self._guarded |= {host.lower()}

    def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host. Raises NotPublic, and what ``resolve`` raises."""
        addresses = self._resolve(host, port)
        if host.lower() in self._guarded and not all(map(is_public, addresses)):
            raise NotPublic
        return addresses

    def leads_inside(self, host: str, port: int) -> bool:
        """Whether an address of the host is not public; False where it has none now."""
        try:
            return not all(map(is_public, self._resolve(host, port)))
        except (OSError, ValueError):
            return False


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet, also where it is one of IPv4 inside one of IPv6."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _COMPATIBLE or ip.is_site_local or ip.sixtofour or ip.teredo:
            return False
        inner = ip.ipv4_mapped or (ipaddress.IPv4Address(int(ip) & _LOW_32_BITS) if ip in _NAT64 else None)
        if inner:
            return is_public(str(inner))
    of_clouds = any(ip in network for network in _OF_CLOUDS)
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not of_clouds
