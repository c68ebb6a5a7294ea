"""The audit: it finds what does not fit together, nothing else, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import pytest

from tests.doubles import Gate, MemoryVault, one_account
from tests.records import MINUTE, create, retiring
from tests.unit.rotation.test_watch import DENIED, NO_SUCH_KEY, SLOW_DOWN, OddStorage
from tests.worlds import SLACK, STATE, TARGET, Small
from worker.errors import HostUpCall, HostUpRateLimited, HostUpRefused, VaultDenied
from worker.rotation.audit import AuditReport, audit
from worker.rotation.baseline import ensure_baseline, note_foreign
from worker.rotation.changes.rotation import failed
from worker.rotation.changes.settlement import Found, adopted_key
from worker.rotation.decide import RETIRING_LIMIT
from worker.rotation.observe import observe_all
from worker.rotation.ports import Document, Probe
from worker.rotation.record import Request, Trouble, TroubleKind
from worker.rotation.status import failing_since

T = TypeVar("T")

LIMITED = HostUpRateLimited("too many", HostUpCall("create_key", 429), hint="Wait.", request_id="request-429")


class Limiting(Gate):
    """HostUp says of nothing how it stands."""

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:  # noqa: ARG002
        if name == "hostup status":
            raise LIMITED
        return effect()


@pytest.fixture
def small() -> Small:
    """One target with a published key, and a key that was there before; the foreign one is noted."""
    made = Small()
    made.hostup.living["BY-HAND"] = "before the worker came"
    ensure_baseline(made.services, made.targets)
    made.look()
    return made


def _audit(small: Small) -> AuditReport:
    return audit(small.services, small.targets, SLACK)


def _kinds(small: Small) -> list[str]:
    return [finding.kind for finding in _audit(small).findings]


def test_all_is_well(small: Small) -> None:
    report = _audit(small)
    assert (report.key_count, report.on_record, report.foreign, report.drift) == (2, 1, 1, 0)
    assert report.findings == ()


def test_it_says_of_which_accounts_it_could_count_and_ask(small: Small) -> None:
    report = _audit(small)
    assert [*report.counted, *report.endpoints] == ["default", "default"]
    small.hostup.gate = Limiting()
    report = _audit(small)
    assert [*report.counted, *report.endpoints] == [], "HostUp did not say"


def test_an_endpoint_that_is_refused_is_none_that_may_be_asked(small: Small) -> None:
    small.storage.refused = "another endpoint"
    assert _audit(small).endpoints == set()


def test_what_was_rescued_is_dealt_with_once_nothing_of_it_is_left(small: Small) -> None:
    assert _audit(small).dealt_with == set()
    small.store.put_rescued(TARGET.name, "rotation-1", {"access_key": "AK7"})
    assert _audit(small).dealt_with == set()
    small.store.settle_rescued(TARGET.name, "rotation-1", "dead")
    assert _audit(small).dealt_with == {TARGET.name}


def test_keys_from_before_are_noted_once_and_are_no_drift(small: Small) -> None:
    small.hostup.living["NEW"] = "made by somebody later"
    assert ensure_baseline(small.services, small.targets) == 1
    assert _audit(small).drift == 1


def test_a_key_that_nothing_explains_is_found_with_what_it_may_be(small: Small) -> None:
    small.hostup.living["ORPHAN"] = "media rotation-7"
    small.alter(unconfirmed_creates=(create(3),))
    report = _audit(small)
    assert report.drift == 1
    assert [finding.kind for finding in report.findings] == ["drift", "unconfirmed create"]
    assert "media rotation-7" in report.findings[0].hint


def test_a_key_that_somebody_deleted_is_missed(small: Small) -> None:
    del small.hostup.living["BY-HAND"]
    assert _audit(small).drift == -1
    assert _kinds(small) == ["drift"]


def test_a_person_notes_how_many_are_foreign(small: Small) -> None:
    small.hostup.living["OTHER"] = "somebody's"
    note_foreign(small.services, 2, 3, cas=1)
    assert _kinds(small) == []


def test_an_adopted_key_is_no_longer_foreign(small: Small) -> None:
    record = small.record()
    found = Found("BY-HAND", 2, None, None, None)
    small.put(adopted_key(record, found, small.clock.now(), TARGET.grace))
    assert _audit(small).drift == 0


@pytest.mark.parametrize("deleted", [True, False])
def test_keys_on_their_way_out_count_until_they_are_deleted(small: Small, *, deleted: bool) -> None:
    small.alter(retiring=(retiring("AK9", MINUTE, deleted=deleted),))
    if not deleted:
        small.hostup.living["AK9"] = "old"
    assert _audit(small).drift == 0


def test_a_rotation_that_is_late_is_found(small: Small) -> None:
    small.passes(days=31)
    assert _kinds(small) == ["overdue"]


def test_a_rotation_that_is_just_due_is_not(small: Small) -> None:
    small.passes(days=30)
    assert _kinds(small) == []


def test_keys_that_should_be_gone_are_found(small: Small) -> None:
    late = replace(retiring("A"), retire_after=small.clock.now() - 2 * SLACK)
    undead = replace(retiring("B", deleted=True), overdue=True)
    small.hostup.living |= {"A": ""}
    small.alter(retiring=(late, undead))
    assert _kinds(small) == ["alive", "alive"]


def _fails(small: Small, *, count: int) -> None:
    for _ in range(count):
        now, record = small.clock.now(), small.record()
        small.put(failed(record, LIMITED, now, now + timedelta(hours=1), operation="begin"))
        small.passes(minutes=10)


def test_a_failing_target_is_found_with_since_and_until(small: Small) -> None:
    began = small.clock.now()
    _fails(small, count=3)
    (finding,) = _audit(small).findings
    assert finding.kind == "failing"
    assert f"fails since {began.isoformat()}, 3 times in a row: too many" in finding.what
    assert "requestId request-429" in finding.what
    assert f"tried again at {(began + timedelta(minutes=80)).isoformat()}" in finding.hint


def test_the_beginning_of_failures_is_not_that_of_an_earlier_row(small: Small) -> None:
    _fails(small, count=2)
    small.passes(days=2)
    small.alter(requests=(Request(id="r", reason="", at=small.clock.now()),))
    small.look()
    assert small.record().failure is None
    began = small.clock.now()
    _fails(small, count=1)
    assert failing_since(small.record()) == began


def test_a_request_that_waits_is_found_with_what_it_waits_for(small: Small) -> None:
    asked = small.clock.now()
    small.alter(requests=(Request(id="r", reason="", at=asked),))
    assert _kinds(small) == [], "it was asked for just now"
    _fails(small, count=1)
    findings = {finding.kind: finding for finding in _audit(small).findings}
    assert set(findings) == {"failing", "waiting"}
    assert f"waits since {asked.isoformat()}" in findings["waiting"].what
    assert "waits for the next try of a rotation, until" in findings["waiting"].hint


def test_a_full_list_of_retiring_keys_is_found(small: Small) -> None:
    waiting = [replace(retiring(f"A{number}"), retire_after=small.clock.now()) for number in range(RETIRING_LIMIT)]
    small.hostup.living |= {key.access_key: "" for key in waiting}
    small.alter(retiring=tuple(waiting[1:]))
    assert "full" not in _kinds(small)
    small.alter(retiring=(*waiting[1:], replace(waiting[0], error="HostUp refused to delete it")))
    (finding,) = _audit(small).findings
    assert finding.kind == "full"
    assert f"{RETIRING_LIMIT} keys are retiring" in finding.what
    assert "HostUp refused to delete it" in finding.what
    assert waiting[0].retire_after.isoformat() in finding.what


def test_one_record_that_cannot_be_read_does_not_hide_the_others(small: Small) -> None:
    small.vault.versions[f"{STATE}/broken"] = [{"garbage": True}]
    small.passes(days=31)
    assert _kinds(small) == ["record", "overdue"]


def test_a_target_that_is_no_longer_configured_is_found_while_it_has_keys(small: Small) -> None:
    small.targets = {}
    assert _kinds(small) == ["removed"]


def test_a_target_that_has_another_name_now_is_found_with_the_command(small: Small) -> None:
    small.targets = {"films": replace(TARGET, name="films")}
    found = {finding.target: finding for finding in _audit(small).findings}
    assert found["media"].kind == "renamed"
    assert "rotator rename media films" in found["media"].hint


def test_an_audit_changes_nothing(small: Small) -> None:
    small.hostup.living["ORPHAN"] = "x"
    before = {path: list(versions) for path, versions in small.vault.versions.items()}
    keys = dict(small.hostup.living)
    _audit(small)
    assert small.vault.versions == before
    assert small.hostup.living == keys


def _overwritten(small: Small) -> None:
    small.vault.write(TARGET.path, {"access_key": "AK-THEIRS", "secret_key": "x"}, 1)


def _destroyed(small: Small) -> None:
    small.vault.destroy(TARGET.path, 1)


def _deleted_and_another_one_made(small: Small) -> None:
    """So that HostUp counts as many keys as before."""
    del small.hostup.living["AK1"]
    small.hostup.living["THEIRS"] = "made by somebody"


@pytest.mark.parametrize(
    ("happens", "kind"),
    [(_overwritten, "overwritten"), (_destroyed, "secret lost"), (_deleted_and_another_one_made, "key refused")],
)
def test_what_the_watch_would_find_is_found_before_it_has_looked(
    small: Small, happens: Callable[[Small], None], kind: str
) -> None:
    happens(small)
    report = _audit(small)
    assert [(finding.kind, finding.target) for finding in report.findings] == [(kind, TARGET.name)]
    small.look(watching=True)
    assert _kinds(small) == [kind], "and once only"


@pytest.mark.parametrize("observing", [True, False])
def test_as_many_keys_as_on_record_explain_nothing_where_one_is_gone(small: Small, *, observing: bool) -> None:
    """Another one counts in its place; a worker's audit, which does not look itself, knows it by the watch."""
    assert audit(small.services, small.targets, SLACK, observing=observing).explained == {"default"}
    _deleted_and_another_one_made(small)
    if not observing:
        died = Trouble(kind=TroubleKind.KEY_REFUSED, access_key="AK1", since=small.clock.now(), what="it died")
        small.alter(trouble=replace(died, confirmed=True))
    report = audit(small.services, small.targets, SLACK, observing=observing)
    assert (report.drift, report.explained) == (0, frozenset())
    assert [count.unaccounted for count in report.accounts] == [("media",)]


def test_a_target_that_is_rotated_while_the_audit_looks_is_well(small: Small) -> None:
    before = {TARGET.name: small.record()}
    small.passes(days=31)
    small.look()
    (seen,) = observe_all(small.services, before, small.targets).values()
    assert (seen.living, seen.trouble) == (True, None)


def test_that_fewer_keys_are_foreign_is_advised_only_where_every_current_key_lives(small: Small) -> None:
    del small.hostup.living["BY-HAND"]
    (finding,) = _audit(small).findings
    assert (finding.kind, "`rotator settle --foreign N`" in finding.hint) == ("drift", True)


@pytest.mark.parametrize("probe", [NO_SUCH_KEY, DENIED, SLOW_DOWN], ids=["dead", "denied", "not to be asked"])
def test_it_is_not_advised_while_a_current_key_is_unaccounted_for(small: Small, probe: Probe) -> None:
    storage = OddStorage(small.hostup)
    storage.wrong["AK1"] = storage.right["AK1"] = probe
    small.services = replace(small.services, accounts=one_account(small.hostup, storage))
    del small.hostup.living["AK1"]
    (drift,) = (finding for finding in _audit(small).findings if finding.kind == "drift")
    assert "--foreign" not in drift.hint
    assert "the current key of media is not known to live" in drift.hint


def test_a_secret_that_may_not_be_read_is_no_end_of_the_audit(small: Small) -> None:
    class Denying(MemoryVault):
        def read(self, path: str, at_least: int = 0) -> Document:
            if path == TARGET.path:
                raise VaultDenied("denied", operation="read", path=path, status=403)
            return super().read(path, at_least)

    services = replace(small.services, vault=Denying(versions=small.vault.versions))
    (seen,) = observe_all(services, {TARGET.name: small.record()}, small.targets).values()
    assert (seen.living, seen.what) == (None, "what apps read could not be looked at: denied")
    assert audit(services, small.targets, SLACK).findings == ()


class _Full(Gate):
    """HostUp makes no further key."""

    def __init__(self, status: int) -> None:
        self.status = status

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        del lost
        if name == "hostup create":
            raise HostUpRefused("Key limit reached", HostUpCall("create_key", self.status), hint="No.")
        return effect()


@pytest.mark.parametrize("status", [409, 422])
def test_a_limit_of_keys_says_which_give_a_place_free_and_when(small: Small, status: int) -> None:
    small.hostup.gate = _Full(status)
    soon, later = retiring("SOON", timedelta(days=40)), retiring("LATER", timedelta(days=41))
    gone = retiring("GONE", timedelta(days=39), deleted=True)
    small.alter(retiring=(later, soon, gone))
    small.put(replace(small.record(), target="other", retiring=(retiring("OTHERS", timedelta(days=32)),)))
    small.passes(days=31)
    small.look()
    failure = small.record().failure
    assert failure
    assert (
        f"Of this target: LATER (from {later.retire_after.isoformat(timespec='seconds')}), SOON (from" in failure.hint
    )
    assert "GONE" not in failure.hint
    (finding,) = [each for each in _audit(small).findings if each.kind == "places"]
    assert "refuses another key to 1 targets" in finding.what
    order = [finding.hint.index(name) for name in ("OTHERS of other (from", "SOON of media", "LATER of media")]
    assert order == sorted(order)
    assert soon.retire_after.isoformat(timespec="seconds") in finding.hint


def test_where_no_key_is_retiring_that_is_said(small: Small) -> None:
    small.hostup.gate = _Full(409)
    small.passes(days=31)
    small.look()
    failure = small.record().failure
    assert failure
    assert "None of this target is retiring." in failure.hint
    (finding,) = [each for each in _audit(small).findings if each.kind == "places"]
    assert finding.hint.startswith("No key is retiring")


@pytest.mark.parametrize("status", [400, 403, 500])
def test_other_refusals_speak_of_no_places(small: Small, status: int) -> None:
    small.hostup.gate = _Full(status)
    small.passes(days=31)
    small.look()
    failure = small.record().failure
    assert failure
    assert "retiring" not in failure.hint
    assert "places" not in _kinds(small)
