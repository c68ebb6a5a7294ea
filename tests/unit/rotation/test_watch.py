"""What apps read is watched: trouble is found, confirmed, and replaced; a healthy target costs no write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar, cast

import pytest
import structlog

from tests.doubles import Gate, MemoryAccount, MemoryStorage, MemoryVault, one_account
from tests.records import retiring
from tests.worlds import SLACK, STATE, TARGET, Small
from worker.errors import CircuitOpen, HostUpCall, HostUpError, HostUpRateLimited, HostUpRefused, TryAgainLater
from worker.events import Event
from worker.rotation.audit import audit
from worker.rotation.baseline import ensure_baseline
from worker.rotation.changes.rotation import note
from worker.rotation.changes.watch import deletes_resumed
from worker.rotation.decide import RETIRING_LIMIT
from worker.rotation.ports import DeletedKey, Document, Life, Place, Probe, Seen
from worker.rotation.reconcile import accept, reconcile
from worker.rotation.record import Phase, Request, TroubleKind, Why
from worker.rotation.records import RecordStore
from worker.rotation.status import due_at
from worker.secret import Secret
from worker.targets.schedule import NEVER, Schedule, parse_window

T = TypeVar("T")

NO_SUCH_KEY = Probe(Life.DEAD, 403, "InvalidAccessKeyId", "tx")
DENIED = Probe(Life.DEAD, 403, "AccessDenied", "tx")
SLOW_DOWN = Probe(Life.UNKNOWN, 503, "SlowDown", "tx", "the storage answered 503 SlowDown, which proves nothing")


@dataclass
class OddStorage(MemoryStorage):
    """Answers this to a probe with a wrong secret or with the right one; else as it is."""

    wrong: dict[str, Probe] = field(default_factory=dict)
    right: dict[str, Probe] = field(default_factory=dict)

    def lives(self, access_key: str) -> Probe:
        return self.wrong.get(access_key) or super().lives(access_key)

    def works(self, access_key: str, secret_key: Secret) -> Probe:
        return self.right.get(access_key) or super().works(access_key, secret_key)


@dataclass
class Watched(Small):
    """One target that has been rotated once: AK1 is current."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.hostup.living["BY-HAND"] = "before"
        self.look()
        assert self.current == "AK1"

    @property
    def current(self) -> str:
        current = self.record().current
        assert current is not None
        return current.access_key

    @property
    def trouble(self) -> tuple[TroubleKind, bool] | None:
        trouble = self.record().trouble
        return (trouble.kind, trouble.confirmed) if trouble else None

    def watch(self, times: int = 1) -> None:
        for _ in range(times):
            self.look(watching=True)
            self.passes(seconds=6)

    def odd(self) -> OddStorage:
        storage = OddStorage(self.hostup)
        self.storage = storage
        self.services = replace(self.services, accounts=one_account(self.hostup, storage))
        return storage

    def events(self) -> list[str]:
        return [entry.event for entry in self.record().history.entries()]


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_watch_of_a_healthy_target_writes_nothing_and_sees_it_living(watched: Watched) -> None:
    before = {path: list(versions) for path, versions in watched.vault.versions.items()}
    seen = watched.look(watching=True).observation
    assert seen is not None
    assert seen.living
    assert watched.vault.versions == before


def test_without_a_watch_nothing_is_looked_at(watched: Watched) -> None:
    del watched.hostup.living["AK1"]
    assert watched.look().observation is None
    assert watched.trouble is None


def test_a_deleted_key_is_found_confirmed_and_replaced_by_itself(watched: Watched) -> None:
    del watched.hostup.living["AK1"]
    watched.look(watching=True)
    assert watched.trouble == (TroubleKind.KEY_REFUSED, False)
    watched.look()
    assert watched.current == "AK1", "one refusal is no proof"
    watched.passes(seconds=6)
    watched.look()
    assert watched.current == "AK2"
    assert watched.trouble is None
    record = watched.record()
    assert [(key.access_key, key.why, key.deleted_at is not None) for key in record.retiring] in (
        [("AK1", Why.DIED, True)],
        [],  # proven dead in the same look
    )
    assert "key.died" in watched.events()
    assert "AK1" not in watched.hostup.deleted, "nothing is deleted for a key that is dead"
    started = [entry for entry in record.history.entries() if entry.event == "rotation.started"]
    assert started[-1].facts["trigger"] == "healing"


def test_a_key_that_is_back_at_the_second_look_is_left_alone(watched: Watched) -> None:
    del watched.hostup.living["AK1"]
    watched.look(watching=True)
    watched.hostup.living["AK1"] = "again"
    watched.watch(2)
    assert watched.trouble is None
    assert watched.current == "AK1"
    assert "key.died" not in watched.events()


NEVER_OPEN_NOW = (
    Schedule(every=timedelta(days=30), window=parse_window("02:00-03:00")),
    Schedule(cron="0 2 1 1 *", jitter=timedelta(0)),
    Schedule(every=NEVER),
)


@pytest.mark.parametrize("schedule", NEVER_OPEN_NOW, ids=["a window", "cron", "never"])
def test_no_calendar_holds_a_healing_back(watched: Watched, schedule: Schedule) -> None:
    target = replace(TARGET, schedule=schedule)
    due = due_at(watched.record(), target, watched.clock.now())
    assert due is None or due > watched.clock.now() + timedelta(hours=6)
    del watched.hostup.living["AK1"]
    for _ in range(3):
        watched.look(target, watching=True)
        watched.passes(seconds=6)
    assert watched.current == "AK2"


class _Refuses(Gate):
    """HostUp refuses every create in this way."""

    def __init__(self, error: HostUpError) -> None:
        self.error: HostUpError | None = error

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        del lost
        if self.error and name == "hostup create":
            raise self.error
        return effect()


def _failing(watched: Watched, error: HostUpError) -> _Refuses:
    """A rotation that was due has failed so often that it is tried again in an hour; the API would make keys again."""
    gate = watched.hostup.gate = _Refuses(error)
    watched.passes(days=31)
    for _ in range(14):
        watched.look()
        failure = watched.record().failure
        assert failure
        watched.clock.time = max(watched.clock.time, failure.retry_at)
    watched.look()
    gate.error = None
    failure = watched.record().failure
    assert failure
    assert failure.retry_at - watched.clock.now() > timedelta(minutes=20)
    watched.passes(seconds=6)
    return gate


def test_the_backoff_of_a_rotation_that_failed_before_holds_no_healing_back(watched: Watched) -> None:
    _failing(watched, HostUpRefused("no", HostUpCall("create_key", 500)))
    watched.watch(2)
    assert watched.current == "AK1", "while it lives, the backoff is waited for"
    del watched.hostup.living["AK1"]
    watched.watch(3)
    assert watched.current == "AK2"


def test_the_backoff_of_the_healing_itself_is_waited_for(watched: Watched) -> None:
    gate = watched.hostup.gate = _Refuses(HostUpRefused("no", HostUpCall("create_key", 500)))
    del watched.hostup.living["AK1"]
    watched.watch(3)
    failure = watched.record().failure
    assert failure
    gate.error = None
    watched.clock.time = failure.retry_at - timedelta(seconds=1)
    watched.look()
    assert watched.current == "AK1"
    watched.passes(seconds=2)
    watched.look()
    assert watched.current == "AK2"


def test_what_the_api_asked_for_is_waited_for_although_the_key_is_dead(watched: Watched) -> None:
    _failing(watched, HostUpRateLimited("slow", HostUpCall("create_key", 429, retry_after=2400.0)))
    del watched.hostup.living["AK1"]
    watched.watch(3)
    assert watched.current == "AK1"
    failure = watched.record().failure
    assert failure
    watched.clock.time = failure.retry_at
    watched.look()
    assert watched.current == "AK2"


@dataclass
class _Circuit(MemoryAccount):
    """An account whose circuit is open until then."""

    until: datetime | None = None

    @contextmanager
    def place(self, target: str) -> Iterator[Place]:
        if self.until:
            raise CircuitOpen(self.until, "HostUp failed three times in a row")
        with super().place(target) as place:
            yield place


def test_an_open_circuit_holds_a_healing_back_as_it_holds_others_and_is_named(watched: Watched) -> None:
    account = _Circuit(watched.hostup, until=watched.clock.now() + timedelta(minutes=5))
    watched.services = replace(watched.services, accounts=one_account(watched.hostup, watched.storage, account))
    del watched.hostup.living["AK1"]
    watched.watch(2)
    found = watched.look()
    assert watched.current == "AK1"
    assert watched.trouble == (TroubleKind.KEY_REFUSED, True)
    assert "HostUp failed three times in a row" in found.wait.why
    assert found.wait.until == account.until
    account.until = None
    watched.passes(minutes=5)
    watched.look()
    assert watched.current == "AK2"


def test_a_healing_that_waits_for_keys_to_retire_is_said_by_the_watch(watched: Watched) -> None:
    watched.alter(retiring=tuple(retiring(f"OLD{n}", timedelta(days=1)) for n in range(RETIRING_LIMIT)))
    del watched.hostup.living["AK1"]
    with structlog.testing.capture_logs() as logs:
        watched.watch(4)
    (blocked,) = [line for line in logs if line["event"] == "target.blocked"]
    assert f"{RETIRING_LIMIT} keys are retiring" in blocked["error"]
    assert watched.hostup.made == ["AK1"]


def test_a_denied_key_is_asked_about_for_as_long_as_a_busy_dead_key_may_be_denied(watched: Watched) -> None:
    storage = watched.odd()
    storage.wrong["AK1"] = storage.right["AK1"] = DENIED
    watched.watch(30)
    assert watched.trouble == (TroubleKind.KEY_DENIED, False)
    watched.passes(minutes=20)
    watched.look()
    assert watched.current == "AK2"


def test_a_storage_that_cannot_be_asked_proves_nothing(watched: Watched) -> None:
    storage = watched.odd()
    storage.wrong["AK1"] = storage.right["AK1"] = SLOW_DOWN
    seen = watched.look(watching=True).observation
    assert seen is not None
    assert seen.living is None
    assert "SlowDown" in seen.what
    assert watched.trouble is None
    assert watched.current == "AK1"


def test_a_gateway_that_refuses_every_wrong_secret_does_not_kill_a_key_that_works(watched: Watched) -> None:
    storage = watched.odd()
    storage.wrong["AK1"] = NO_SUCH_KEY
    watched.watch(5)
    assert watched.trouble is None
    assert watched.current == "AK1"


def test_a_secret_that_was_deleted_is_brought_back(watched: Watched) -> None:
    watched.vault.soft_delete(TARGET.path)
    watched.watch()
    assert (watched.vault.latest(TARGET.path) or {})["access_key"] == "AK1"
    assert "secret.restored" in watched.events()
    assert watched.current == "AK1"
    assert watched.hostup.made == ["AK1"]


@pytest.mark.parametrize("how", ["destroyed", "with its metadata"])
def test_a_secret_that_is_gone_for_good_is_replaced(watched: Watched, how: str) -> None:
    if how == "destroyed":
        watched.vault.destroy(TARGET.path, 1)
    else:
        del watched.vault.versions[TARGET.path]
    watched.watch(3)
    assert watched.current == "AK2"
    assert (watched.vault.latest(TARGET.path) or {})["access_key"] == "AK2"
    assert "secret.lost" in watched.events()
    assert "AK1" in watched.hostup.living, "apps may have it in memory: it works until its grace is over"
    watched.passes(days=2)
    watched.look()
    watched.look()
    assert "AK1" not in watched.hostup.living
    assert (watched.vault.latest(TARGET.path) or {})["access_key"] == "AK2", "an old number destroys no new version"


def test_an_old_number_never_destroys_a_new_version(watched: Watched) -> None:
    for _ in range(3):
        watched.passes(days=30)
        watched.look()
    del watched.vault.versions[TARGET.path]
    watched.watch(3)
    for _ in range(2):
        watched.passes(days=31)
        watched.look()
    current = watched.record().current
    assert current is not None
    assert (watched.vault.latest(TARGET.path) or {})["access_key"] == current.access_key
    assert current.access_key in watched.hostup.living


def test_what_somebody_wrote_over_it_is_found_and_never_overwritten(watched: Watched) -> None:
    watched.vault.write(TARGET.path, {"access_key": "THEIRS", "secret_key": "x"}, 1)
    watched.watch(4)
    assert watched.trouble == (TroubleKind.OVERWRITTEN, True)
    assert (watched.vault.latest(TARGET.path) or {})["access_key"] == "THEIRS"
    assert "conflict.found" in watched.events()
    assert watched.hostup.made == ["AK1"]


Changes = Mapping[str, object]

HARMFUL: list[Changes] = [
    {"secret_key": "another"},
    {"secret_key": None},
    {"secret_key": ""},
    {"secret_key": 7},
    {"endpoint": "https://elsewhere"},
    {"region": "mars"},
    {"region": None},
    {"rotation_id": "theirs"},
    {"rotation_id": None},
]


def _patch(watched: Watched, changes: Changes) -> None:
    """What ``vault kv patch`` does: None takes a field away."""
    there = watched.vault.read(TARGET.path)
    changed = {**(there.data or {}), **changes}
    watched.vault.write(
        TARGET.path, {name: value for name, value in changed.items() if value is not None}, there.version
    )


@pytest.mark.parametrize("pruned", [False, True], ids=["with what was published", "without it"])
@pytest.mark.parametrize("changes", HARMFUL, ids=str)
def test_what_somebody_changed_under_our_own_key_is_found_and_left_as_it_is(
    watched: Watched, changes: Changes, *, pruned: bool
) -> None:
    _patch(watched, changes)
    if pruned:
        watched.vault.destroy(TARGET.path, 1)
    left = watched.vault.latest(TARGET.path)
    watched.watch(4)
    assert watched.trouble == (TroubleKind.OVERWRITTEN, True)
    assert watched.events().count("conflict.found") == 1
    assert watched.vault.latest(TARGET.path) == left
    assert watched.hostup.made == ["AK1"]
    trouble = watched.record().trouble
    assert trouble
    assert "secret-of" not in trouble.what


@pytest.mark.parametrize("pruned", [False, True], ids=["with what was published", "without it"])
@pytest.mark.parametrize("changes", [{"bucket": "b"}, {"label": "mine"}, {"next_rotation_at": None}, {}], ids=str)
def test_what_apps_can_work_with_all_the_same_is_no_trouble(
    watched: Watched, changes: Changes, *, pruned: bool
) -> None:
    _patch(watched, changes)
    if pruned:
        watched.vault.destroy(TARGET.path, 1)
    before = {path: list(versions) for path, versions in watched.vault.versions.items()}
    seen = watched.look(watching=True).observation
    assert seen
    assert seen.living
    assert watched.vault.versions == before


def test_an_endpoint_that_moved_since_is_nobodys_change(watched: Watched) -> None:
    _patch(watched, {"bucket": "b"})
    watched.storage.endpoint = "https://moved"
    watched.watch(3)
    assert watched.trouble is None


def test_a_dead_key_is_replaced_although_somebody_changed_what_is_beside_it(watched: Watched) -> None:
    _patch(watched, {"endpoint": "https://elsewhere", "bucket": "b"})
    del watched.hostup.living["AK1"]
    watched.watch(3)
    assert watched.current == "AK2"


def test_a_rotation_publishes_over_what_was_changed_under_our_key(watched: Watched) -> None:
    _patch(watched, {"secret_key": "another"})
    watched.watch(3)
    watched.passes(days=31)
    watched.look()
    watched.watch()
    assert watched.current == "AK2"
    assert watched.trouble is None


def test_a_key_whose_own_secret_is_refused_is_not_replaced_for_it(watched: Watched) -> None:
    storage = watched.odd()
    storage.right["AK1"] = Probe(Life.DEAD, 403, "SignatureDoesNotMatch", "tx", "this secret does not open it")
    seen = watched.look(watching=True).observation
    assert seen
    assert (seen.living, seen.what, seen.trouble) == (None, "this secret does not open it", None)


def test_a_suspended_user_is_found_within_one_interval_and_told_once(watched: Watched) -> None:
    watched.watch()
    watched.storage.suspended = True
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            watched.passes(minutes=10)
            seen = watched.look(watching=True).observation
            assert seen
            assert (seen.living, seen.code) == (None, "UserSuspended")
        assert [line["log_level"] for line in logs if line["event"] == "account.suspended"] == ["error"]
        watched.storage.suspended = False
        watched.watch(2)
    assert [line["event"] for line in logs if "suspended" in line["event"]] == [
        "account.suspended",
        "account.unsuspended",
    ]
    assert watched.trouble is None
    assert watched.hostup.made == ["AK1"], "another key would not work either"


def test_while_a_user_is_suspended_every_key_of_the_account_is_seen_so(watched: Watched) -> None:
    watched.watch()
    watched.storage.suspended = True
    watched.passes(minutes=10)
    for _ in range(5):
        seen = watched.look(watching=True).observation
        assert seen
        assert seen.code == "UserSuspended"


def test_an_ordinary_look_needs_no_secret(watched: Watched) -> None:
    storage = watched.odd()
    storage.right["AK1"] = SLOW_DOWN
    told = []
    for _ in range(10):
        seen = watched.look(watching=True).observation
        assert seen
        told.append(seen.code)
        watched.passes(minutes=1)
    assert told == ["SlowDown"] + ["SignatureDoesNotMatch"] * 9


def test_a_clock_that_is_off_and_a_suspended_user_are_findings_of_their_own(watched: Watched) -> None:
    ensure_baseline(watched.services, watched.targets)
    assert _found_by_audit(watched) == []
    watched.storage.suspended = True
    assert _found_by_audit(watched) == ["suspended"]
    storage = watched.odd()
    storage.right["AK1"] = Probe(Life.UNKNOWN, 403, "RequestTimeTooSkewed", "tx", "the clock")
    assert _found_by_audit(watched) == ["clock"]


def _found_by_audit(watched: Watched) -> list[str]:
    return [finding.kind for finding in audit(watched.services, watched.targets, SLACK).findings]


def test_what_is_put_back_is_well_again(watched: Watched) -> None:
    ours = dict(watched.vault.latest(TARGET.path) or {})
    watched.vault.write(TARGET.path, {"access_key": "THEIRS"}, 1)
    watched.watch(3)
    watched.vault.write(TARGET.path, ours, 2)
    watched.watch()
    assert watched.trouble is None
    assert watched.events()[-1] == "target.recovered"


def test_three_healings_a_day_then_a_person(watched: Watched) -> None:
    for _ in range(6):
        watched.hostup.living.pop(watched.current, None)
        watched.watch(3)
    assert len(watched.hostup.made) == 4, "one, and three that replaced a dead one"
    assert watched.record().phase is Phase.IDLE
    assert watched.trouble == (TroubleKind.KEY_REFUSED, True)
    watched.passes(days=1)
    watched.look()
    assert len(watched.hostup.made) == 5


def test_a_vault_that_was_set_back_names_a_dead_key_which_is_replaced(watched: Watched) -> None:
    kept = {path: list(versions) for path, versions in watched.vault.versions.items()}
    for _ in range(2):
        watched.passes(days=31)
        watched.look()
        watched.passes(days=2)
        watched.look()
    assert "AK1" not in watched.hostup.living
    watched.vault.versions = kept
    watched.watch(3)
    assert watched.current in watched.hostup.living
    assert watched.current not in ("AK1", "AK2", "AK3")


def _retired(watched: Watched, storage: OddStorage) -> Watched:
    """AK1 was replaced by AK2, its grace is over, and a DELETE was answered."""
    watched.passes(days=31)
    watched.look()
    watched.passes(days=2)
    assert storage is watched.storage
    return watched


class _Lies(Gate):
    """HostUp answers 200 to a DELETE and does nothing."""

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        del lost
        return cast("T", DeletedKey(200, "delete-that-lied", "base64")) if name == "hostup delete" else effect()


def test_a_refusal_proves_no_death_where_the_gateway_refuses_every_wrong_secret(watched: Watched) -> None:
    storage = watched.odd()
    watched.hostup.gate = _Lies()
    _retired(watched, storage)
    for name in ("AK1", "AK2"):
        storage.wrong[name] = NO_SUCH_KEY
    for _ in range(3):
        watched.look()
        watched.passes(minutes=30)
    (key,) = watched.record().retiring
    assert key.access_key == "AK1"
    assert key.overdue
    assert watched.vault.versions[TARGET.path][0] is not None, "its version is not destroyed while it may be needed"


def test_where_the_gateway_cannot_be_told_apart_the_keys_own_secret_proves_its_death(watched: Watched) -> None:
    storage = watched.odd()
    _retired(watched, storage)
    for name in ("AK1", "AK2"):
        storage.wrong[name] = NO_SUCH_KEY
    for _ in range(2):
        watched.look()
        watched.passes(minutes=1)
    assert watched.record().retiring == ()
    (dead,) = [entry for entry in watched.record().history.entries() if entry.event == "key.dead"]
    assert dead.facts["proof"] == "refused with its own secret"


def test_where_it_tells_keys_apart_the_current_one_is_the_measure(watched: Watched) -> None:
    _retired(watched, watched.odd())
    watched.look()
    (dead,) = [entry for entry in watched.record().history.entries() if entry.event == "key.dead"]
    assert dead.facts["proof"] == "the same gateway knows access key AK2"


def _set_back(watched: Watched) -> Seen:
    """Vault as it was when AK1 was retiring; by now AK1 is what somebody published again. Answers what was seen."""
    watched.passes(days=31)
    watched.look()
    kept = {path: list(versions) for path, versions in watched.vault.versions.items()}
    watched.passes(days=31)
    seen = watched.look().seen
    watched.vault.versions = kept
    return seen


def test_after_vault_was_set_back_nothing_is_deleted(watched: Watched) -> None:
    seen = _set_back(watched)
    watched.hostup.living["AK1"] = "back"
    watched.look(seen=seen)
    watched.passes(days=9)
    watched.look(seen=seen)
    assert "AK1" in watched.hostup.living
    assert watched.record().deletes_held
    assert watched.events().count("vault.set_back") == 1


def test_once_that_is_settled_keys_are_deleted_again(watched: Watched) -> None:
    seen = _set_back(watched)
    watched.hostup.living["AK1"] = "back"
    watched.look(seen=seen)
    loaded = watched.store.load(TARGET.name, TARGET.path)
    watched.store.change(loaded, lambda record: deletes_resumed(record, "a person says so", watched.clock.now()))
    watched.passes(days=9)
    watched.look()
    assert "AK1" not in watched.hostup.living


RECORD = f"{STATE}/{TARGET.name}"


class Lagging(MemoryVault):
    """A standby: so many reads of the record are of an older one."""

    def __init__(self, vault: MemoryVault, older: Document, reads: int) -> None:
        super().__init__(versions=vault.versions, single=vault.single)
        self.older, self.left = older, reads

    def _read(self, path: str) -> Document:
        if path != RECORD or not self.left:
            return super()._read(path)
        self.left -= 1
        return self.older


@pytest.mark.parametrize("reads", [1, 2, 3, 4, 20])
def test_a_standby_that_is_behind_is_no_vault_that_was_set_back(watched: Watched, reads: int) -> None:
    older = watched.vault.read(RECORD)
    watched.passes(days=31)
    seen = watched.look().seen
    lagging = Lagging(watched.vault, older, reads)
    store = RecordStore(lagging, STATE, watched.clock)
    services = replace(watched.services, vault=lagging, store=store)
    before = watched.record()
    with suppress(TryAgainLater):
        reconcile(services, TARGET, seen=seen)
    assert watched.record() == before, "nothing is done by what is old"
    assert "vault.set_back" not in watched.events()
    assert not watched.record().deletes_held
    reconcile(watched.services, TARGET, seen=seen)


def test_a_record_that_is_as_new_as_was_seen_is_no_sign(watched: Watched) -> None:
    seen = watched.look().seen
    watched.look(seen=seen)
    assert not watched.record().deletes_held


def _asked_for_since(watched: Watched, number: int) -> None:
    """Requests and pauses that people put on record before the first look after Vault was set back."""
    for each in range(number):
        accept(watched.services, TARGET, Request(id=f"since-{each}", reason="", at=watched.clock.now()))


@pytest.mark.parametrize("since", [1, 4, 5, 6, 20])
def test_a_vault_that_was_set_back_is_told_whatever_was_written_since(watched: Watched, since: int) -> None:
    """Also where the record has as high a version as before, or a higher one."""
    seen = _set_back(watched)
    watched.hostup.living["AK1"] = "back"
    _asked_for_since(watched, since)
    watched.look(seen=seen)
    watched.passes(days=9)
    watched.look(seen=seen)
    assert watched.events().count("vault.set_back") == 1
    assert "AK1" in watched.hostup.living


@pytest.mark.parametrize("since", [0, 1, 100])
def test_a_history_that_went_on_is_no_sign(watched: Watched, since: int) -> None:
    """Also where the entry that was seen was archived meanwhile."""
    seen = watched.look().seen
    for _ in range(since):
        loaded = watched.store.load(TARGET.name, TARGET.path)
        now = watched.clock.now()
        watched.store.change(loaded, lambda record, now=now: note(record, Event.KEY_ADOPTED, now))  # type: ignore[misc]
        watched.look()
    watched.look(seen=seen)
    assert not watched.record().deletes_held


def test_what_is_kept_by_a_release_before_or_without_hashes_is_no_sign(watched: Watched) -> None:
    seen = watched.look().seen
    for known in (Seen(seen.version), replace(seen, entry_hash="")):
        watched.look(seen=known)
        assert not watched.record().deletes_held
    watched.look(seen=replace(seen, entry_hash="0" * 16))
    assert watched.record().deletes_held
