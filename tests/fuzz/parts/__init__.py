"""What is fuzzed, a module for each part with its honest values; a process imports only those that it needs."""

from __future__ import annotations

import importlib

from tests.fuzz.part import Part

NAMES = (
    "messages",
    "hostup",
    "salvaged",
    "api_key",
    "vault",
    "storage",
    "records",
    "redis",
    "configuration",
    "environment",
    "redis_url",
    "logs",
    "webhook",
    "apps",
    "proof",
)


def part_named(name: str) -> Part:
    """A part; also ``faulty``, which is none of the product's: the fuzz itself is tried on it."""
    found: Part = importlib.import_module(f"{__name__}.{name}").PART
    return found
