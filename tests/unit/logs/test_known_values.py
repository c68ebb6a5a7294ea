from __future__ import annotations

import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.logs.known_values import KnownValues

values = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)
quick = settings(deadline=None, max_examples=200)


@quick
@given(values, st.text(max_size=20), st.text(max_size=20))
def test_a_value_is_found_wherever_it_begins(value: str, before: str, after: str) -> None:
    known = KnownValues()
    known.add(value)
    assert known.may_be_in(before + value + after)
    assert value not in known.replaced(before + value + after, "*")


@quick
@given(st.lists(values, min_size=1, max_size=6), st.data())
def test_what_was_removed_is_not_looked_for_and_what_was_not_still_is(several: list[str], data: st.DataObject) -> None:
    known = KnownValues()
    for value in several:
        known.add(value)
    gone = data.draw(st.integers(0, len(several)))
    for value in several[:gone]:
        known.remove(value)
    assert all(known.may_be_in(value) for value in several[gone:])
    if gone == len(several):
        assert not any(known.may_be_in(value) for value in several)
        assert all(known.replaced(value, "*") == value for value in several)


def test_a_value_that_was_added_twice_stays_until_it_is_removed_twice() -> None:
    for value in ("an-eight", "one-that-is-longer-than-15"):
        known = KnownValues()
        known.add(value)
        known.add(value)
        known.remove(value)
        assert known.may_be_in(value)
        known.remove(value)
        assert not known.may_be_in(value)


def test_an_ordinary_line_is_not_looked_at_closer() -> None:
    known = KnownValues()
    for number in range(300):
        known.add(f"secret-number-{number:05}")
    assert not known.may_be_in("key.created media-uploads 8f0f4be2-3c3b-4f56-9d21-3f4bbf1b5f51 AKIAEXAMPLE12345")


def test_looking_goes_on_while_values_come_and_go() -> None:
    known = KnownValues()
    known.add("the-one-that-stays")
    done = threading.Event()

    def change() -> None:
        for number in range(2000):
            known.add(f"short-{number % 10}-")
            known.add(f"a-longer-value-{number}")
            known.remove(f"short-{number % 10}-")
            known.remove(f"a-longer-value-{number}")
        done.set()

    thread = threading.Thread(target=change)
    thread.start()
    while not done.is_set():
        assert known.may_be_in("it is the-one-that-stays, still")
    thread.join()
