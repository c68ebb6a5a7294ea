"""One account's looks never take the thread that is kept for another."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from worker.service.background import Background
from worker.service.bulkhead import Bulkhead
from worker.service.share import watching_threads


def taken(bulkhead: Bulkhead, account: str, threads: int, stack: ExitStack, wanted: int = 100) -> int:
    """How many places there are for an account, as long as none is given back."""
    return sum(stack.enter_context(bulkhead.place(account, threads)) for _ in range(wanted))


@pytest.mark.parametrize(("accounts", "threads"), [(2, 2), (2, 8), (3, 8), (5, 8), (8, 8)])
def test_one_account_has_all_threads_but_one_for_each_other(accounts: int, threads: int) -> None:
    names = tuple(f"a{number}" for number in range(accounts))
    bulkhead = Bulkhead(names)
    with ExitStack() as stack:
        assert taken(bulkhead, "a0", threads, stack) == threads - (accounts - 1)
        assert bulkhead.full(threads) == {"a0"}
        for name in names[1:]:
            assert taken(bulkhead, name, threads, stack) == 1, "also where all before take what they can"
    assert bulkhead.full(threads) == frozenset()


def test_each_account_has_one_place_at_least() -> None:
    bulkhead = Bulkhead(("a", "b", "c"))
    with ExitStack() as stack:
        assert [taken(bulkhead, name, 1, stack) for name in "abc"] == [1, 1, 1]


def test_with_one_account_nobody_is_turned_away() -> None:
    with ExitStack() as stack:
        assert taken(Bulkhead(), "default", 2, stack) == 100


def test_threads_that_are_lent_count_as_the_others_and_leave_one_for_their_own() -> None:
    bulkhead = Bulkhead(("old", "new"))
    with ExitStack() as stack:
        assert (taken(bulkhead, "new", 3, stack), taken(bulkhead, "old", 3, stack)) == (2, 1)
        with bulkhead.lent("new", "old", 3) as lent:
            assert lent.free
            with bulkhead.lent("new", "old", 3) as second:
                assert not second.free
            assert second.back
        assert lent.back
    with bulkhead.place("new", 2) as one, bulkhead.place("old", 2) as two:
        assert (one, two) == (True, True), "all were given back"


def test_a_thread_that_comes_back_learns_that_another_one_took_its_place() -> None:
    bulkhead = Bulkhead(("old", "new"))
    with ExitStack() as stack:
        assert taken(bulkhead, "new", 2, stack) == 1
        with bulkhead.lent("new", "old", 2) as lent:
            assert taken(bulkhead, "old", 2, stack) == 0, "it is the one of the old account"
            assert taken(bulkhead, "new", 2, stack) == 1
        assert not lent.back
        assert bulkhead.full(2) == {"new"}


def test_a_thread_comes_back_to_its_account_where_nobody_took_its_place() -> None:
    bulkhead = Bulkhead(("old", "new"))
    with pytest.raises(ValueError, match="broken"), bulkhead.place("new", 2), bulkhead.lent("new", "old", 2) as lent:
        raise ValueError("broken")
    assert lent.back
    with ExitStack() as stack:
        assert taken(bulkhead, "new", 2, stack) == 1


def test_however_many_are_lent_each_account_has_a_thread_of_its_own() -> None:
    """A silent old account is given no thread that another one's first look needs."""
    bulkhead = Bulkhead(("old", "new", "third"))
    with ExitStack() as stack:
        assert taken(bulkhead, "new", 8, stack) == 6
        assert all(stack.enter_context(bulkhead.lent("new", "old", 8)).free for _ in range(6))
        assert taken(bulkhead, "old", 8, stack) == 0
        assert (taken(bulkhead, "new", 8, stack), taken(bulkhead, "third", 8, stack)) == (1, 1)


def test_a_place_is_given_back_whatever_happens() -> None:
    bulkhead = Bulkhead(("a", "b"))
    with pytest.raises(ValueError, match="broken"), bulkhead.place("a", 2):
        raise ValueError("broken")
    with bulkhead.place("a", 2) as free:
        assert free


@pytest.mark.parametrize(
    ("threads", "accounts", "expected"), [(8, 1, 2), (8, 2, 2), (8, 4, 4), (2, 2, 1), (1, 1, 1), (4, 3, 3)]
)
def test_each_account_may_watch_and_one_thread_is_left(threads: int, accounts: int, expected: int) -> None:
    assert watching_threads(threads, accounts) == expected


def test_work_in_the_background_is_done_once_at_a_time_and_once_more_for_who_asks_meanwhile() -> None:
    begun, go = threading.Semaphore(0), threading.Semaphore(0)
    running: list[int] = []
    most: list[int] = []

    def work() -> None:
        running.append(1)
        most.append(len(running))
        begun.release()
        assert go.acquire(timeout=30)
        running.pop()

    background = Background("test", work)
    background.ask()
    assert begun.acquire(timeout=30)
    for _ in range(5):
        background.ask()
    go.release()
    assert begun.acquire(timeout=30), "once more, as somebody asked meanwhile"
    go.release()
    assert not begun.acquire(timeout=0.2), "and no more than that"
    background.ask()
    assert begun.acquire(timeout=30)
    go.release()
    background.finish(30)
    assert most == [1, 1, 1]
    background.ask()
    assert not begun.acquire(timeout=0.2), "the process ends"
