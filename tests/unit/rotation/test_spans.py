"""What is told of a rotation and its steps to who draws them, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest

from tests.doubles import Gate
from tests.worlds import Small
from worker.errors import HostUpCall, HostUpRefused, HostUpUncertain, VaultUnavailable
from worker.rotation.steps.session import Pause, Session
from worker.rotation.steps.timing import timed
from worker.spans import ROTATION, Span

T = TypeVar("T")


@dataclass
class Drawn:
    """Keeps them."""

    spans: list[Span] = field(default_factory=list)

    def took(self, span: Span) -> None:
        self.spans.append(span)

    def outcomes(self) -> list[tuple[str, str]]:
        return [(span.name, span.outcome) for span in self.spans]


class _Fails(Gate):
    """Creates fail so."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        del lost
        if name == "hostup create":
            raise self.error
        return effect()


@pytest.fixture
def drawn() -> Drawn:
    return Drawn()


@pytest.fixture
def small(drawn: Drawn) -> Small:
    world = Small()
    world.hostup.create_key("of a stranger")
    world.services = replace(world.services, spans=drawn)
    return world


def test_a_rotation_and_its_steps_in_order_with_what_hostup_answered(small: Small, drawn: Drawn) -> None:
    small.look()
    assert drawn.outcomes() == [("begin", "done"), ("verify", "done"), (ROTATION, "succeeded"), ("publish", "done")]
    whole = next(span for span in drawn.spans if span.name == ROTATION)
    assert {span.rotation_id for span in drawn.spans} == {whole.rotation_id}
    assert (whole.target, whole.trigger, whole.request_ids) == ("media", "schedule", ("request-of-AK2",))
    assert drawn.spans[0].request_ids == ("request-of-AK2",)
    assert whole.began <= whole.ended


def test_the_end_of_a_key_belongs_to_the_rotation_that_made_it(small: Small, drawn: Drawn) -> None:
    small.look()
    first = drawn.spans[0].rotation_id
    small.passes(days=30)
    small.look()
    drawn.spans.clear()
    small.passes(days=1, minutes=1)
    small.look()
    assert drawn.outcomes() == [("delete", "done"), ("prove_dead", "done")]
    assert {span.rotation_id for span in drawn.spans} == {first}
    assert drawn.spans[0].request_ids == ("delete-of-AK2",)


def test_a_refusal_ends_the_rotation_as_failed(small: Small, drawn: Drawn) -> None:
    small.hostup.gate = _Fails(HostUpRefused("no", HostUpCall("create_key", 400)))
    small.look()
    assert drawn.outcomes() == [(ROTATION, "failed"), ("begin", "failed")]


def test_an_answer_that_is_lost_ends_it_as_unconfirmed(small: Small, drawn: Drawn) -> None:
    small.hostup.gate = _Fails(HostUpUncertain("lost", HostUpCall("create_key")))
    small.look()
    assert drawn.outcomes() == [(ROTATION, "unconfirmed"), ("begin", "failed")]


def test_nothing_that_is_told_is_a_key_or_a_secret(small: Small, drawn: Drawn) -> None:
    small.look()
    small.passes(days=30)
    small.look()
    small.passes(days=1, minutes=1)
    small.look()
    told = repr([replace(span, request_ids=()) for span in drawn.spans])
    assert [key for key in small.hostup.made if key in told or f"secret-of-{key}" in told] == []


def test_a_step_that_waits_and_one_that_is_interrupted_say_so(small: Small, drawn: Drawn) -> None:
    small.look()
    drawn.spans.clear()
    session = Session(small.services, small.targets["media"], small.store.open(small.targets["media"]))

    def interrupted() -> Pause | None:
        raise VaultUnavailable("sealed")

    assert timed(session, "verify", "r-1", lambda: Pause("verify", small.clock.now(), "later"))
    with pytest.raises(VaultUnavailable):
        timed(session, "publish", "r-1", interrupted)
    timed(session, "watch", None, lambda: None)
    assert drawn.outcomes() == [("verify", "postponed"), ("publish", "interrupted")]
