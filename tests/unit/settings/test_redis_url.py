"""The address of Redis: what may stand in it, and that it means the same to Celery and to redis-py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection

from tests.unit.settings.configuring import TARGET, problems, read
from worker.adapters.redis.client import connect
from worker.secret import Secret
from worker.service.celery_app import make_app
from worker.settings.redis_url import for_celery, read_redis_url, redis_passwords, redis_problem

TLS = "rediss://h?ssl_cert_reqs=required"
PEM = Path(__file__).parents[2] / "loopback.pem"
ROOT = Path(__file__).parents[2] / "root.pem"


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://h/",
        "REDIS://h",
        "redis://h?db=2",
        "redis://h/2?db=2",
        "redis://user:p%23w@[::1]:6380/3",
        "redis://:p@ss@h",
        "redis://h?username=me&password=p%40w",
        "unix:///run/redis.sock?db=1",
        "unix:///run/my redis/\u00e9.sock",
        "redis+socket:///run/redis.sock?virtual_host=1",
        TLS,
        f"{TLS}&ssl_check_hostname=true",
        f"{TLS}&ssl_ca_certs={ROOT}",
        f"{TLS}&ssl_ca_certs={ROOT}&ssl_certfile={PEM}&ssl_keyfile={PEM}",
        "sentinel://h?master_name=m",
        "sentinel://:p%3Bw@h:1/3;SENTINEL://[::1];sentinel://i:2?master_name=m&ssl_cert_reqs=required",
        "sentinel://u:p@h/1;sentinel://u:p@i/1?master_name=m&sentinel_username=u&ssl_cert_reqs=required",
    ],
)
def test_addresses_that_may_be_used(url: str) -> None:
    assert redis_problem(Secret(url)) is None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("rediss://h", "certificate"),
        ("rediss://h?ssl_cert_reqs=none", "certificate"),
        ("rediss://h?ssl_cert_reqs=optional", "certificate"),
        (f"{TLS}&ssl_cert_reqs=none", "the option ssl_cert_reqs twice"),
        (f"{TLS}&ssl_check_hostname=0", "name"),
        (f"{TLS}&ssl_ca_certs=/nowhere/ca.pem", "cannot be loaded as PEM"),
        (f"{TLS}&ssl_ca_certs={__file__}", "cannot be loaded as PEM"),
        (f"{TLS}&ssl_certfile={ROOT}", "cannot be loaded as PEM"),
        (f"{TLS}&ssl_keyfile={PEM}", "without ssl_certfile"),
        ("redis://h?ssl_cert_reqs=required", "for rediss:// and sentinel:// only"),
        ("redis://", "no host"),
        ("redis://:6379", "no host"),
        ("redis://h..h", "cannot be one"),
        ("unix://", "no socket"),
        ("unix://run/redis.sock", "unix:///path"),
        ("unix:run/redis.sock", "unix:///path"),
        ("unix:]]///run/redis.sock", "unix:///path"),
        ("unix://:CANARY/w@/run/redis.sock", "%2F"),
        ("http://h", "redis://, rediss://, sentinel:// or unix://"),
        ("h:6379", "redis://, rediss://, sentinel:// or unix://"),
        ("redis://h:port", "not a URL"),
        ("redis://h:0", "port"),
        ("redis://h:65536", "not a URL"),
        ("redis://[h", "not a URL"),
        ("redis://h/#x", "%23"),
        ("redis://:CANARY/w@h:6379/0", "%2F"),
        ("redis://:CANARY?w@h:6379/0", "%3F"),
        ("redis://:CANARY#w@h:6379/0", "%23"),
        ("redis://:12/CANARY@h:6379/0", "%2F"),
        ("redis://:12?CANARY@h:6379/0", "%3F"),
        ("redis://h/x", "the number of a database"),
        ("redis://h?db=x", "the number of a database"),
        ("redis://h?db=-1", "the number of a database"),
        ("redis://h/1?db=2", "two databases"),
        ("redis://h?db=1&db=1", "twice"),
        ("redis://:one@h?password=two", "a password before the host and another"),
        ("redis://one@h?username=two", "a user before the host and another"),
        ("redis://h?retry_on_timeout=yes", "the option retry_on_timeout that is not known; allowed are username"),
        ("redis://h?CANARY%40=1", "an option that is not known"),
        ("redis://h?master_name=m", "the option master_name, which is for sentinel:// only"),
        ("sentinel://h", "add master_name=NAME"),
        ("sentinel://h;i:1?master_name=m", "must be sentinel://HOST:26379;sentinel://"),
        ("sentinel://:CANARY;w@h?master_name=m", "write ; as %3B"),
        ("sentinel://h:CANARY;sentinel://i?master_name=m", "must be sentinel://HOST"),
        ("sentinel://h:0?master_name=m", "must be sentinel://HOST"),
        ("sentinel://;sentinel://i?master_name=m", "names no host"),
        ("sentinel://h;sentinel://i..i?master_name=m", "cannot be one"),
        ("sentinel://:CANARY@h;sentinel://:two@i?master_name=m", "two logins"),
        ("sentinel://h/1;sentinel://i/2?master_name=m", "two databases"),
        ("sentinel://h/1;sentinel://i?master_name=m&db=2", "two databases"),
        ("sentinel://h?master_name=m;sentinel://i?master_name=n", "the option master_name twice"),
        ("sentinel://:CANARY/w@h?master_name=m", "%2F"),
        ("sentinel://h?master_name=m&ssl_cert_reqs=none", "certificate"),
        ("sentinel://h?master_name=m&ssl_ca_certs=/x", "certificate"),
        ("sentinel://h;sentinel://i?master_name=m#x", "%23"),
    ],
)
def test_addresses_that_may_not_say_why(tmp_path: Path, url: str, problem: str) -> None:
    found = redis_problem(Secret(url))
    assert found is not None
    assert problem in found
    assert "CANARY" not in found
    (told,) = problems(tmp_path, env={"REDIS_URL": url.replace(" ", "%20")})
    assert told == f"environment: REDIS_URL: {found}"


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


def _as_redis_is_told(url: Secret) -> tuple[Any, ...]:
    client = redis.Redis(**read_redis_url(url).for_redis())
    told = client.connection_pool.connection_kwargs
    return tuple(told.get(name) for name in ("host", "port", "path", "db", "username", "password", "ssl_ca_certs"))


def _as_celery_is_told(url: Secret) -> tuple[Any, ...]:
    with Connection(for_celery(url).reveal()) as connection:
        # what the transport hands to redis-py; making a channel would connect
        transport: Any = connection.transport
        channel = object.__new__(transport.Channel)
        channel.connection = transport
        told = channel._connparams()
    return tuple(told.get(name) for name in ("host", "port", "path", "db", "username", "password", "ssl_ca_certs"))


@given(
    user=TEXT | st.just(""),
    password=TEXT,
    place=st.sampled_from(["localhost", "127.0.0.1:6380", "[::1]:1234"]),
    database=st.integers(0, 99),
    in_query=st.booleans(),
    tls=st.booleans(),
)
def test_an_address_means_the_same_to_both(
    user: str, password: str, place: str, database: int, *, in_query: bool, tls: bool
) -> None:
    options = [f"db={database}"] if in_query else []
    options += ["ssl_cert_reqs=required", f"ssl_ca_certs={ROOT}"] if tls else []
    path = "" if in_query else f"/{database}"
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    url = Secret(f"redis{'s' if tls else ''}://{login}@{place}{path}?{'&'.join(options)}")
    ours = _as_redis_is_told(url)
    assert ours == _as_celery_is_told(url)
    assert ours[3:6] == (database, user or None, password)
    assert (ours[6] is not None) is tls


@given(
    user=TEXT | st.just(""),
    password=TEXT,
    sentinel_password=TEXT | st.just(""),
    places=st.lists(st.sampled_from(["a", "127.0.0.1", "[::1]"]), min_size=1, max_size=3, unique=True),
    database=st.integers(0, 99),
    tls=st.booleans(),
)
def test_an_address_of_sentinels_means_the_same_to_both(
    user: str, password: str, sentinel_password: str, places: list[str], database: int, *, tls: bool
) -> None:
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    options = ["master_name=m", f"sentinel_password={quote(sentinel_password, safe='')}"]
    options += ["ssl_cert_reqs=required", f"ssl_ca_certs={ROOT}"] if tls else []
    pieces = [f"sentinel://{login if number == 0 else ''}{place}:7" for number, place in enumerate(places)]
    url = Secret(f"{';'.join(pieces)}/{database}?{'&'.join(options)}")
    ours = connect(url).connection_pool.connection_kwargs
    with make_app(url).connection_for_write() as connection:
        transport: Any = connection.transport
        channel = object.__new__(transport.Channel)
        channel.connection = transport
        channel.address = (connection.transport_options or {})["address"]
        theirs = channel._connparams()
    told = ("db", "username", "password", "ssl_ca_certs")
    assert [ours.get(name) for name in told] == [theirs.get(name) for name in told]
    assert (ours["db"], ours.get("username"), ours["password"]) == (database, user or None, password)
    assert _sentinels(ours) == _sentinels(theirs)
    assert [place["host"] for place in _sentinels(ours)] == [place.strip("[]") for place in places]
    for each in _sentinels(ours):
        assert (each["port"], each["password"], each.get("ssl_ca_certs")) == (
            7,
            sentinel_password or None,
            str(ROOT) if tls else None,
        )


def _sentinels(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How each Sentinel is spoken to, by what asks them."""
    manager = told["primary"].func.__self__
    names = ("host", "port", "username", "password", "ssl_ca_certs")
    return [{name: each.connection_pool.connection_kwargs.get(name) for name in names} for each in manager.sentinels]


def test_the_password_of_sentinels_in_the_clear_is_one_too(tmp_path: Path) -> None:
    url = "sentinel://localhost;sentinel://elsewhere?master_name=m&sentinel_password=CANARY"
    (found,) = problems(tmp_path, env={"REDIS_URL": url})
    assert "in the clear" in found
    assert "CANARY" not in found
    assert Secret("CANARY") in redis_passwords(Secret(url))


@pytest.mark.parametrize(
    "url",
    ["unix://u:p%2Fw@/run/a%20b.sock?db=3", "redis+socket:///run/a b.sock?db=3&username=u&password=p%2Fw"],
)
def test_a_socket_means_the_same_to_both(url: str) -> None:
    assert _as_redis_is_told(Secret(url)) == _as_celery_is_told(Secret(url))
    assert _as_redis_is_told(Secret(url)) == (None, None, "/run/a b.sock", 3, "u", "p/w", None)


def test_the_password_of_redis_as_written_and_as_meant() -> None:
    url = Secret("redis://u:a%2Fb@h?password=c")
    assert [secret.reveal() for secret in redis_passwords(url)] == ["a%2Fb", "c", "a/b"]
    assert redis_passwords(Secret("redis://h")) == ()
    assert Secret("p%20w") in redis_passwords(Secret("redis://:p w@h")), "as Celery is told it"


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("redis://:CANARY@elsewhere", True),
        ("redis://:CANARY@10.0.0.1", True),
        ("redis://elsewhere?password=CANARY", True),
        ("redis://:CANARY@127.0.0.1", False),
        ("redis://:CANARY@[::1]", False),
        ("redis://:CANARY@localhost", False),
        ("redis://elsewhere", False),
        ("redis://user@elsewhere", False),
        ("unix://:CANARY@/run/redis.sock", False),
        ("rediss://:CANARY@elsewhere?ssl_cert_reqs=required", False),
    ],
)
def test_a_password_goes_to_another_machine_in_the_clear_only_where_that_is_allowed(
    tmp_path: Path, url: str, *, refused: bool
) -> None:
    if refused:
        (found,) = problems(tmp_path, env={"REDIS_URL": url})
        assert found.startswith("environment: REDIS_URL: would send its password to another machine in the clear")
        assert "CANARY" not in found
    else:
        read(tmp_path, env={"REDIS_URL": url})
    assert read(tmp_path, f"[redis]\ninsecure = true\n{TARGET}", env={"REDIS_URL": url}).redis_url == Secret(url)


def test_insecure_is_true_or_false(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, f'[redis]\ninsecure = "yes"\n{TARGET}')
    assert found.startswith("FILE: [redis] insecure: must be true or false")


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("redis://h", "redis://h"),
        ("redis://u:a%2Fb@[::1]:6380/3", "redis://[::1]:6380/3"),
        ("redis://u:p@x@h/1", "redis://h/1"),
        ("redis://h/1?password=p&username=u", "redis://h/1"),
        ("unix:///run/redis.sock?db=1&password=x", "unix:///run/redis.sock?db=1"),
        ("unix://u:p@/run/redis.sock", "unix:///run/redis.sock"),
        ("rediss://:p@h:1/0?ssl_cert_reqs=required", "rediss://h:1/0?ssl_cert_reqs=required"),
    ],
)
def test_an_address_without_its_login(url: str, bare: str) -> None:
    assert read_redis_url(Secret(url)).without_login() == read_redis_url(Secret(bare))
