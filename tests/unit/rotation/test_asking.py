"""Messages may ask for so many rotations of a target, and for none that takes the last places for retiring keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.records import MINUTE, NOW, empty, request, retiring, rotation
from worker.errors import RequestLimited
from worker.rotation.changes.asking import HOUR, asked_by_message
from worker.rotation.changes.rotation import requested
from worker.rotation.record import Phase, Record

PER_HOUR = 3


def served(known: Record) -> Record:
    """The same after a rotation that served all requests."""
    return replace(known, requests=(), served=tuple((each.id, "a-rotation") for each in known.requests))


def after_messages(count: int, every: timedelta = MINUTE) -> Record:
    """A record after so many messages, each of which was served."""
    known = empty()
    for number in range(count):
        known = served(asked_by_message(known, request(f"r{number}", NOW + number * every), PER_HOUR))
    return known


def test_the_fourth_message_within_an_hour_is_refused_and_told_until_when() -> None:
    known = after_messages(PER_HOUR)
    with pytest.raises(RequestLimited) as caught:
        asked_by_message(known, request("late", NOW + 10 * MINUTE), PER_HOUR)
    assert caught.value.next_at == NOW + HOUR
    assert (NOW + HOUR).isoformat() in caught.value.hint
    assert asked_by_message(known, request("later", NOW + HOUR), PER_HOUR).requests


def test_an_hour_later_nothing_is_left_of_it() -> None:
    known = after_messages(PER_HOUR)
    again = asked_by_message(known, request("later", NOW + 2 * HOUR), PER_HOUR)
    assert again.asked == (NOW + 2 * HOUR,)


def test_a_message_that_comes_again_is_not_counted() -> None:
    known = after_messages(PER_HOUR)
    assert asked_by_message(known, request("r2", NOW + 5 * MINUTE), PER_HOUR) == known


@pytest.mark.parametrize("phase", [None, Phase.CREATING, Phase.STAGED, Phase.VERIFIED])
def test_what_joins_makes_no_key_and_is_not_counted(phase: Phase | None) -> None:
    """A request that waits already, whoever asked, or a rotation under way serves it, too."""
    known = after_messages(PER_HOUR)
    known = replace(known, rotation=rotation(phase)) if phase else requested(known, request("a-person", NOW))
    joined = asked_by_message(known, request("late", NOW + 10 * MINUTE), PER_HOUR)
    assert [each.id for each in joined.requests][-1] == "late"
    assert joined.asked == known.asked


def test_a_person_is_not_limited() -> None:
    assert requested(after_messages(PER_HOUR), request("a-person", NOW + 5 * MINUTE)).requests


def test_messages_leave_half_of_the_places_for_retiring_keys() -> None:
    """19 forced rotations filled them, and a key that really had leaked could not be replaced."""
    keys = tuple(replace(retiring(f"AK{number}"), retire_after=NOW + number * HOUR) for number in range(1, 11))
    with pytest.raises(RequestLimited) as caught:
        asked_by_message(replace(empty(), retiring=keys), request("r", NOW), PER_HOUR)
    assert caught.value.next_at == NOW + HOUR
    assert asked_by_message(replace(empty(), retiring=keys[1:]), request("r", NOW), PER_HOUR).requests


def test_a_clock_that_was_wrong_holds_nothing_up() -> None:
    known = replace(empty(), asked=(NOW + 100 * HOUR,) * PER_HOUR)
    assert asked_by_message(known, request("r", NOW), PER_HOUR).asked == (NOW,)
