"""What the hostile writer of the chaos run does can be done at all: an act that Redis refuses would harm nobody."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pytest
import redis

from tests.chaos_run.hostile import Writer
from tests.chaos_run.world import World
from tests.worlds import TARGET
from worker.adapters.redis.client import connect
from worker.sandbox.servers import ValkeyServer


@dataclass(frozen=True)
class Place:
    """As much of a world as the writer looks at."""

    targets = (TARGET,)


WRITER = Writer(cast("World", Place()), random.Random(1))


@pytest.fixture
def client(valkey: ValkeyServer) -> Iterator[redis.Redis]:
    with connect(valkey.url) as opened:
        yield opened


def test_every_act_leaves_something_in_redis(client: redis.Redis) -> None:
    for name in WRITER.acts():
        for seed in range(5):
            client.flushall()
            Writer(WRITER.world, random.Random(seed)).acts()[name](client)
            assert client.dbsize() > 0, name
