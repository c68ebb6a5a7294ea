"""User and password of Redis out of a file that changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.wire import LOOPBACK_PEM
from worker.adapters.redis.login import RedisLogin
from worker.secret import Secret


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "url"


def opened(file: Path, url: str, seen: list[Secret] | None = None) -> RedisLogin:
    file.write_text(url)
    return RedisLogin(Secret(url), file, (seen if seen is not None else []).append)


@pytest.mark.parametrize(
    ("url", "login"),
    [
        ("redis://h", ()),
        ("redis://127.0.0.1/?password=a%20b", ("a b",)),
        ("redis://:p%2Fq@127.0.0.1", ("p/q",)),
        ("redis://u%40x:p@127.0.0.1/3", ("u@x", "p")),
        ("unix://u:p@/run/redis.sock", ("u", "p")),
    ],
)
def test_the_login(file: Path, url: str, login: tuple[str, ...]) -> None:
    assert opened(file, url).get_credentials() == login
    assert RedisLogin(Secret(url), None).get_credentials() == login


def test_a_new_password_is_told_and_used(file: Path) -> None:
    seen: list[Secret] = []
    login = opened(file, "redis://u:first@127.0.0.1/0", seen)
    file.write_text("redis://u:se%2Fcond@127.0.0.1/0\n")
    assert login.get_credentials() == ("u", "se/cond")
    assert {secret.reveal() for secret in seen} == {"redis://u:se%2Fcond@127.0.0.1/0", "se%2Fcond", "se/cond"}
    assert not login.names_another_server()


@pytest.mark.parametrize(
    "half",
    ["", "redis://u:se", "redis://u:second@", "u:second@127.0.0.1", "redis://u:second@127.0.0.1/x", "rediss://h"],
)
def test_half_an_address_leaves_the_last_good_one(file: Path, half: str) -> None:
    login = opened(file, "redis://u:first@127.0.0.1/0")
    file.write_text(half)
    assert login.get_credentials() == ("u", "first")
    assert not login.names_another_server()


@pytest.mark.parametrize(
    ("url", "another"),
    [
        ("redis://other:login@127.0.0.1:6379", False),
        ("redis://127.0.0.1:6380/0", True),
        ("redis://127.0.0.2/0", True),
        ("redis://127.0.0.1/1", True),
        ("rediss://127.0.0.1/0?ssl_cert_reqs=required", True),
    ],
)
def test_another_server(file: Path, url: str, *, another: bool) -> None:
    login = opened(file, "redis://u:first@127.0.0.1/0")
    file.write_text(url)
    assert login.names_another_server() is another


def test_a_password_does_not_begin_to_go_over_a_network_in_the_clear(file: Path) -> None:
    login = opened(file, "redis://redis.example/0")
    file.write_text("redis://:first@redis.example/0")
    assert not login.get_credentials()
    allowed = opened(file, "redis://:first@redis.example/0")
    file.write_text("redis://:second@redis.example/0")
    assert allowed.get_credentials() == ("second",)


def test_certificates_that_are_being_renewed_are_no_other_server_and_stop_no_login(file: Path, tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    shutil.copy(LOOPBACK_PEM, pem)
    login = opened(file, f"rediss://:first@h/0?ssl_cert_reqs=required&ssl_ca_certs={pem}")
    assert login.get_credentials() == ("first",)
    pem.unlink()
    assert login.get_credentials() == ("first",)
    assert not login.names_another_server()
