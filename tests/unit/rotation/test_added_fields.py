"""What somebody added to an app's secret stays there, and never the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.records import request
from tests.worlds import TARGET, Small
from worker.rotation.ports import Document, Written
from worker.rotation.reconcile import accept
from worker.rotation.steps.session import Session
from worker.targets.fields import PRESETS, field_map
from worker.targets.schedule import NEVER, Schedule
from worker.targets.target import Target

OWN = PRESETS["plain"].names


@pytest.fixture
def small() -> Small:
    """One target with a published key."""
    made = Small()
    made.look()
    return made


def patch(small: Small, **fields: Any) -> None:
    """What ``vault kv patch`` does."""
    there = small.vault.read(TARGET.path)
    small.vault.write(TARGET.path, {**(there.data or {}), **fields}, there.version)


def rotate(small: Small, target: Target = TARGET) -> Mapping[str, Any]:
    before = small.record().current
    accept(small.services, target, request(f"at {small.clock.now()}", small.clock.now()))
    small.look(target)
    small.passes(minutes=1)
    after, secret = small.record().current, small.vault.latest(TARGET.path)
    assert before
    assert after
    assert secret
    assert after.access_key != before.access_key
    return secret


def test_an_added_field_is_carried_over_again_and_again(small: Small) -> None:
    patch(small, bucket="media", nested={"a": [1]})
    for _ in range(3):
        secret = rotate(small)
        assert secret.keys() - OWN == {"bucket", "nested"}
        assert (secret["bucket"], secret["nested"]) == ("media", {"a": [1]})
    assert small.hostup.living.keys() >= {secret["access_key"]}


def test_a_field_that_is_removed_stays_away(small: Small) -> None:
    patch(small, bucket="media")
    rotate(small)
    there = small.vault.read(TARGET.path)
    small.vault.write(TARGET.path, {k: v for k, v in (there.data or {}).items() if k != "bucket"}, there.version)
    assert rotate(small).keys() == OWN


def test_our_own_fields_win(small: Small) -> None:
    patch(small, region="somewhere", label="mine")
    secret = rotate(small)
    assert secret["region"] == "eu-north-1"
    assert secret["label"] != "mine"


def test_extra_fields_are_published_and_win_over_added_ones(small: Small) -> None:
    patch(small, bucket="old", other="kept")
    secret = rotate(small, replace(TARGET, extra=(("bucket", "media"), ("tier", "gold"))))
    assert (secret["bucket"], secret["tier"], secret["other"]) == ("media", "gold", "kept")


def test_a_field_that_is_added_while_a_rotation_is_under_way_is_carried_over_too() -> None:
    small = Small()
    small.look()
    write = small.vault.write

    def first(path: str, data: Mapping[str, object], cas: int) -> Written:
        if path == TARGET.path and not patched:
            patched.append(path)
            patch(small, bucket="media")
        return write(path, data, cas)

    patched: list[str] = []
    object.__setattr__(small.services, "vault", Before(small.vault, first))
    assert rotate(small)["bucket"] == "media"


class Before:
    """A Vault whose writes somebody else comes before."""

    def __init__(self, vault: Any, write: Any) -> None:
        self._vault = vault
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vault, name)


def test_a_key_under_an_old_name_is_not_carried_over(small: Small) -> None:
    other = field_map({"secret_key": "S3_SECRET"})
    old = small.vault.latest(TARGET.path)
    assert old
    secret = rotate(small, replace(TARGET, fields=other))
    assert secret.keys() == other.names
    assert old["secret_key"] not in secret.values()
    patch(small, bucket="media")
    again = rotate(small, replace(TARGET, fields=other))
    assert again["bucket"] == "media"


def test_added_fields_of_a_secret_that_the_release_before_wrote_are_carried_over(small: Small) -> None:
    there = small.vault.read(TARGET.path)
    data = {**(there.data or {}), "bucket": "media"}
    del data["next_rotation_at"]
    small.vault.write(TARGET.path, data, there.version)
    assert small.look(watching=True).record.trouble is None
    secret = rotate(small)
    assert secret["bucket"] == "media"
    assert secret["next_rotation_at"]


def test_the_secret_says_when_its_key_is_to_be_rotated(small: Small) -> None:
    other = replace(TARGET, fields=field_map({"next_rotation_at": "S3_ROTATES_AT"}))
    secret = rotate(small, other)
    assert "next_rotation_at" not in secret
    due = small.look(other).due
    told = datetime.fromisoformat(secret["S3_ROTATES_AT"])
    assert due
    assert timedelta(0) <= due - told < timedelta(seconds=2), "as of the moment of writing, in whole seconds"
    assert told.utcoffset() == timedelta(0)


def test_another_schedule_writes_no_secret(small: Small) -> None:
    before = small.vault.read(TARGET.path)
    small.look(replace(TARGET, schedule=Schedule(every=timedelta(days=60))), watching=True)
    assert small.vault.read(TARGET.path) == before
    assert small.record().trouble is None


def test_what_is_not_of_our_rotation_is_a_conflict_still(small: Small) -> None:
    there = small.vault.read(TARGET.path)
    foreign = {**(there.data or {}), "rotation_id": "somebody's", "bucket": "b"}
    small.vault.write(TARGET.path, foreign, there.version)
    accept(small.services, TARGET, request("again", small.clock.now()))
    small.look()
    failure = small.record().failure
    assert failure
    assert "did not write" in failure.what
    assert small.vault.latest(TARGET.path) == foreign


def test_a_document_says_nothing_of_itself_where_a_session_is_shown() -> None:
    small = Small()
    loaded = small.store.load(TARGET.name, TARGET.path)
    session = Session(small.services, TARGET, loaded, secret=Document({"secret_key": "canary"}, 1))
    assert "canary" not in repr(session)


def test_the_secret_of_a_manual_target_names_no_moment(small: Small) -> None:
    assert rotate(small, replace(TARGET, schedule=Schedule(every=NEVER)))["next_rotation_at"] == ""
