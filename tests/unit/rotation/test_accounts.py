"""Several accounts: a key is made, proven and deleted on the account that it lies on, wherever its target is by now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from tests import keys
from tests.doubles import Gate, Killed, MemoryHostUp, MemoryStorage, T, at
from tests.records import NOW
from tests.worlds import MEDIA, SLACK, STATE, TARGET, TwoAccounts
from worker.errors import AccountGone, HostUpCall, HostUpRefused, HostUpUncertain, UsageError, VaultDenied
from worker.rotation.audit import AuditReport, audit
from worker.rotation.baseline import ensure_baseline
from worker.rotation.changes.retirement import counted_after_all
from worker.rotation.changes.rotation import to_retire
from worker.rotation.changes.settlement import Found, Settlement, adopted_key, settled_create
from worker.rotation.claims import Owner
from worker.rotation.decide import MOVES_PER_DAY
from worker.rotation.leftover import prove_left_behind
from worker.rotation.lending import Lent
from worker.rotation.ports import CreatedKey, Life, Probe
from worker.rotation.record import Paused, Phase, Record, Why, decode, encode
from worker.rotation.status import due_at, summary_of
from worker.rotation.steps.rollback import Wanted, rollback_of
from worker.rotation.steps.session import Session
from worker.rotation.survey import survey
from worker.targets.freeze import Freeze
from worker.targets.schedule import Schedule

MOVED = replace(TARGET, account=MEDIA)
NO_SUCH_KEY = Probe(Life.DEAD, 403, "InvalidAccessKeyId", "tx")
DAYS = timedelta(days=1)


@pytest.fixture
def two() -> TwoAccounts:
    return TwoAccounts()


class Failing(Gate):
    """Every call to an account fails, after its effect if ``done``."""

    def __init__(self, error: Exception, *, done: bool = False) -> None:
        self.error, self.done, self.asked = error, done, 0

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:  # noqa: ARG002
        self.asked += 1
        if self.done:
            effect()
        raise self.error


def _events(two: TwoAccounts, event: str) -> list[dict[str, object]]:
    return [dict(entry.facts) for entry in two.record().history.entries() if entry.event == event]


def _document(two: TwoAccounts) -> dict[str, object]:
    return dict(two.vault.latest(f"{STATE}/{TARGET.name}") or {})


def _audited(two: TwoAccounts, target: object = TARGET) -> AuditReport:
    assert target
    return audit(two.services, two.targets, SLACK)


def test_a_key_is_made_on_the_targets_account_and_apps_get_its_endpoint(two: TwoAccounts) -> None:
    two.look(MOVED)
    current, secret = two.record().current, two.vault.latest(TARGET.path)
    assert current
    assert secret
    assert (current.access_key, current.account) == ("MK1", MEDIA)
    assert secret["endpoint"] == two.other_storage.endpoint
    assert two.hostup.made == []
    owner = two.store.claims.owner("MK1")
    assert owner
    assert owner.account == MEDIA


def test_with_the_default_account_no_document_names_an_account(two: TwoAccounts) -> None:
    two.look()
    two.passes(days=31)
    two.look()
    text = str([*two.vault.versions.items()])
    assert "account" not in text.replace("_account", "")
    assert two.record().current


def test_what_names_accounts_is_read_back_as_it_was(two: TwoAccounts) -> None:
    two.look(MOVED)
    two.passes(days=31)
    two.look(TARGET)
    record = two.record()
    assert record.accounts() == {"default", MEDIA}
    assert decode(encode(record), TARGET.name) == replace(record, history=decode(encode(record), TARGET.name).history)


def test_a_target_that_changes_its_account_is_rotated_at_once_and_its_old_key_dies_where_it_lay(
    two: TwoAccounts,
) -> None:
    two.look()
    two.passes(minutes=1)
    two.look(MOVED)
    record = two.record()
    assert record.current
    assert (record.current.access_key, record.current.account) == ("MK1", MEDIA)
    assert [(key.access_key, key.account) for key in record.retiring] == [("AK1", "default")]
    started = _events(two, "rotation.started")[-1]
    assert (started["trigger"], started["account"]) == ("account", MEDIA)
    assert "AK1" in two.hostup.living, "its grace is not over"
    for _ in range(4):
        two.passes(hours=13)
        two.look(MOVED)
    assert two.record().retiring == ()
    assert two.hostup.deleted == ["AK1"]
    assert two.other.deleted == []
    assert two.other.made == ["MK1"], "it was moved once"


@dataclass
class Threads:
    """Lends a thread to another account, where it has room; ``asked`` is for which."""

    free: bool = True
    back: bool = True
    asked: list[str] = field(default_factory=list)

    @contextmanager
    def lend(self, account: str) -> Iterator[Lent]:
        self.asked.append(account)
        lent = Lent(self.free)
        yield lent
        lent.back = self.back


def _with_a_key_to_delete_on_the_old_account(two: TwoAccounts) -> None:
    two.look()
    two.look(MOVED)
    two.passes(hours=25)


def test_what_is_done_on_the_old_account_is_done_by_a_thread_of_that_one(two: TwoAccounts) -> None:
    threads = Threads()
    two.look(lend=threads.lend)
    two.look(MOVED, watching=True, lend=threads.lend)
    assert set(threads.asked) == {"default"}, "the watch of the key that apps still read"
    threads.asked.clear()
    two.passes(hours=25)
    two.look(MOVED, lend=threads.lend)
    assert two.record().retiring == ()
    assert threads.asked == ["default", "default"], "the delete, and the proof"
    two.look(MOVED, watching=True, lend=threads.lend)
    assert len(threads.asked) == 2, "its key is on its own account by now"


def test_a_rotation_that_a_move_leaves_on_the_old_account_goes_on_by_a_thread_of_that_one(two: TwoAccounts) -> None:
    denied = VaultDenied("no", operation="write", path=TARGET.path, status=403)
    two.vault.gate = keys.Failing({f"vault write {TARGET.path}": [denied]})
    two.look()
    rotation = two.record().rotation
    assert rotation
    assert rotation.phase is Phase.VERIFIED
    two.passes(hours=1)
    threads = Threads(free=False)
    assert two.look(MOVED, lend=threads.lend).record.rotation
    assert threads.asked == ["default"]


def test_where_the_old_account_has_no_room_its_key_waits_and_nothing_else_does(two: TwoAccounts) -> None:
    _with_a_key_to_delete_on_the_old_account(two)
    two.passes(days=31)
    threads = Threads(free=False)
    found = two.look(MOVED, lend=threads.lend)
    assert two.hostup.deleted == []
    assert threads.asked == ["default"], "asked once a look"
    assert two.other.made == ["MK1", "MK2"]
    assert found.wait.until - two.clock.time <= two.services.policy.tick
    assert "account default" in found.wait.why
    two.passes(hours=1)
    two.look(MOVED)
    assert two.hostup.deleted == ["AK1"]


def test_a_look_ends_where_others_have_taken_the_room_of_its_account_meanwhile(two: TwoAccounts) -> None:
    _with_a_key_to_delete_on_the_old_account(two)
    two.passes(days=31)
    found = two.look(MOVED, lend=Threads(back=False).lend)
    assert two.hostup.deleted == ["AK1"]
    assert two.other.made == ["MK1"], "what is left is for the next look"
    assert found.wait.until == two.clock.time
    two.look(MOVED)
    assert two.other.made == ["MK1", "MK2"]


def test_the_move_waits_as_the_schedule_does(two: TwoAccounts) -> None:
    two.look()
    freeze = Freeze(two.clock.time, two.clock.time + DAYS, "Black Friday")
    frozen = replace(MOVED, freezes=(freeze,))
    two.look(frozen)
    assert two.other.made == []
    assert due_at(two.record(), frozen, two.clock.time) == freeze.ends
    two.alter(paused=Paused(at=NOW, by="anna", reason="moving"))
    two.look(MOVED)
    assert two.other.made == []
    two.alter(paused=None)
    two.look(MOVED)
    assert two.other.made == ["MK1"]


def test_a_moment_that_a_person_set_stays_although_the_target_moves(two: TwoAccounts) -> None:
    two.look()
    wanted = two.clock.time + 3 * DAYS
    two.alter(next_at=wanted)
    two.look(MOVED)
    assert two.other.made == ["MK1"]
    assert two.record().next_at == wanted


def test_workers_with_two_configurations_do_not_move_a_target_without_end(two: TwoAccounts) -> None:
    for _ in range(20):
        two.look(TARGET)
        two.look(MOVED)
        two.passes(minutes=1)
    assert len(two.hostup.made) + len(two.other.made) == MOVES_PER_DAY + 1
    two.targets = {TARGET.name: MOVED if two.record().current.account == "default" else TARGET}  # type: ignore[union-attr]
    [finding] = [each for each in _audited(two).findings if each.kind == "moved"]
    assert "same configuration" in finding.hint
    two.passes(days=1, minutes=1)
    made = len(two.hostup.made) + len(two.other.made)
    two.look(two.targets[TARGET.name])
    assert len(two.hostup.made) + len(two.other.made) == made + 1, "a day later it may"


def test_what_is_due_by_the_schedule_after_all_moves_of_a_day_is_no_move(two: TwoAccounts) -> None:
    for _ in range(3):
        two.look(TARGET)
        two.look(MOVED)
    often = replace(TARGET, schedule=Schedule(every=timedelta(hours=1), jitter=timedelta(seconds=1)))
    current = two.record().current
    assert current
    other = "default" if current.account == MEDIA else MEDIA
    two.passes(hours=2)
    two.look(replace(often, account=other))
    assert _events(two, "rotation.started")[-1]["trigger"] == "schedule"
    assert len(two.record().moves) == MOVES_PER_DAY


def test_a_key_of_an_account_that_is_gone_waits_and_is_told_of(two: TwoAccounts) -> None:
    two.look(MOVED)
    two.look(TARGET)
    two.without(MEDIA)
    two.passes(days=2)
    two.look(TARGET)
    [key] = two.record().retiring
    assert key.deleted_at is None
    assert "not configured any more" in key.error
    kinds = {(each.kind, each.account) for each in _audited(two).findings}
    assert ("account", MEDIA) in kinds
    summary = summary_of(two.record(), TARGET, two.clock.time)
    assert summary["retiring"][0]["account"] == MEDIA
    two.services = replace(two.services, accounts={**two.services.accounts, MEDIA: at(two.other, two.other_storage)})
    for _ in range(3):
        two.passes(hours=2)
        two.look(TARGET)
    assert two.other.deleted == ["MK1"]
    assert two.record().retiring == ()


def test_a_current_key_of_an_account_that_is_gone_is_replaced_and_nothing_is_lost(two: TwoAccounts) -> None:
    two.look(MOVED)
    two.without(MEDIA)
    two.look(TARGET)
    record = two.record()
    assert record.current
    assert record.current.access_key == "AK1"
    assert [key.access_key for key in record.retiring] == ["MK1"]
    seen = two.look(TARGET, watching=True).observation
    assert seen
    assert seen.living


def test_the_watch_of_a_key_whose_account_is_gone_says_that_it_cannot_ask(two: TwoAccounts) -> None:
    two.look(MOVED)
    two.alter(paused=Paused(at=NOW, by="anna", reason=""))
    two.without(MEDIA)
    seen = two.look(TARGET, watching=True).observation
    assert seen
    assert (seen.living, seen.asked, seen.trouble) == (None, False, None)
    assert "not configured any more" in seen.what


def test_a_staged_key_is_left_behind_where_its_target_moved(two: TwoAccounts) -> None:
    two.storage.refused = ""
    two.storage = Unspread(two.hostup)
    two.services = replace(two.services, accounts={**two.services.accounts, "default": at(two.hostup, two.storage)})
    two.look(TARGET)
    assert two.record().phase is Phase.STAGED
    two.look(MOVED)
    record = two.record()
    assert record.current
    assert record.current.access_key == "MK1"
    assert [(key.access_key, key.why, key.account) for key in record.retiring] == [("AK1", Why.LEFT, "default")]
    assert two.hostup.deleted in ([], ["AK1"])


class Unspread(MemoryStorage):
    """A new key is not known yet."""

    def _opened(self, access_key: str, *, right: bool) -> Probe:
        return super()._opened(access_key, right=right) if "BY-HAND" in access_key else NO_SUCH_KEY

    def _known(self, access_key: str) -> Probe:
        return super()._known(access_key) if "BY-HAND" in access_key else NO_SUCH_KEY


def test_failures_of_the_account_before_do_not_delay_the_new_one(two: TwoAccounts) -> None:
    two.look()
    two.hostup.gate = Failing(HostUpRefused("no", HostUpCall("create_key", 401)))
    two.passes(days=31)
    for _ in range(12):
        two.look()
        two.passes(hours=1)
    two.look()
    failure = two.record().failure
    assert failure
    assert failure.retry_at > two.clock.time
    assert failure.count > 3
    two.look(MOVED)
    assert two.other.made == ["MK1"]
    assert two.record().failure is None


def test_creates_that_wait_for_a_person_on_one_account_do_not_hold_another(two: TwoAccounts) -> None:
    two.look()
    two.hostup.gate = Failing(HostUpUncertain("cut", HostUpCall("create_key")), done=True)
    two.passes(days=31)
    for _ in range(12):
        two.look()
        two.passes(hours=1)
    open_creates = [create for create in two.record().unconfirmed_creates if create.open]
    assert len(open_creates) >= 3
    assert {create.account for create in open_creates} == {"default"}
    two.look(MOVED)
    record = two.record()
    assert record.current
    assert record.current.account == MEDIA
    assert len([create for create in record.unconfirmed_creates if create.open]) == len(open_creates), "they stay open"


def test_a_key_that_a_person_names_is_retired_where_its_create_was_made(two: TwoAccounts) -> None:
    two.look()
    two.hostup.gate = Failing(HostUpUncertain("cut", HostUpCall("create_key")), done=True)
    two.passes(days=31)
    two.look()
    two.hostup.gate = Gate()
    two.look(MOVED)
    [create] = [create for create in two.record().unconfirmed_creates if create.open]
    settled = settled_create(two.record(), create.rotation_id, Settlement("named", revoke="AK2"), two.clock.time)
    two.put(settled)
    two.look(MOVED)
    assert two.hostup.deleted == ["AK2"]


def test_a_drift_on_one_account_neither_settles_nor_hides_the_other(two: TwoAccounts) -> None:
    two.targets = {TARGET.name: TARGET}
    two.look(TARGET)
    for account in two.services.accounts:
        ensure_baseline(two.services, two.targets, account=account)
    two.other.living["MK-STRANGE"] = "a stranger's"
    report = _audited(two)
    assert {each.account: each.drift for each in report.accounts} == {"default": 0, MEDIA: 1}
    assert report.explained == {"default"}
    assert report.drift == 1
    [drift] = [each for each in report.findings if each.kind == "drift"]
    assert drift.account == MEDIA
    assert "--account media" in drift.hint
    del two.hostup.living["AK-BY-HAND"]
    two.other.living.pop("MK-STRANGE")
    two.other.living["MK-ANOTHER"] = "a stranger's"
    report = _audited(two)
    assert {each.account: each.drift for each in report.accounts} == {"default": -1, MEDIA: 1}
    assert report.drift != 0, "one too many and one too few are not nothing"


def test_an_account_that_does_not_answer_leaves_the_others_figures_as_they_are(two: TwoAccounts) -> None:
    two.look(TARGET)
    two.other.gate = Failing(HostUpUncertain("silent", HostUpCall("status")))
    report = _audited(two)
    known = {each.account: (each.key_count, each.drift) for each in report.accounts}
    assert known == {"default": (2, 0), MEDIA: (None, None)}
    assert report.key_count is None


def test_adopted_keys_are_counted_by_the_account_that_they_lie_on(two: TwoAccounts) -> None:
    for account in two.services.accounts:
        ensure_baseline(two.services, two.targets, account=account)
    found = Found("MK-BY-HAND", 1, None, None, None, MEDIA)
    record = adopted_key(Record(target=TARGET.name, path=TARGET.path), found, two.clock.time, TARGET.grace)
    assert (record.adopted, record.adopted_at(MEDIA), record.adopted_at("default")) == (0, 1, 0)
    two.vault.versions[TARGET.path] = [{"access_key": "MK-BY-HAND", "rotation_id": ""}]
    two.put(record)
    report = _audited(two)
    assert {each.account: each.drift for each in report.accounts} == {"default": 0, MEDIA: 0}
    assert decode(encode(record), TARGET.name).adopted_at(MEDIA) == 1


def test_a_count_of_one_account_proves_no_delete_on_another(two: TwoAccounts) -> None:
    two.look()
    two.look(MOVED)
    record = two.record()
    [key] = record.retiring
    doubted = replace(key, undiminished=2, deleted_at=two.clock.time - DAYS)
    record = replace(record, retiring=(doubted,))
    assert counted_after_all(record, two.clock.time, MEDIA) is record
    assert counted_after_all(record, two.clock.time, "default").retiring[0].undiminished is None


def test_a_key_of_another_account_is_not_brought_back(two: TwoAccounts) -> None:
    two.look()
    two.look(MOVED)
    session = Session(two.services, MOVED, two.store.load(TARGET.name, TARGET.path))
    with pytest.raises(UsageError, match="lies on account default, and the target belongs to media"):
        rollback_of(session, Wanted(None, "", "anna"))


def test_an_account_that_is_not_configured_is_said_with_what_to_do(two: TwoAccounts) -> None:
    with pytest.raises(AccountGone, match="account old is not configured any more") as caught:
        two.services.at("old")
    assert "Nothing is lost" in caught.value.hint


def test_a_late_key_is_retired_on_the_account_that_made_it(two: TwoAccounts) -> None:
    """The worker that asked was slow, another took over, and the target has moved meanwhile."""
    made: list[CreatedKey] = []

    class Slow(Gate):
        def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:  # noqa: ARG002
            result = effect()
            if isinstance(result, CreatedKey) and not made:
                made.append(result)
                two.passes(minutes=5)
                two.look(MOVED)
            return result

    two.hostup.gate = Slow()
    two.look(TARGET)
    record = two.record()
    left = {key.access_key: (key.why, key.account) for key in record.retiring}
    assert left["AK1"] == (Why.STRAY, "default")
    assert left["MK1"] == (Why.REPLACED, MEDIA), "the slow one's configuration was the older, and it moved it back"


def _stray(two: TwoAccounts) -> None:
    """A target on the second account, with a deleted key on the first that was never published."""
    two.look(MOVED)
    stray = replace(
        to_retire("AK9", Why.STRAY, None, None, two.clock.time - DAYS), deleted_at=two.clock.time - timedelta(minutes=1)
    )
    two.alter(retiring=(stray,))


def test_a_key_that_was_never_published_is_not_taken_for_dead_by_a_refusal_alone(two: TwoAccounts) -> None:
    _stray(two)
    two.look(MOVED)
    assert [key.access_key for key in two.record().retiring] == ["AK9"], "the gateway may refuse any wrong secret"


def test_with_the_same_object_storage_a_key_of_the_other_account_shows_its_death(two: TwoAccounts) -> None:
    shared = MemoryHostUp(living=two.hostup.living)
    storage = MemoryStorage(shared, endpoint=two.storage.endpoint)
    two.other.living = two.hostup.living
    two.services = replace(
        two.services, accounts={"default": at(two.hostup, storage), MEDIA: at(two.other, MemoryStorage(shared))}
    )
    _stray(two)
    two.look(MOVED)
    assert two.record().retiring == ()
    [dead] = _events(two, "key.dead")
    assert "MK1" in str(dead["proof"])


def test_another_targets_key_there_shows_its_death_at_the_audit(two: TwoAccounts) -> None:
    _stray(two)
    web = replace(TARGET, name="web", path="apps/web")
    two.targets = {TARGET.name: MOVED, web.name: web}
    prove_left_behind(two.services, survey(two.services, two.targets), two.targets)
    assert len(two.record().retiring) == 1, "no key of that account is known to live"
    two.look(web)
    prove_left_behind(two.services, survey(two.services, two.targets), two.targets)
    assert two.record().retiring == ()


class KilledAfter(Gate):
    """The worker dies right after the first call of this kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:  # noqa: ARG002
        answer = effect()
        if name.startswith(self.kind):
            raise Killed
        return answer


def test_a_worker_that_dies_right_after_it_destroyed_the_secret_leaves_the_proof_behind(two: TwoAccounts) -> None:
    """Nobody could prove the key dead a second time: no other key at its gateway is known, and its secret is gone."""
    two.look()
    two.look(MOVED)
    two.passes(days=3)
    two.vault.gate = KilledAfter("vault destroy")
    with pytest.raises(Killed):
        two.look(MOVED)
    two.vault.gate = Gate()
    assert [key.access_key for key in two.record().retiring] == ["AK1"]
    two.look(MOVED)
    assert two.record().retiring == ()
    [dead] = _events(two, "key.dead")
    assert (dead["proof"], dead["code"]) == ("refused with its own secret", "InvalidAccessKeyId")


def test_what_was_proven_of_a_key_no_longer_counts_once_a_person_hands_it_over(two: TwoAccounts) -> None:
    claims = two.store.claims
    claims.claim("AK7", Owner("media", None))
    claims.note_dead("AK7", "media", NO_SUCH_KEY)
    assert claims.proof_of_death("AK7", "media")
    assert claims.proof_of_death("AK7", "web") is None
    claims.hand_over("AK7", "media")
    assert claims.proof_of_death("AK7", "media") is None
