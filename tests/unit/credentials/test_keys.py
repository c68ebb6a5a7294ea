from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.credentials.keys import LIFETIME, AppKey, expiration, key_in, look_every
from worker.errors import CredentialsUnusable
from worker.secret import Secret
from worker.targets.fields import PRESETS, SOURCES, FieldMap, field_map

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
VALUES: dict[str, object] = {name: f"the {name}" for name in SOURCES} | {"grace_seconds": 7200}


@pytest.mark.parametrize("names", [*PRESETS.values(), field_map({"access_key": "K", "secret_key": ("S", "T")})])
def test_a_secret_that_the_worker_wrote_is_recognised(names: FieldMap) -> None:
    told = names if names not in PRESETS.values() else None
    key = key_in(names.to_secret(VALUES), 7, told)
    assert (key.access_key, key.secret_key.reveal(), key.version) == ("the access_key", "the secret_key", 7)
    assert (key.endpoint, key.region, key.grace) == ("the endpoint", "the region", timedelta(hours=2))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"access_key": "AK"},
        {"access_key": "AK", "secret_key": ""},
        {"access_key": "AK", "secret_key": 5},
        {"AWS_ACCESS_KEY_ID": "AK", "secret_key": "canary"},
    ],
)
def test_what_holds_no_whole_key_is_an_error_without_a_value(fields: dict[str, object]) -> None:
    with pytest.raises(CredentialsUnusable) as raised:
        key_in(fields, 1)
    assert "canary" not in str(raised.value)
    assert "secret_access_key" in str(raised.value)


@pytest.mark.parametrize("grace", ["7200", 7200])
def test_grace_is_a_number_or_its_text(grace: object) -> None:
    assert _key({"grace_seconds": grace}).grace == timedelta(hours=2)


@given(st.one_of(st.none(), st.booleans(), st.text(), st.floats(), st.integers(), st.lists(st.integers())))
def test_a_grace_that_makes_no_sense_is_none_and_never_an_error(grace: object) -> None:
    found = _key({"grace_seconds": grace}).grace
    assert found is None or timedelta(0) < found < timedelta(days=1200)


@given(st.integers(min_value=1, max_value=34_560_000))
def test_a_program_asks_again_while_the_key_before_still_works(seconds: int) -> None:
    """It reads the key as late as a look is old, and keeps it as long as it is told: both fit into grace."""
    key = _key({"grace_seconds": seconds})
    age = max(look_every(timedelta(seconds=30), [key]), timedelta(seconds=1))
    kept = expiration(NOW, key.grace) - NOW
    assert kept <= LIFETIME
    assert kept + age <= max(timedelta(seconds=seconds), timedelta(seconds=seconds / 2 + 1))


def test_no_secret_is_shown() -> None:
    assert "canary" not in repr(AppKey("AK", Secret("canary"), 1, fields={"secret_key": "canary"}))


def _key(more: dict[str, object]) -> AppKey:
    return key_in({"access_key": "AK", "secret_key": "SK", **more}, 1)
