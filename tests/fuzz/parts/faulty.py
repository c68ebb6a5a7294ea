"""Code with every fault that the fuzz is there to find: each is asked for by name. For the tests of the fuzz itself."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn

from tests.fuzz.limits import seen
from tests.fuzz.mutations import mutated_bytes
from tests.fuzz.part import Part
from worker.errors import RotatorError

SECRET = "planted-secret-of-the-faulty"
_SEEDS = (b"well", b"well again")


class _Speechless(RotatorError):
    def __str__(self) -> str:
        return "a line\nand another"


def _crash() -> object:
    raise KeyError(SECRET[:3])


def _hang() -> NoReturn:
    while True:
        pass


def _unreadable() -> object:
    raise _Speechless("a line")


def _silent() -> object:
    raise RotatorError("?!")


def _little() -> object:
    time.sleep(0.01)
    return bytearray(1_000_000)[:1]


def _with_context() -> object:
    try:
        int(SECRET)
    except ValueError:
        raise RotatorError("it hides another") from None
    return ""


def _well() -> object:
    raise RotatorError("an error of ours is no fault", hint="None.")


_FAULTS: Mapping[bytes, Callable[[], object]] = {
    b"crash": _crash,
    b"hang": _hang,
    b"hang in C": lambda: 3 ** (3**25),
    b"memory": lambda: len(bytearray(b"x") * 80_000_000),
    b"secret": lambda: f"before {SECRET} behind",
    b"secret in the context": _with_context,
    b"unreadable": _unreadable,
    b"silent": _silent,
    b"little": _little,
}


def _run(data: bytes) -> Iterator[str]:
    return seen(_FAULTS.get(data, _well))


def _mutate(data: bytes, draw: random.Random) -> bytes:
    return b"crash" if draw.random() < 0.05 else mutated_bytes(data, draw)


def _seeds() -> Sequence[bytes]:
    return _SEEDS


PART = Part("faulty", _seeds, _mutate, _run, share=0, secrets=(SECRET,))
