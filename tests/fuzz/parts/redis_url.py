"""The address of Redis, as both of its readers take it: redis-py and, through Celery, kombu."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.fuzz.limits import seen
from tests.fuzz.mutations import mutated_bytes, mutated_text
from tests.fuzz.part import Part
from worker.adapters.redis.client import connect
from worker.secret import Secret
from worker.service.celery_app import make_app
from worker.settings.redis_url import redis_passwords, redis_problem

PLANTED = "planted-secret-of-the-fuzz"
_HONEST = (
    f"redis://:{PLANTED}@127.0.0.1:6379/0",
    f"rediss://worker:{PLANTED}@redis.example:6380/1?ssl_cert_reqs=required&ssl_ca_certs=/etc/ssl/ca.pem",
    f"unix:///run/redis.sock?db=3&password={PLANTED}",
    f"redis://%75ser:{PLANTED}%40@[::1]:6379/0",
    "redis://localhost",
    f"sentinel://:{PLANTED}@127.0.0.1:26379/0;sentinel://[::1]:26379?master_name=m&sentinel_password={PLANTED}",
)
_ODD = (
    "redis://h:99999/0", "redis://[::1", "redis://h:0x1/0", "redis://h/9" + "9" * 40, "redis://h/0?db=x",
    "redis://h/0?socket_timeout=nan", "redis://h/0?ssl_cert_reqs=none", "redis://h/\u0663", "redis://h/\u00b2",
    "redis://h:\u0663/0", "redis://h/0?protocol=99", "redis://h/0?health_check_interval=5", "redis://h/0?max_connections=x",
    "rediss://h/0?ssl_cert_reqs=required&ssl_cert_reqs=none", "unix://?db=x", "unix://h/p?virtual_host=%2f", "redis://h;redis://i",
)  # fmt: skip


def _seeds() -> Sequence[bytes]:
    return [url.encode() for url in _HONEST]


def _mutate(data: bytes, draw: random.Random) -> bytes:
    how = draw.randrange(5)
    if how == 0:
        return draw.choice(_ODD).encode()
    if how == 1:
        other = draw.choice((*_ODD, *_HONEST)).partition("?")[2]
        return data + (b"&" if b"?" in data else b"?") + other.encode()
    if how == 2:
        return mutated_text(data.decode("utf-8", "replace"), draw).encode("utf-8", "replace")
    return mutated_bytes(data, draw)


def _run(data: bytes) -> Iterator[str]:
    try:
        url = Secret(data.decode("utf-8"))
    except UnicodeDecodeError:
        return
    problem = redis_problem(url)
    yield from [problem] if problem else seen(lambda: _asked(url))


def _asked(url: Secret) -> object:
    """What is done with an address that was accepted, up to the first connection."""
    connect(url).close()
    make_app(url).connection_for_write().close()
    return redis_passwords(url)


PART = Part("redis_url", _seeds, _mutate, _run, share=2500, secrets=(PLANTED,))
