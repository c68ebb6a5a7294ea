"""A file that is handed to ``rotator prove --check``: whatever was done to it, a changed proof holds no more."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache

from tests.fuzz.mutations import mutated_bytes, mutated_json
from tests.fuzz.part import Part
from tests.unit.cli.test_cli_proof import proof
from worker.cli.proof import accepted_breaks, check_proof, unlinked


class HoldsThoughChanged(Exception):
    """Somebody would be shown as true what nobody wrote."""


@cache
def _honest() -> tuple[str, ...]:
    return tuple(proof(key) for key in ("AK17", "AK18", "AK20"))


def _seeds() -> Sequence[bytes]:
    return [text.encode() for text in _honest()]


def _mutate(data: bytes, draw: random.Random) -> bytes:
    if draw.random() < 0.3:
        return mutated_bytes(data, draw)
    return mutated_json(data.decode("utf-8", "replace"), draw).encode("utf-8", "replace")


def _run(data: bytes) -> Iterator[str]:
    """Raises HoldsThoughChanged."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return  # as the command refuses it
    checked = check_proof(text)
    yield from checked.problems
    if checked.holds:
        if text not in _honest():
            raise HoldsThoughChanged(text[:2000])
        yield repr((accepted_breaks(checked.document), unlinked(checked.document)))


PART = Part("proof", _seeds, _mutate, _run, share=300)
