"""A target that was removed from the configuration is ended by a person, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import pytest

from tests.doubles import Gate, Killed
from tests.records import NOW, create, current, empty, request, retiring, rotation, staged
from tests.worlds import SLACK, TARGET, Small
from worker.errors import Conflict, TryAgainLater, UsageError
from worker.events import Event
from worker.rotation.audit import audit
from worker.rotation.changes.removal import PREVIOUS_WORKS_FOR, Ending, ended, read_by_apps
from worker.rotation.copy_access import published_of
from worker.rotation.leftover import leftover, retire_leftover, retire_leftovers
from worker.rotation.record import Phase, Record, Why, decode, encode
from worker.rotation.survey import survey
from worker.rotation.trace import trace

T = TypeVar("T")
RELEASE, REVOKE = False, True


def end(record: Record, *, revoke: bool, published: str = "AK0") -> Record:
    keys = frozenset({published})
    read = read_by_apps(record, keys)
    after = ended(record, Ending(revoke, keys, read.access_key if read else None), NOW)
    assert decode(encode(after), "media") == replace(after, history=after.history.written())
    return after


FULL = replace(
    empty(),
    current=current(),
    retiring=(retiring("AK9"),),
    requests=(request(),),
    unconfirmed_creates=(replace(create(), settled="a person found no key of this label"),),
    adopted=1,
)


class TestRecord:
    def test_the_current_key_is_left_to_the_person(self) -> None:
        after = end(FULL, revoke=RELEASE)
        assert (after.current, after.rotation, after.requests, after.failure) == (None, None, (), None)
        assert (after.retiring, after.released, after.adopted) == (FULL.retiring, 1, 1)
        released, gone = after.history.entries()
        assert (released.event, released.access_key, released.request_id) == (Event.KEY_RELEASED, "AK0", "request-0")
        assert (gone.event, gone.facts["path"]) == (Event.TARGET_REMOVED, "apps/media")
        assert after.has_ended
        assert not after.is_bare

    def test_the_current_key_is_revoked(self) -> None:
        after = end(FULL, revoke=REVOKE)
        key = after.retiring[-1]
        assert (key.access_key, key.why, key.retire_after, key.vault_version) == ("AK0", Why.REVOKED, NOW, 1)
        assert (after.current, after.released) == (None, 0)
        assert [entry.event for entry in after.history.entries()] == [Event.KEY_REVOKED, Event.TARGET_REMOVED]

    @pytest.mark.parametrize("revoke", [RELEASE, REVOKE])
    @pytest.mark.parametrize("phase", [Phase.STAGED, Phase.VERIFIED])
    def test_a_staged_key_that_no_app_reads_retires(self, phase: Phase, *, revoke: bool) -> None:
        after = end(replace(FULL, rotation=rotation(phase, staged())), revoke=revoke)
        found = {key.access_key: (key.why, key.retire_after) for key in after.retiring}
        assert found["AK1"] == (Why.REMOVED, NOW)
        assert ("AK0" in found) is revoke

    @pytest.mark.parametrize("revoke", [RELEASE, REVOKE])
    def test_a_staged_key_that_is_published_already_is_the_one_that_apps_read(self, *, revoke: bool) -> None:
        """A worker was killed between the write of the app's secret and that of the record."""
        after = end(replace(FULL, rotation=rotation(Phase.VERIFIED, staged())), revoke=revoke, published="AK1")
        found = {key.access_key: (key.why, key.retire_after) for key in after.retiring}
        assert found["AK0"] == (Why.REPLACED, NOW + PREVIOUS_WORKS_FOR)
        assert found.get("AK1") == ((Why.REVOKED, NOW) if revoke else None)
        assert after.history.entries()[0].access_key == "AK1"

    @pytest.mark.parametrize(
        ("changes", "kind", "hint"),
        [
            ({"unconfirmed_creates": (create(),)}, UsageError, "rotator settle media"),
            ({"deletes_held": True}, UsageError, "rotator settle media --restored"),
            ({"rotation": rotation(Phase.CREATING)}, TryAgainLater, "again after"),
        ],
    )
    def test_what_has_to_be_cleared_up_first(self, changes: dict[str, object], kind: type, hint: str) -> None:
        with pytest.raises(kind) as caught:
            end(replace(FULL, **changes), revoke=RELEASE)  # type: ignore[arg-type]  # fields that exist
        assert hint in caught.value.hint  # type: ignore[attr-defined]

    def test_no_other_key_than_the_one_that_was_shown_is_given_up(self) -> None:
        """A worker that knows nothing of the new configuration rotated while the person was thinking."""
        with pytest.raises(TryAgainLater, match="another key is current"):
            ended(replace(FULL, current=current("AK7", 2)), Ending(REVOKE, frozenset({"AK0"}), "AK0"), NOW)

    def test_a_second_time_changes_nothing(self) -> None:
        after = end(FULL, revoke=RELEASE)
        assert end(after, revoke=REVOKE) is after


@pytest.fixture
def small() -> Small:
    """A target that has rotated once and was then removed; another one, whose key lives, and a key of somebody else."""
    made = Small()
    made.hostup.living["BY-HAND"] = "somebody's"
    made.targets["other"] = replace(TARGET, name="other", path="apps/other")
    audit(made.services, made.targets, SLACK)
    made.look()
    made.look(made.targets["other"])
    made.passes(days=30)
    made.look()
    del made.targets["media"]
    return made


def _end(small: Small, *, revoke: bool) -> None:
    """What ``rotator remove --yes`` does."""
    session = leftover(small.services, "media")
    published = published_of(small.services, session.record)
    read = read_by_apps(session.record, published)
    ending = Ending(revoke, published, read.access_key if read else None)
    session.change(lambda record: ended(record, ending, session.now))
    if revoke:
        retire_leftover(small.services, survey(small.services, small.targets), "media")


def _audit_of_a_worker(small: Small) -> None:
    retire_leftovers(small.services, survey(small.services, small.targets), small.targets)


def _findings(small: Small) -> list[str]:
    report = audit(small.services, small.targets, SLACK)
    found = [f"{finding.kind} {finding.target}" for finding in report.findings if finding.target != "other"]
    return [*found, *(["drift"] if report.drift else [])]


def _goes_on(small: Small) -> None:
    for _ in range(3):
        small.passes(days=1, seconds=1)
        _audit_of_a_worker(small)


def test_until_then_the_audit_says_what_to_do(small: Small) -> None:
    (finding,) = audit(small.services, small.targets, SLACK).findings
    assert (finding.kind, finding.target) == ("removed", "media")
    assert "rotator remove media" in finding.hint
    small.targets["films"] = replace(TARGET, name="films")
    found = audit(small.services, small.targets, SLACK).findings
    assert ["rotator rename media films" in each.hint for each in found if each.target == "media"] == [True]


def test_what_is_held_or_open_is_named_of_a_removed_target_too(small: Small) -> None:
    small.alter(deletes_held=True, unconfirmed_creates=(create(),))
    found = [finding for finding in audit(small.services, small.targets, SLACK).findings if finding.target == "media"]
    assert {finding.kind for finding in found} == {"removed", "set back", "unconfirmed create"}
    assert any("rotator settle media --restored" in finding.hint for finding in found)


def test_a_released_key_lives_on_and_is_no_drift(small: Small) -> None:
    _end(small, revoke=RELEASE)
    assert _findings(small) == []
    _goes_on(small)
    assert small.hostup.deleted == ["AK1"], "what was in grace is deleted when its time comes"
    assert "AK3" in small.hostup.living
    assert _findings(small) == []
    assert small.record().is_bare
    del small.hostup.living["AK3"]
    assert _findings(small) == ["drift None", "drift"], "a person deleted it, and has not said so yet"


def test_a_revoked_key_is_deleted_although_it_is_published(small: Small) -> None:
    secret = small.vault.latest("apps/media")
    _end(small, revoke=REVOKE)
    assert small.hostup.deleted == ["AK3"]
    _goes_on(small)
    assert small.hostup.deleted == ["AK3", "AK1"]
    assert small.record().is_bare
    assert _findings(small) == []
    assert small.vault.latest("apps/media") == secret, "the app's secret is the person's"


@pytest.mark.parametrize("revoke", [RELEASE, REVOKE])
def test_a_trace_finds_every_key_and_request_id_for_good(small: Small, *, revoke: bool) -> None:
    _end(small, revoke=revoke)
    _goes_on(small)
    for identifier in ("AK1", "request-of-AK1", "delete-of-AK1", "AK3", "request-of-AK3"):
        found = trace(small.store, identifier, None)
        assert found is not None
        assert found.target == "media"
    found = trace(small.store, "AK3", None)
    assert found is not None
    events = [entry.event for entry in found.events]
    assert ("key.revoked" in events, "key.released" in events) == (revoke, not revoke)
    owner = small.store.claims.owner("AK3")
    assert owner is not None
    assert owner.target == "media"


def test_without_any_other_target_its_own_secret_proves_the_death(small: Small) -> None:
    small.targets.clear()
    small.vault.forget("state/other")
    _end(small, revoke=REVOKE)
    _goes_on(small)
    assert small.record().is_bare
    (proof,) = [
        e.facts["proof"] for e in small.record().history.entries() if e.event == "key.dead" and e.access_key == "AK3"
    ]
    assert proof == "refused with its own secret"


@pytest.mark.parametrize("path", ["apps/media", "apps/elsewhere"])
def test_the_name_may_begin_anew(small: Small, path: str) -> None:
    """At its old path once the app's secret is gone, which names a key that is nobody's any more."""
    _end(small, revoke=REVOKE)
    _goes_on(small)
    again = replace(TARGET, path=path)
    small.targets["media"] = again
    if path == TARGET.path:
        small.look(again)
        failure = small.record().failure
        assert failure is not None
        assert failure.kind == Conflict.__name__
        small.vault.forget(path)
        small.passes(hours=2)
    small.look(again)
    now_current = small.record().current
    assert now_current is not None
    assert (now_current.access_key, small.record().path) == ("AK4", path)
    assert (small.vault.latest(path) or {})["access_key"] == "AK4"
    assert trace(small.store, "delete-of-AK3", None) is not None


def test_the_name_waits_at_another_path_for_what_retires(small: Small) -> None:
    _end(small, revoke=RELEASE)
    with pytest.raises(Conflict):
        small.look(replace(TARGET, path="apps/elsewhere"))


@dataclass
class _KillsAt(Gate):
    """Ends the process before or after its ``left``-th call outside."""

    left: int
    after: bool

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        del name, lost
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        result = effect()
        if self.left == 0:
            raise Killed
        return result


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after it"])
@pytest.mark.parametrize("revoke", [RELEASE, REVOKE], ids=["released", "revoked"])
@pytest.mark.parametrize("again", [True, False], ids=["the person tries again", "only workers go on"])
def test_killed_at_any_call_nothing_is_lost_and_nothing_else_deleted(
    small: Small, *, revoke: bool, after: bool, again: bool
) -> None:
    for call in range(1, 60):
        world = _copy(small)
        gate = _KillsAt(call, after)
        world.vault.gate = world.hostup.gate = world.storage.gate = gate
        killed = False
        try:
            _end(world, revoke=revoke)
        except Killed:
            killed = True
        world.vault.gate = world.hostup.gate = world.storage.gate = Gate()
        begun = world.record().has_ended
        if again:
            _end(world, revoke=revoke)
        _goes_on(world)
        ended_now = begun or again or not killed
        _holds(world, revoke=revoke and ended_now, has_ended=ended_now)
        if not killed:
            return
    raise AssertionError("it makes more than 60 calls")


def _copy(small: Small) -> Small:
    made = Small(clock=replace(small.clock))
    made.vault.versions.update({path: list(versions) for path, versions in small.vault.versions.items()})
    made.vault.single |= small.vault.single
    made.hostup.living |= small.hostup.living
    made.hostup.made += small.hostup.made
    made.targets = dict(small.targets)
    return made


def _holds(world: Small, *, revoke: bool, has_ended: bool) -> None:
    assert sorted(world.hostup.deleted) == (["AK1", "AK3"] if revoke else ["AK1"])
    assert set(world.hostup.living) >= {"BY-HAND", "AK2"}
    record = world.record()
    assert record.has_ended is has_ended
    assert record.retiring == ()
    assert not audit(world.services, world.targets, SLACK).drift
    assert record.released == (has_ended and not revoke)
    events = [entry.event for entry in record.history.entries()]
    assert events.count("target.removed") == has_ended
    deletes = {entry.access_key for entry in record.history.entries() if entry.event == "key.retired"}
    assert deletes == set(world.hostup.deleted)
