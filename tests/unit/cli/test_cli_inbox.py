"""What waits for a person, of all that an audit finds; and the picture that `top` shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from tests.records import DAY, MINUTE, NOW, create, current, empty, retiring
from tests.worlds import TARGET, Small
from worker.cli.inbox import Waiting, waiting_in
from worker.cli.top import screen
from worker.errors import Conflict, HostUpCall, HostUpRefused, HostUpUncertain, RotatorError
from worker.rotation.audit import audit
from worker.rotation.changes.rotation import failed
from worker.rotation.record import Paused, Record, Trouble, TroubleKind
from worker.rotation.status import summary_of


def waiting(record: Record, targets: bool = True) -> list[Waiting]:  # noqa: FBT001, FBT002 - whether it is configured
    small = Small()
    small.look()
    small.hostup.living |= dict.fromkeys(record.keys_on_record(), "on record")
    small.put(replace(record, current=record.current and replace(record.current, access_key="AK1")))
    found = audit(small.services, small.targets if targets else {}, MINUTE)
    return list(waiting_in(found))


WELL = replace(empty(), current=current())


def failing(error: RotatorError) -> Record:
    return failed(WELL, error, NOW, NOW + MINUTE, operation="begin")


@pytest.mark.parametrize(
    ("record", "command"),
    [
        (replace(WELL, deletes_held=True), "rotator settle media --restored"),
        (failing(Conflict("somebody wrote")), "rotator adopt media --access-key KEY"),
        (failing(HostUpRefused("no", HostUpCall("create_key", 400))), "rotator rotate media --now-anyway"),
        (
            replace(
                WELL,
                trouble=Trouble(
                    kind=TroubleKind.OVERWRITTEN, access_key="AK1", since=NOW, what="overwritten", confirmed=True
                ),
            ),
            "rotator adopt media --access-key KEY",
        ),
        (
            replace(WELL, unconfirmed_creates=(create(4),)),
            "rotator settle media rotation-7 --revoke ACCESS_KEY",
        ),
    ],
    ids=["set back", "conflict", "refused", "overwritten", "unconfirmed"],
)
def test_what_only_a_person_settles_is_there_with_its_command(record: Record, command: str) -> None:
    assert command in [each.command for each in waiting(record)]


@pytest.mark.parametrize("until", [None, NOW + MINUTE])
def test_a_pause_is_there_with_all_that_is_known_of_it(until: datetime | None) -> None:
    pause = Paused(at=NOW - MINUTE, by="alice", reason="moving", until=until)
    (found,) = waiting(replace(WELL, paused=pause))
    assert (found.kind, found.command) == ("paused", "rotator resume media")
    assert found.what.startswith("no new key is made: the pause by alice since 2026-")
    assert "(moving)" in found.what
    assert (" until 2026-" in found.what) is (until is not None)


def test_a_pause_that_is_over_is_not() -> None:
    assert waiting(replace(WELL, paused=Paused(at=NOW - DAY, by="alice", reason="", until=NOW - MINUTE))) == []


def test_a_target_that_left_the_configuration_waits_for_its_end() -> None:
    assert "rotator remove media" in [each.command for each in waiting(WELL, targets=False)]


@pytest.mark.parametrize(
    "record",
    [WELL, failing(HostUpUncertain("no answer", HostUpCall("create_key", 500)))],
    ids=["well", "tried again by itself"],
)
def test_what_goes_on_by_itself_is_not(record: Record) -> None:
    assert waiting(record) == []


def test_the_picture_has_each_target_where_it_belongs() -> None:
    troubled = failing(Conflict("somebody wrote"))
    troubled = replace(troubled, retiring=(retiring("AK9", MINUTE),))
    shown = screen([summary_of(troubled, TARGET, NOW)], NOW)
    assert shown.trouble == (("media", "somebody wrote", "0 s ago"),)
    assert shown.old_keys == (("media", "AK9 waiting", "in 1 min"),)
    assert [row[0] for row in shown.next] == ["media"]
    assert shown.under_way == ()
