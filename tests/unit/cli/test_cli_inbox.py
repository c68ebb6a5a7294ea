"""What waits for a person, of all that an audit finds; and the picture that `top` shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from tests.records import DAY, MINUTE, NOW, create, current, empty, request, retiring
from tests.worlds import MEDIA, TARGET, Small, TwoAccounts
from worker.cli.inbox import Waiting, waiting_in
from worker.cli.top import screen
from worker.errors import (
    Conflict,
    CopyAway,
    CopyFailed,
    HostUpCall,
    HostUpKeyMissing,
    HostUpRefused,
    HostUpUncertain,
    HostUpUnreachable,
    RotatorError,
    VaultError,
)
from worker.rotation.audit import audit
from worker.rotation.changes.rotation import failed
from worker.rotation.changes.watch import HEALINGS_PER_DAY
from worker.rotation.decide import MOVES_PER_DAY
from worker.rotation.reconcile import accept, accept_message
from worker.rotation.record import Paused, Record, Trouble, TroubleKind
from worker.rotation.status import summary_of
from worker.targets.schedule import NEVER, Schedule


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


TROUBLE = Trouble(kind=TroubleKind.SECRET_LOST, access_key="AK1", since=NOW, what="it is lost", confirmed=True)
THREE = (NOW - MINUTE,) * HEALINGS_PER_DAY


@pytest.mark.parametrize("kind", [TroubleKind.SECRET_LOST, TroubleKind.KEY_REFUSED, TroubleKind.KEY_DENIED])
def test_what_mends_itself_waits_for_a_person_once_it_was_mended_too_often(kind: TroubleKind) -> None:
    lost = replace(WELL, trouble=replace(TROUBLE, kind=kind))
    assert waiting(lost) == []
    assert [each.command for each in waiting(replace(lost, healings=THREE))] == ["rotator rotate media --wait"]
    doubtful = replace(lost, trouble=replace(TROUBLE, kind=kind, confirmed=False), healings=THREE)
    assert waiting(doubtful) == [], "a second look comes first"


@pytest.mark.parametrize(("copy", "path"), [("apps/media-copy", "apps/media-copy"), ("eu:apps/o-s", "apps/o-s")])
def test_what_was_written_over_a_copy_is_not_adopted_but_deleted_there(copy: str, path: str) -> None:
    overwritten = replace(TROUBLE, kind=TroubleKind.OVERWRITTEN, location=copy)
    conflict = failing(Conflict("somebody wrote", location=copy))
    for record in (replace(WELL, trouble=overwritten), conflict):
        assert [each.command for each in waiting(record)] == [f"vault kv delete -mount=MOUNT {path}"]


def denied(*, away: bool) -> RotatorError:
    why = VaultError("no")
    return CopyAway("eu:apps/o-s", why) if away else CopyFailed("eu:apps/o-s", why)


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (denied(away=False), True),
        (denied(away=True), False),
        (HostUpKeyMissing("no API key", HostUpCall("create_key")), True),
        (HostUpUnreachable("no connection", HostUpCall("create_key")), False),
    ],
    ids=["a copy's rights", "a copy is away", "no API key", "HostUp is away"],
)
def test_what_goes_on_by_itself_and_what_does_not(error: RotatorError, waits: bool) -> None:  # noqa: FBT001 - expected
    assert [each.command for each in waiting(failing(error))] == ["rotator rotate media --now-anyway"] * waits


def test_a_target_that_nobody_has_asked_a_first_key_for() -> None:
    small = Small()
    small.targets = {TARGET.name: replace(TARGET, schedule=Schedule(every=NEVER))}

    def commands() -> list[str]:
        return [each.command for each in waiting_in(audit(small.services, small.targets, MINUTE))]

    assert commands() == ["rotator rotate media"]
    accept(small.services, small.targets[TARGET.name], request(at=small.clock.now()))
    assert commands() == [], "somebody has"


def test_a_key_on_an_account_that_is_gone() -> None:
    world = TwoAccounts()
    moved = replace(TARGET, account=MEDIA)
    world.look(moved)
    world.without(MEDIA)
    found = list(waiting_in(audit(world.services, {TARGET.name: moved}, MINUTE)))
    assert "rotator status media" in [each.command for each in found if "account media" in each.what]


def test_a_target_that_has_changed_its_account_too_often() -> None:
    world = TwoAccounts()
    world.look()
    world.alter(moves=(world.clock.now(),) * MOVES_PER_DAY)
    found = list(waiting_in(audit(world.services, {TARGET.name: replace(TARGET, account=MEDIA)}, MINUTE)))
    assert [each.command for each in found if each.kind == "moved"] == ["rotator rotate media"]


def test_the_note_of_foreign_keys_was_deleted() -> None:
    small = Small()
    small.look()
    audit(small.services, small.targets, MINUTE)
    small.vault.versions[small.store.account_path()].append(None)
    found = list(waiting_in(audit(small.services, small.targets, MINUTE)))
    assert [(each.target, each.command) for each in found] == [(None, "rotator settle --foreign N")]


def leak_said(small: Small) -> list[Waiting]:
    found = waiting_in(audit(small.services, small.targets, MINUTE))
    return [each for each in found if each.kind == "leak said"]


def test_a_message_that_says_a_leak_waits_for_a_person_until_its_keys_are_gone() -> None:
    small = Small()
    small.hostup.living["BY-HAND"] = ""
    small.look()
    small.passes(minutes=1)
    accept_message(small.services, TARGET, request(at=small.clock.now()), 4, "message x", leak_said=True)
    (said,) = leak_said(small)
    assert (said.command, "AK1" in said.what) == ("rotator rotate media --leaked", True)
    small.passes(minutes=1)
    small.look()
    (said,) = leak_said(small)
    assert ("AK1" in said.what, "AK2" in said.what) == (True, False), "the new one was made since"
    small.passes(days=1, minutes=1)
    small.look()
    assert leak_said(small) == []


def test_a_person_who_believes_it_settles_it() -> None:
    small = Small()
    small.hostup.living["BY-HAND"] = ""
    small.look()
    small.passes(minutes=1)
    accept_message(small.services, TARGET, request("one", small.clock.now()), 4, "message x", leak_said=True)
    accept(small.services, TARGET, replace(request("two", small.clock.now()), leaked=True), "alice")
    assert leak_said(small) == []
    small.look()
    assert leak_said(small) == []
    assert small.hostup.living.keys() == {"BY-HAND", "AK2"}


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
