"""What the environment sets: secrets, addresses, proxies. An input is a JSON object from variables to values."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.fuzz.limits import seen
from tests.fuzz.mutations import mutated_json
from tests.fuzz.part import Part
from worker.settings.settings import Settings, load

PLANTED = "planted-secret-of-the-fuzz"
_SHIPPED = Path(__file__).parents[3] / "config" / "rotator.toml"
LARGEST = 128 * 1024
"""Bytes, for one variable: no more can be handed to a process."""

_FOR_SECRETS = ("HOSTUP_API_KEY", "VAULT_TOKEN", "VAULT_SECRET_ID")
_ADDRESSES = ("redis_url", "https_proxy", "http_proxy", "all_proxy", "vault_proxy_addr")
_LOGIN = re.compile(r"://[^/?#]*@|password=[^&#]*")
_FILE = str(Path(__file__))

_BASE = {
    "HOSTUP_API_KEY": PLANTED,
    "VAULT_ADDR": "https://vault.example:8200",
    "VAULT_TOKEN": f"hvs.{PLANTED}",
    "REDIS_URL": f"redis://:{PLANTED}@127.0.0.1:6379/0",
}
_MORE: Sequence[Mapping[str, str]] = (
    {},
    {"REDIS_URL": f"rediss://worker:{PLANTED}@redis.example:6380/1?ssl_cert_reqs=required&ssl_ca_certs={_FILE}"},
    {"REDIS_URL": f"unix:///run/redis.sock?db=3&password={PLANTED}"},
    {"REDIS_URL": f"redis://%75ser:{PLANTED}%40@[::1]:6379/0?health_check_interval=5"},
    {"VAULT_TOKEN": "", "VAULT_ROLE_ID": "a-role", "VAULT_SECRET_ID": PLANTED, "VAULT_SECRET_ID_WRAPPED": "true"},
    {"HTTPS_PROXY": f"http://user:{PLANTED}@proxy.example:3128", "NO_PROXY": "localhost,.example,10.0.0.1,[::1]:80"},
    {"all_proxy": f"https://{PLANTED}@proxy.example", "no_proxy": "*", "VAULT_PROXY_ADDR": "http://proxy:1"},
    {"VAULT_NAMESPACE": "team/a", "VAULT_CACERT": _FILE, "VAULT_TLS_SERVER_NAME": "vault.example"},
    {"HOSTUP_API_KEY": "", "HOSTUP_API_KEY_FILE": _FILE, "ROTATOR_CONFIG": "config/rotator.toml"},
)
_ODD = (
    "redis://", "redis://:@", "redis://[", "redis://[::1", "redis://h:99999/0", "redis://h:0x1/0",
    "redis://h/9" + "9" * 40,
    "redis://h/0?db=x", "redis://h/0?socket_timeout=nan", "redis://h/0?ssl_cert_reqs=none", "redis://h/٣", "redis://h/²",
    "redis://h:٣/0", "redis://h/0?protocol=99", "redis://h/0?retry_on_timeout=maybe", "redis://h/0?connection_class=x",
    "rediss://h/0?ssl_cert_reqs=required&ssl_cert_reqs=none", "unix://", "unix://?db=x",
    "unix://h/p?virtual_host=%2f", "redis+socket:///x", "http://user:pw@h:1",
    "http://[::ffff:1.2.3.4%25eth0]:1", "http://h:", "http://h:-1", "//",
    "http://h:1/path", "http://﹣", "https://xn--" + "a" * 80, "http://h\u3002example", "[", "]", "[::1", "*",
    ",,", ".", "http://[v1.x]", "all://[", "http://[::1]:٣", "http://h:99999999999",
)  # fmt: skip


def _seeds() -> Sequence[bytes]:
    return [json.dumps({**_BASE, **more}).encode() for more in _MORE]


def _mutate(data: bytes, draw: random.Random) -> bytes:
    return mutated_json(data.decode("utf-8", "replace"), draw, _ODD).encode("utf-8", "replace")


def _environment(data: bytes) -> dict[str, str] | None:
    """What the system could hand over: texts without NUL, of bytes that need not be UTF-8."""
    if len(data) > LARGEST:
        return None
    try:
        found = json.loads(data)
        texts = {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
        return {os.fsdecode(os.fsencode(name)): os.fsdecode(os.fsencode(value)) for name, value in texts.items()}
    except (ValueError, RecursionError):
        return None


def _is_placed(name: str, value: str) -> bool:
    """Whether the secret stands in a value only where that kind of value has one."""
    if name.lower() in _ADDRESSES:
        return PLANTED not in _LOGIN.sub("", value)
    return PLANTED not in name and (PLANTED not in value or name in _FOR_SECRETS)


def _run(data: bytes) -> Iterator[str]:
    environment = _environment(data)
    if environment is None or any("\0" in text for text in (*environment, *environment.values())):
        return
    # a file that an input names may be anything: a pipe or a device that never ends is the person's own
    named = {name: value for name, value in environment.items() if not value.startswith(("/dev", "/proc", "/sys"))}
    misplaced = any(not _is_placed(name, value) for name, value in named.items())
    for text in seen(lambda: _used(load(_SHIPPED, named))):
        # a secret that is set as something else cannot be told from it
        yield text.replace(PLANTED, "") if misplaced else text


def _used(settings: Settings) -> object:
    """What a worker does with settings that were accepted, up to its first connection."""
    ways = [str(settings.proxies.to(url)) for url in ("https://a.example", "http://10.0.0.1:80/x", "https://[::1]:1")]
    return ways, settings.vault, settings.hostup, len(settings.secrets())


PART = Part("environment", _seeds, _mutate, _run, share=2000, secrets=(PLANTED,))
