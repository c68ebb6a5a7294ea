"""What is not there is not always new: deleted, destroyed and never written are different answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.records import DAY, current, empty, request, retiring
from tests.worlds import SLACK, STATE, TARGET, Small
from worker.errors import RecordDeleted
from worker.events import Event
from worker.rotation.audit import audit
from worker.rotation.baseline import ensure_baseline
from worker.rotation.changes.rotation import note
from worker.rotation.history import encode_entry
from worker.rotation.ports import Seen
from worker.rotation.reconcile import accept, reconcile
from worker.rotation.records import RecordStore
from worker.rotation.survey import survey

RECORD = f"{STATE}/{TARGET.name}"
ACCOUNT = f"{STATE}/_account"


@pytest.fixture
def small() -> Small:
    """One target with a published key."""
    made = Small()
    ensure_baseline(made.services, made.targets)
    made.look()
    assert made.record().current
    return made


def soft_deleted(small: Small) -> None:
    small.vault.soft_delete(RECORD)


def destroyed(small: Small) -> None:
    small.vault.destroy(RECORD, len(small.vault.versions[RECORD]))


def deleted_with_its_metadata(small: Small) -> None:
    small.vault.forget(RECORD)


def only_the_archive_is_left(small: Small) -> None:
    small.vault.forget(RECORD)
    small.vault.forget(TARGET.path)
    small.vault.write(f"{STATE}/_archive/{TARGET.name}/000000000001", {"entries": []}, 0)


def only_an_older_version_of_the_secret_is_left(small: Small) -> None:
    small.vault.forget(RECORD)
    small.vault.versions[TARGET.path] += [{"password": "somebody's"}, None]


LOSSES = (
    soft_deleted,
    destroyed,
    deleted_with_its_metadata,
    only_the_archive_is_left,
    only_an_older_version_of_the_secret_is_left,
)


def see_that_nothing_is_touched(small: Small, act: Callable[[], object]) -> RecordDeleted:
    before, keys = repr(small.vault.versions), dict(small.hostup.living)
    with pytest.raises(RecordDeleted) as caught:
        act()
    assert repr(small.vault.versions) == before
    assert (small.hostup.living, small.hostup.deleted) == (keys, [])
    assert caught.value.target == TARGET.name
    return caught.value


@pytest.mark.parametrize("lose", LOSSES)
def test_a_lost_record_is_no_fresh_start(small: Small, lose: Callable[[Small], None]) -> None:
    lose(small)
    small.passes(days=40)
    see_that_nothing_is_touched(small, small.look)
    see_that_nothing_is_touched(small, lambda: small.look(watching=True))
    see_that_nothing_is_touched(small, lambda: accept(small.services, TARGET, request()))


@pytest.mark.parametrize("lose", LOSSES)
def test_a_lost_record_is_named_by_survey_and_audit(small: Small, lose: Callable[[Small], None]) -> None:
    lose(small)
    assert set(survey(small.services, small.targets).unreadable) == {TARGET.name}
    found = [f for f in audit(small.services, small.targets, SLACK).findings if f.kind == "record"]
    assert [finding.target for finding in found] == [TARGET.name]


def forgotten_with_the_secret(small: Small) -> None:
    small.vault.forget(RECORD)
    small.vault.forget(TARGET.path)


def forgotten_and_the_secret_deleted(small: Small) -> None:
    small.vault.forget(RECORD)
    small.vault.soft_delete(TARGET.path)


@pytest.mark.parametrize("lose", [forgotten_with_the_secret, forgotten_and_the_secret_deleted])
def test_where_nothing_in_vault_tells_of_a_record_what_workers_have_seen_does(
    small: Small, lose: Callable[[Small], None]
) -> None:
    lose(small)
    store = RecordStore(small.vault, STATE, small.clock, seen_version=lambda name: 4 if name == TARGET.name else 0)
    services = replace(small.services, store=store)
    error = see_that_nothing_is_touched(small, lambda: small.look(seen=Seen(4)))
    assert "a worker has seen version 4 of it" in error.what
    assert f"`rotator repair {TARGET.name}`" in error.hint
    see_that_nothing_is_touched(small, lambda: reconcile(services, TARGET, watching=True))
    see_that_nothing_is_touched(small, lambda: accept(services, TARGET, request()))
    assert set(survey(services, small.targets).unreadable) == {TARGET.name}
    assert store.open(replace(TARGET, name="web", path="apps/web")).version == 0


def test_the_error_names_the_version_and_the_command_that_brings_it_back(small: Small) -> None:
    version = len(small.vault.versions[RECORD])
    before = small.record()
    soft_deleted(small)
    error = see_that_nothing_is_touched(small, small.look)
    assert f"version {version} of secret/{RECORD} was deleted" in error.what
    assert f"`vault kv undelete -mount=secret -versions={version} {RECORD}`" in error.hint
    small.vault.undelete(RECORD, version)
    assert small.look().record == before


def test_a_destroyed_record_is_said_to_be_destroyed(small: Small) -> None:
    destroyed(small)
    error = see_that_nothing_is_touched(small, small.look)
    assert "was destroyed" in error.what
    assert f"`rotator repair {TARGET.name}`" in error.hint
    assert "undelete" not in error.hint


def test_a_record_that_is_deleted_under_a_running_change_is_not_made_anew(small: Small) -> None:
    loaded = small.store.open(TARGET)
    small.put(replace(loaded.record, nonce="another"))  # so that the change has to read again
    soft_deleted(small)
    note_it = lambda record: note(record, Event.KEY_ADOPTED, small.clock.now())  # noqa: E731 - it is one
    see_that_nothing_is_touched(small, lambda: small.store.change(loaded, note_it))


def test_a_new_target_begins_with_nothing(small: Small) -> None:
    other = replace(TARGET, name="web", path="apps/web")
    assert small.store.open(other).version == 0
    small.vault.versions["apps/web"] = [{"password": "somebody's"}, None]  # deleted by its owner, who wants us to write
    assert small.store.open(other).record.current is None


def test_a_target_under_a_new_name_says_so(small: Small) -> None:
    renamed = replace(TARGET, name="pictures")
    with pytest.raises(RecordDeleted, match="another name") as caught:
        small.look(renamed)
    assert "rotator repair pictures" in caught.value.hint


@pytest.mark.parametrize("lose", ["soft", "destroyed"])
def test_a_lost_count_of_foreign_keys_is_found_and_does_not_become_a_new_one(small: Small, lose: str) -> None:
    if lose == "soft":
        small.vault.soft_delete(ACCOUNT)
    else:
        small.vault.destroy(ACCOUNT, 1)
    with pytest.raises(RecordDeleted, match="_account"):
        ensure_baseline(small.services, small.targets)
    report = audit(small.services, small.targets, SLACK)
    assert (report.foreign, report.drift) == (None, None)
    assert [finding.kind for finding in report.findings] == ["account"]
    assert len(small.vault.versions[ACCOUNT]) == 1


def test_a_deleted_archive_is_not_a_short_history(small: Small) -> None:
    path = f"{STATE}/_archive/{TARGET.name}/000000000001"
    entry = note(empty(), Event.KEY_CREATED, small.clock.now(), access_key="AK7").history.entries()[0]
    small.vault.write(path, {"entries": [encode_entry(entry)]}, 0)
    assert [each.access_key for each in small.store.archived(TARGET.name)] == ["AK7"]
    small.vault.soft_delete(path)
    with pytest.raises(RecordDeleted, match="000000000001"):
        list(small.store.archived(TARGET.name))


def test_a_deleted_rescued_document_is_not_dealt_with(small: Small) -> None:
    path = small.store.put_rescued(TARGET.name, "rotation-1", {"access_key": "AK7"})
    small.vault.soft_delete(path)
    with pytest.raises(RecordDeleted, match="rotation-1"):
        small.store.rescued(TARGET.name)
    assert [f.kind for f in audit(small.services, small.targets, SLACK).findings] == ["rescued"]
    small.vault.forget(path)
    assert small.store.rescued(TARGET.name) == {}


def test_what_must_be_kept_now_is_kept_beside_a_deleted_document_of_its_name(small: Small) -> None:
    path = small.store.put_rescued(TARGET.name, "rotation-1", {"access_key": "AK7"})
    small.vault.soft_delete(path)
    other = small.store.put_rescued(TARGET.name, "rotation-1", {"access_key": "AK8"})
    assert small.vault.latest(other) == {"access_key": "AK8"}
    small.vault.undelete(path, 1)
    assert small.vault.latest(path) == {"access_key": "AK7"}


def test_an_old_number_never_destroys_a_new_version(small: Small) -> None:
    """After a delete with metadata, versions begin at 1 again: number 2 is another key's then."""
    small.vault.forget(TARGET.path)
    for access_key in ("AK5", "AK6", "AK1"):
        small.vault.versions.setdefault(TARGET.path, []).append({"access_key": access_key, "rotation_id": "r"})
    old = replace(retiring("AK9", deleted=True), vault_version=2)
    small.alter(current=replace(current("AK1", version=3)), retiring=(old,))
    small.passes(hours=1)
    assert small.look().record.retiring == ()
    assert small.vault.versions[TARGET.path][1] == {"access_key": "AK6", "rotation_id": "r"}


def test_the_version_of_a_dead_key_is_destroyed(small: Small) -> None:
    first = small.record().current
    assert first
    accept(small.services, TARGET, request("again", small.clock.now()))
    small.look()
    small.passes(days=2)
    small.look()
    small.clock.time += DAY
    small.look()
    assert small.record().retiring == ()
    assert small.vault.versions[TARGET.path][first.vault_version - 1] is None
