"""The calls that `plan` names are those of a rotation, as tests/integration/test_cost.py counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.integration.test_cost import RETIREMENT_CALLS, STORAGE_CALLS, VAULT_CALLS
from tests.records import DAY, MINUTE, NOW, create, current, empty, retiring
from tests.worlds import TARGET
from worker.cli.plan import Call, Places, calls_of, obstacles_of
from worker.errors import Conflict
from worker.rotation.changes.rotation import failed
from worker.rotation.decide import RETIRING_LIMIT
from worker.rotation.record import Paused, Record, Trouble, TroubleKind
from worker.targets.freeze import Freeze
from worker.targets.target import Target

FILMS = replace(TARGET, name="films", path="apps/films/object-storage")
PLACES = Places("secret", "hostup-rotator/state", "hostup-rotator/receipts")
WITH_KEY = replace(empty(), current=current())
DEAD = Trouble(kind=TroubleKind.KEY_REFUSED, access_key="AK0", since=NOW, what="it is refused", confirmed=True)


def counted(calls: Iterable[Call], service: str = "Vault") -> Counter[str]:
    """Those that are made each time."""
    return Counter(
        f"{call.method} {call.path}".removesuffix("=N")
        for call in calls
        if call.service == service and not call.only_if
    )


def test_the_calls_are_those_that_are_counted_until_the_key_before_is_dead() -> None:
    calls = list(calls_of(FILMS, PLACES, WITH_KEY))
    expected = Counter(VAULT_CALLS) + Counter(RETIREMENT_CALLS)
    assert counted(calls) == {name.format(target="films", key="KEY"): number for name, number in expected.items()}
    assert counted(calls, "HostUp") == {"POST /api/object-storage/keys": 1, "DELETE /api/object-storage/keys/KEY": 1}
    assert counted(calls, "storage") == {"GET /": STORAGE_CALLS}


def test_a_first_key_replaces_none() -> None:
    for record in (None, empty()):
        calls = list(calls_of(FILMS, PLACES, record))
        assert counted(calls) == {name.format(target="films", key="KEY"): n for name, n in VAULT_CALLS.items()}
        assert [call.method for call in calls if call.service == "HostUp" and not call.only_if] == ["POST"]


def test_a_key_that_died_is_proven_dead_and_not_deleted() -> None:
    calls = list(calls_of(FILMS, PLACES, replace(WITH_KEY, trouble=DEAD)))
    assert "DELETE" not in {call.method for call in calls}
    assert counted(calls, "storage") == {"GET /": STORAGE_CALLS}


def test_what_is_asked_only_sometimes_is_named_with_when() -> None:
    calls = list(calls_of(FILMS, PLACES, WITH_KEY))
    sometimes = [call for call in calls if call.only_if]
    assert counted(replace(call, only_if=None) for call in sometimes) == {
        "GET /v1/secret/data/apps/films/object-storage?version": 1
    }
    assert [call.path for call in sometimes if call.service == "HostUp"] == ["/api/object-storage"] * 3


def test_receipts_are_read_where_apps_words_keep_a_key() -> None:
    receipts = "GET /v1/secret/data/hostup-rotator/receipts/apps/films/object-storage"
    assert counted(calls_of(FILMS, PLACES, WITH_KEY))[receipts] == 0
    when_unused = replace(FILMS, retire_cap=timedelta(days=2))
    assert counted(calls_of(when_unused, PLACES, WITH_KEY))[receipts] == 1


PAUSE = Paused(at=NOW, by="alice", reason="moving", until=NOW + DAY)
FREEZE = Freeze(NOW - MINUTE, NOW + DAY, "Black Friday")
FULL = tuple(retiring(f"AK{number}", DAY) for number in range(10, 10 + RETIRING_LIMIT))
FAILED = failed(WITH_KEY, Conflict("somebody wrote", hint="Adopt it."), NOW, NOW + MINUTE, operation="begin")


@pytest.mark.parametrize(
    ("target", "record", "words"),
    [
        (replace(TARGET, path="apps/elsewhere"), WITH_KEY, ("was published at apps/media", "give the new path")),
        (
            TARGET,
            replace(WITH_KEY, unconfirmed_creates=(create(4),) * 3),
            ("unconfirmed creates", "rotator settle media"),
        ),
        (TARGET, replace(WITH_KEY, paused=PAUSE), ("the pause by alice", "rotator resume media")),
        (replace(TARGET, freezes=(FREEZE,)), WITH_KEY, ("Black Friday", "rotator rotate media")),
        (TARGET, replace(WITH_KEY, retiring=FULL), ("20 keys are retiring", "rotator status media")),
        (TARGET, replace(WITH_KEY, deletes_held=True), ("Vault was set back", "rotator settle media --restored")),
        (TARGET, FAILED, ("somebody wrote", "Adopt it. Tried again at 2026-11-24T12:01")),
    ],
    ids=["moved", "unconfirmed", "paused", "frozen", "full", "set back", "failing"],
)
def test_what_stands_in_the_way_is_named_with_what_to_do(
    target: Target, record: Record, words: tuple[str, str]
) -> None:
    (found,) = obstacles_of(target, record, NOW)
    assert found.target == "media"
    assert words[0] in found.what
    assert words[1] in found.hint


def test_what_is_over_or_to_come_stands_in_no_way() -> None:
    over = replace(PAUSE, at=NOW - DAY, until=NOW - MINUTE)
    to_come = Freeze(NOW + DAY, NOW + 2 * DAY, "Black Friday")
    assert list(obstacles_of(replace(TARGET, freezes=(to_come,)), replace(WITH_KEY, paused=over), NOW)) == []
