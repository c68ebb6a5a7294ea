"""Hosts that somebody else named lead nowhere inside: looked at where the connection is made."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire import Wire, answer
from worker.adapters.http.backend import DeadlineBackend
from worker.adapters.http.client import new_client
from worker.adapters.http.deadline import within
from worker.adapters.http.guard import Guard, NotPublic, is_public
from worker.adapters.http.messages import NoResponse, Request

INSIDE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "::ffff:168.63.129.16",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "203.0.113.9",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "::a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "100::1",
]
OUTSIDE = [
    "8.8.8.8",
    "185.15.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2a00:1450:4001:80b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", INSIDE)
def test_inside(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_outside(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_of_ipv4_is_as_public_inside_one_of_ipv6(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    translated = ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) | int(address))
    assert is_public(str(address)) == is_public(str(mapped)) == is_public(str(translated))


@given(
    st.sampled_from(["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"]).flatmap(
        lambda network: st.ip_addresses(network=network)
    )
)
def test_no_private_address_is_public(address: object) -> None:
    assert not is_public(str(address))


class Names:
    """DNS that gives another answer each time."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int) -> Sequence[str]:
        del host, port
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["::1"]])
@pytest.mark.parametrize("host", ["storage.example", "STORAGE.example"])
def test_a_guarded_host_that_leads_inside_is_not_connected_to(answers: list[str], host: str) -> None:
    guard = Guard(Names(answers))
    guard.keep_public("Storage.Example")
    with Wire(answer(200, b"secret")) as wire:
        with new_client(backend=DeadlineBackend(guard)) as client, within(30), pytest.raises(NoResponse) as caught:
            client.send(Request("GET", f"http://{host}:{wire.port}/"))
        assert wire.heard == []
    assert not caught.value.sent
    assert "into a network of its own" in caught.value.reason


def test_other_hosts_may_lead_anywhere() -> None:
    guard = Guard(Names(["127.0.0.1"]))
    guard.keep_public("storage.example")
    with Wire(answer(200, b"ours")) as wire, new_client(backend=DeadlineBackend(guard)) as client, within(30):
        assert client.send(Request("GET", f"http://vault.example:{wire.port}/")).body == b"ours"


def test_what_is_looked_at_is_what_is_connected_to() -> None:
    """DNS says something public first and 127.0.0.1 a moment later: there is no second question to answer."""
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    guard = Guard(names)
    guard.keep_public("storage.example")
    assert guard("storage.example", 443) == ["8.8.8.8"]
    assert names.asked == 1
    with pytest.raises(NotPublic):
        guard("storage.example", 443)
