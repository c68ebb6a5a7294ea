"""The roll of the API key: whatever its calls come to, no key is lost but one whose answer was, and that is told.

Each call of the one who rolls goes well, fails before or after its effect, or is the last that its process makes; then
a healthy worker goes on. All by the real desk on doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles import Gate, Killed
from tests.keys import KeyWorld, come_to
from worker.errors import RotatorError
from worker.rotation.api_key.record import Phase

T = TypeVar("T")

FATES = ("well", "well", "well", "lost before", "lost after", "killed before", "killed after")
GOOD = Gate()


class Fated(Gate):
    """One call after the other goes as it is to go; ``lost`` notes the keys whose answer nobody got."""

    def __init__(self, fates: Sequence[str]) -> None:
        self._fates = list(fates)
        self.unheard = 0

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        fate = self._fates.pop(0) if self._fates else "well"
        if name in ("hostup roll", "hostup create key") and fate in ("lost after", "killed after"):
            self.unheard += 1
        return come_to(fate, effect, lost)


def play(world: KeyWorld, fates: Sequence[str]) -> Fated:
    """Some rolls and looks that go as they go, until the fates are used up; then a healthy worker."""
    fated = Fated(fates)
    world.vault.gate = world.hostup.gate = fated
    for number in range(4):
        with suppress(Killed, RotatorError):
            world.roll() if number % 2 == 0 else world.look()
        world.clock.time += timedelta(minutes=1)
    world.vault.gate = world.hostup.gate = GOOD
    return fated


@given(st.lists(st.sampled_from(FATES), max_size=40))
@settings(max_examples=400, deadline=None)
def test_no_key_is_lost_but_one_whose_answer_was_and_that_is_told(fates: list[str]) -> None:
    world = KeyWorld()
    fated = play(world, fates)
    record = world.rest()
    died_in_hand = "killed after" in fates or "killed before" in fates  # between the answer and Vault
    if not world.works:
        assert fated.unheard or died_in_hand
        assert record.phase is Phase.LOST
        assert "api_key.lost" in world.events()
    else:
        assert record.phase is Phase.IDLE


@given(st.lists(st.sampled_from([*FATES[:5]]), max_size=40))
@settings(max_examples=300, deadline=None)
def test_without_a_kill_only_a_lost_answer_loses_a_key(fates: list[str]) -> None:
    """A key that is in hand is written, come what may."""
    world = KeyWorld()
    fated = play(world, fates)
    world.rest()
    assert world.works or fated.unheard


@given(st.lists(st.sampled_from(FATES), max_size=40))
@settings(max_examples=300, deadline=None)
def test_with_a_bootstrap_key_it_comes_back_or_is_told(fates: list[str]) -> None:
    world = KeyWorld().with_bootstrap()
    play(world, fates)
    record = world.rest()
    assert world.works or record.phase is Phase.LOST
    if record.phase is Phase.LOST:
        assert record.tried_create


@given(st.lists(st.sampled_from(FATES), max_size=40))
@settings(max_examples=300, deadline=None)
def test_each_call_has_an_intent_of_its_own_on_record(fates: list[str]) -> None:
    world = KeyWorld().with_bootstrap()
    play(world, fates)
    world.rest()
    made = len(world.hostup.rolled) + len(world.hostup.created)
    assert world.events().count("api_key.rolling") >= made


@given(
    fates=st.lists(st.sampled_from(FATES), max_size=40),
    status=st.sampled_from((401, 403, 404, 410)),
    grace=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_a_loss_is_told_whatever_a_dead_key_is_answered_with_and_however_long_it_lived(
    *, fates: list[str], status: int, grace: bool
) -> None:
    world = KeyWorld()
    world.hostup.unknown, world.hostup.grace = status, grace
    play(world, fates)
    world.rest(timedelta(minutes=5))
    if grace:
        with suppress(RotatorError):
            world.roll()
    world.hostup.living = {key: key_id for key, key_id in world.hostup.living.items() if key_id}
    for _ in range(24):
        world.clock.time += timedelta(minutes=15)
        record = world.look()
    if world.works:
        assert record.phase is Phase.IDLE
    else:
        assert record.phase is Phase.LOST
        assert "api_key.lost" in world.events()
