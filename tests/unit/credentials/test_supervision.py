"""When a program is told, stopped and started anew after a rotation; and when it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from signal import Signals

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.credentials.keys import AppKey
from worker.credentials.supervision import (
    End,
    Policy,
    Send,
    Start,
    State,
    on_break,
    on_exit,
    on_key,
    on_signal,
    on_time,
    seconds_left,
)
from worker.secret import Secret

OLD, NEW = (AppKey(f"AK{number}", Secret(f"SK{number}"), number) for number in (1, 2))
RUNNING = State(OLD, OLD)
POLICY = Policy(kill_after=30, jitter=60, who="a")
AT_ONCE = Policy(kill_after=30, jitter=0)
STOPPING = State(OLD, NEW, kill_at=130.0)
TERM, KILL = Send(Signals.SIGTERM), Send(Signals.SIGKILL)


def test_after_a_rotation_it_is_stopped_killed_in_time_and_started_with_the_new_key() -> None:
    state, step = on_key(RUNNING, NEW, 100.0, AT_ONCE)
    assert step is None
    state, step = on_time(state, 100.0, AT_ONCE)
    assert (state, step) == (STOPPING, TERM)
    assert on_time(state, 129.9, AT_ONCE) == (state, None)
    assert on_time(state, 130.0, AT_ONCE)[1] == KILL
    assert on_exit(state, 143, 120.0) == (State(NEW, NEW), Start(NEW))


def test_a_key_that_comes_while_it_ends_is_the_one_it_is_started_with() -> None:
    newest = replace(NEW, access_key="AK3")
    state, _ = on_key(STOPPING, newest, 110.0, AT_ONCE)
    assert on_exit(state, 0, 111.0)[1] == Start(newest)


def test_the_same_key_in_another_version_changes_nothing() -> None:
    assert on_key(RUNNING, replace(OLD, version=9), 100.0, AT_ONCE)[1] is None
    assert on_time(on_key(RUNNING, replace(OLD, version=9), 100.0, AT_ONCE)[0], 999.0, AT_ONCE)[1] is None


def test_a_key_that_comes_while_it_ends_is_no_reason_to_look_before_it_is_killed() -> None:
    """Else nothing would be slept until then."""
    state, _ = on_key(STOPPING, replace(NEW, access_key="AK3"), 110.0, AT_ONCE)
    assert seconds_left(state, 115.0) == 15.0


@pytest.mark.parametrize("number", [Signals.SIGTERM, Signals.SIGINT, Signals.SIGQUIT])
def test_who_was_told_to_end_is_not_started_again(number: Signals) -> None:
    state, step = on_signal(STOPPING, number, 110.0, POLICY, passed_on=False)
    assert step == Send(number)
    assert on_exit(state, 143, 111.0) == (state, End(143))
    waiting, _ = on_signal(State(OLD, NEW, restart_at=5.0), number, 4.0, POLICY, passed_on=False)
    assert on_time(waiting, 6.0, POLICY) == (waiting, None)


def test_who_takes_hours_for_its_end_is_left_alone_and_costs_nothing() -> None:
    state, _ = on_signal(State(OLD, NEW, restart_at=5.0), Signals.SIGTERM, 4.0, POLICY, passed_on=False)
    assert on_time(state, 99_999.0, POLICY) == (state, None)
    assert seconds_left(state, 6.0) is None
    after, _ = on_key(state, replace(NEW, access_key="AK3"), 10.0, AT_ONCE)
    assert (on_time(after, 99_999.0, POLICY)[1], seconds_left(after, 99_999.0)) == (None, None)
    assert on_exit(after, 0, 99_999.0)[1] == End(0)


@pytest.mark.parametrize("number", [Signals.SIGINT, Signals.SIGQUIT])
def test_who_lives_on_after_such_a_signal_is_followed_by_a_restart_all_the_same(number: Signals) -> None:
    state, _ = on_signal(RUNNING, number, 100.0, POLICY, passed_on=True)
    state, _ = on_key(state, NEW, 101.0, AT_ONCE)
    assert seconds_left(state, 110.0) == 20.0, "for as long as it is taken to end"
    assert on_time(state, 129.9, AT_ONCE)[1] is None
    state, step = on_time(state, 130.0, AT_ONCE)
    assert step == TERM
    assert on_exit(state, 143, 131.0)[1] == Start(NEW)


def test_a_later_signal_of_that_kind_takes_back_no_sigterm() -> None:
    state, _ = on_signal(RUNNING, Signals.SIGTERM, 100.0, POLICY, passed_on=False)
    state, _ = on_signal(state, Signals.SIGQUIT, 101.0, POLICY, passed_on=False)
    state, _ = on_key(state, NEW, 102.0, AT_ONCE)
    assert on_time(state, 999.0, AT_ONCE)[1] is None


def test_a_signal_that_the_terminal_sent_to_both_is_not_sent_twice() -> None:
    state, step = on_signal(RUNNING, Signals.SIGINT, 100.0, POLICY, passed_on=True)
    assert (step, state.ends_until) == (None, 130.0)


@pytest.mark.parametrize("number", [Signals.SIGUSR1, Signals.SIGALRM, Signals.SIGCONT, Signals.SIGRTMIN + 5])
def test_other_signals_are_passed_on_and_end_nothing(number: int) -> None:
    assert on_signal(RUNNING, number, 100.0, POLICY, passed_on=False) == (RUNNING, Send(number))


def test_where_nobody_looks_for_keys_any_more_it_is_ended_and_not_started_again() -> None:
    state, step = on_break(RUNNING, 100.0, POLICY)
    assert step == TERM
    assert on_time(state, 130.0, POLICY)[1] == KILL
    assert on_exit(state, 0, 131.0)[1] == End(0)


def test_a_program_that_ends_by_itself_is_not_started_again() -> None:
    assert on_exit(RUNNING, 3, 1.0)[1] == End(3)
    assert on_exit(State(OLD, NEW, restart_at=5.0), 3, 6.0)[1] == End(3)


_EVENTS = st.sampled_from(["key", "same key", "time", Signals.SIGTERM, Signals.SIGINT, Signals.SIGQUIT, "break"])


@given(st.lists(st.tuples(_EVENTS, st.floats(0, 100)), max_size=12))
def test_whatever_happens_it_sleeps_until_there_is_something_to_do(events: list[tuple[str | Signals, float]]) -> None:
    """Right after a look at the time there is nothing to do, or a signal was sent: else it would never sleep."""
    state, now = RUNNING, 0.0
    for number, (event, passed) in enumerate(events):
        now += passed
        if isinstance(event, Signals):
            state, _ = on_signal(state, event, now, POLICY, passed_on=False)
        elif event == "break":
            state, _ = on_break(state, now, POLICY)
        elif event != "time":
            state, _ = on_key(
                state, OLD if event == "same key" else replace(NEW, access_key=f"AK{number}"), now, POLICY
            )
        state, step = on_time(state, now, POLICY)
        left = seconds_left(state, now)
        assert step or left is None or left > 0


def test_a_signal_in_the_place_of_a_restart() -> None:
    policy = Policy("signal", Signals.SIGUSR2)
    state, step = on_key(RUNNING, NEW, 1.0, policy)
    assert (state, step) == (State(NEW, NEW), Send(Signals.SIGUSR2))
    assert on_key(state, NEW, 2.0, policy)[1] is None


def test_nothing_in_the_place_of_a_restart() -> None:
    state, step = on_key(RUNNING, NEW, 1.0, Policy("nothing"))
    assert (step, seconds_left(state, 1.0)) == (None, None)


@given(st.integers(1, 400 * 86400), st.floats(0, 86400), st.text(max_size=20))
def test_a_restart_waits_for_jitter_and_for_a_quarter_of_grace_at_most(grace: int, jitter: float, who: str) -> None:
    key = replace(NEW, grace=timedelta(seconds=grace))
    policy = Policy(jitter=jitter, who=who)
    state, _ = on_key(RUNNING, key, 100.0, policy)
    assert state.restart_at is not None
    assert 100.0 <= state.restart_at <= 100.0 + min(jitter, grace / 4)
    assert on_key(RUNNING, key, 100.0, policy)[0] == state, "worked out again it is the same"
    assert on_key(state, replace(key, version=3), 105.0, policy)[0].restart_at == state.restart_at


def test_a_fleet_does_not_restart_at_once() -> None:
    moments = {on_key(RUNNING, NEW, 0.0, replace(POLICY, who=f"host-{n}"))[0].restart_at for n in range(50)}
    assert len(moments) == 50
