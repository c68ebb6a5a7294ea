"""Which proxy the environment names for an address, held against what httpx makes of the same environment."""

from __future__ import annotations

import base64

import httpx
import pytest
from httpx._utils import URLPattern, get_environment_proxies

from worker.errors import ConfigurationError
from worker.settings.proxies import Proxies, proxy_secrets

ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"HTTPS_PROXY": "http://p:3128"},
    {"HTTP_PROXY": "http://p:3128"},
    {"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:2"},
    {"https_proxy": "", "HTTPS_PROXY": "http://upper:2"},
    {"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://p:2"},
    {"ALL_PROXY": "http://all:1"},
    {"HTTPS_PROXY": "p"},
    {"HTTPS_PROXY": "p:3128"},
    {"HTTPS_PROXY": "https://user:pass@p"},
    {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"},
    *(
        {"ALL_PROXY": "http://all:1", "NO_PROXY": value}
        for value in [
            "*",
            "other.example, *",
            "vault.example",
            ".vault.example",
            "Vault.Example",
            "example",
            "vault.example:8200",
            "hostup.example:443",
            "https://vault.example",
            "http://vault.example",
            "10.0.0.1",
            "10.0.0.0/8",
            "10.0.0.1:8200",
            "fd00::1",
            "localhost",
            "other.example,,  vault.example ",
            "ault.example",
        ]
    ),
    {"ALL_PROXY": "http://all:1", "no_proxy": "vault.example", "NO_PROXY": "hostup.example"},
]

ADDRESSES = [
    "https://vault.example/",
    "https://vault.example:8200/",
    "https://a.vault.example/v1/x",
    "https://avault.example/",
    "http://vault.example/",
    "https://hostup.example/api",
    "https://hostup.example:443/api",
    "https://10.0.0.1/",
    "https://10.0.0.1:8200/",
    "https://[fd00::1]/",
]


def by_httpx(url: str) -> str | None:
    """What httpx.Client does with its mounts: the first pattern that fits, the closest ones first."""
    patterns = sorted((URLPattern(name), proxy) for name, proxy in get_environment_proxies().items())
    proxy = next((proxy for pattern, proxy in patterns if pattern.matches(httpx.URL(url))), None)
    if proxy is None:
        return None
    found = httpx.Proxy(proxy).url
    return f"{found.host}:{found.port or (443 if found.scheme == 'https' else 80)}"


@pytest.mark.parametrize("env", ENVIRONMENTS, ids=repr)
def test_the_environment_is_read_as_httpx_reads_it(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    proxies = Proxies.of(env)
    found = {url: str(proxy) if (proxy := proxies.to(url)) else None for url in ADDRESSES}
    assert found == {url: by_httpx(url) for url in ADDRESSES}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9:8200", "localhost", "LocalHost:1", "[::1]:8200"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_this_machine_is_never_reached_by_way_of_a_proxy(scheme: str, host: str) -> None:
    assert Proxies.of({"ALL_PROXY": "http://all:1"}).to(f"{scheme}://{host}/") is None


def test_a_login_is_known_and_not_shown() -> None:
    proxy = Proxies.of({"HTTPS_PROXY": "http://us%40er:pa%3Ass@p:3128"}).to("https://vault.example")
    assert proxy is not None
    assert proxy.login is not None
    assert (proxy.login[0], proxy.login[1].reveal()) == ("us@er", "pa:ss")
    assert "us@er" not in f"{proxy} {proxy!r}"
    assert "pa:ss" not in f"{proxy} {proxy!r}"


@pytest.mark.parametrize(
    "value",
    ["socks5://user:hush@p:1080", "http://user:hush@", "http://user:hush@p:port", "ftp://user:hush@p", "http://[hush"],
)
def test_what_is_no_http_proxy_is_a_mistake_that_quotes_nothing(value: str) -> None:
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY: must be the address") as caught:
        Proxies.of({"HTTPS_PROXY": value})
    assert "hush" not in str(caught.value)
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(
    "entry", ["vault.example:port", "[::1", "10.0.0.1:99999", "all://[x]", "h:\u0663x", "http://h:-1"]
)
def test_an_exception_that_is_none_is_a_mistake(entry: str) -> None:
    with pytest.raises(ConfigurationError, match=r"NO_PROXY: its entry 2 is none; allowed are"):
        Proxies.of({"HTTPS_PROXY": "http://p:1", "NO_PROXY": f"hostup.example, {entry}"})


def test_a_proxy_that_is_not_used_is_no_mistake() -> None:
    env = {"ALL_PROXY": "socks5://p:1080", "HTTPS_PROXY": "http://p:1", "HTTP_PROXY": "http://p:1"}
    assert str(Proxies.of(env).to("https://vault.example")) == "p:1"


def basic(login: str) -> str:
    return base64.b64encode(login.encode()).decode()


@pytest.mark.parametrize(
    ("env", "secrets"),
    [
        ({}, []),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "user:pass@x"}, []),
        ({"https_proxy": "http://user:pass@p"}, ["pass", basic("user:pass")]),
        ({"ALL_PROXY": "socks5://user:pa%3Ass@p"}, ["pa%3Ass", "pa:ss", basic("user:pa:ss")]),
        (
            {"HTTP_PROXY": "http://a:b1@p", "HTTPS_PROXY": "http://a:b2@p"},
            ["b2", basic("a:b2"), "b1", basic("a:b1")],
        ),
        ({"HTTPS_PROXY": "http://token@p"}, ["token", basic("token:")]),
        ({"HTTPS_PROXY": "user:pass@p:1"}, ["pass", basic("user:pass")]),
        ({"HTTPS_PROXY": "http://[user:pass@p"}, ["http://[user:pass@p"]),
    ],
    ids=repr,
)
def test_the_passwords_are_secrets_as_they_are_written_and_as_they_are_sent(
    env: dict[str, str], secrets: list[str]
) -> None:
    assert [secret.reveal() for secret in proxy_secrets(env)] == secrets
