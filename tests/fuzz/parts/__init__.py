"""What is fuzzed, a module for each part with its honest values; a process imports only those that it needs."""

from __future__ import annotations

import importlib

from tests.fuzz.part import Part

NAMES = ("hostup", "vault", "storage", "records", "configuration", "environment", "redis_url", "logs")

AWAITED = {"redis_url": "one reading of REDIS_URL for Celery and redis-py"}
"""What has to be mended before a part takes its share in `make test`; ``make fuzz`` takes it all the same."""


def part_named(name: str) -> Part:
    """A part; also ``faulty``, which is none of the product's: the fuzz itself is tried on it."""
    found: Part = importlib.import_module(f"{__name__}.{name}").PART
    return found
