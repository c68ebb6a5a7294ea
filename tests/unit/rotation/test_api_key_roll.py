"""The roll of the worker's own API key: what is done, what is on record, and what is said where it goes wrong."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.doubles import Killed
from tests.keys import BOOTSTRAP, FIRST, LEASE, PATH, RECORD, RESCUED, TICK, Failing, KeyWorld
from worker.errors import (
    HostUpCall,
    HostUpError,
    HostUpRateLimited,
    HostUpRefused,
    HostUpUncertain,
    PersonNeeded,
    RecordDeleted,
    RecordTooNew,
    RecordUnreadable,
    VaultDenied,
)
from worker.rotation.api_key.codec import decode, encode
from worker.rotation.api_key.record import Phase
from worker.rotation.api_key.tend import Standing, settle, standing
from worker.rotation.ports import NewApiKey, StorageStatus
from worker.secret import Secret


def test_a_roll_puts_the_new_key_in_its_place_and_leaves_the_rest_of_the_secret() -> None:
    world = KeyWorld()
    record = world.roll()
    assert record.phase is Phase.IDLE
    assert world.in_vault["api_key"] == "api-key-number-1"
    assert world.in_vault["key_id"] == "key_1" == record.key_id
    assert world.in_vault["note"] == FIRST["note"]
    assert world.events() == ["api_key.rolling", "api_key.received", "api_key.rolled"]
    last = record.history.entries()[-1]
    assert last.request_id == "request-roll-1"
    assert last.facts["by"] == "anna@host"
    assert (last.facts["old_key_id"], last.facts["new_key_id"]) == ("key_0", "key_1")
    assert record.grants.scopes == ("a:scope",)


def test_no_key_is_in_the_record_and_each_is_given_to_the_redaction_first() -> None:
    world = KeyWorld()
    world.roll()
    assert "api-key-number" not in json.dumps(world.vault.latest(RECORD))
    assert {"api-key-number-0", "api-key-number-1"} <= set(world.told)


def test_the_intent_is_on_record_before_the_call() -> None:
    world = KeyWorld()
    world.hostup.gate = Failing({"hostup roll": ["killed before"]})
    with pytest.raises(Killed):
        world.roll()
    assert (world.vault.latest(RECORD) or {})["phase"] == "rolling"


def test_while_its_lease_runs_nobody_else_touches_it() -> None:
    world = KeyWorld()
    world.hostup.gate = Failing({"hostup roll": ["killed before"]})
    with pytest.raises(Killed):
        world.roll()
    assert world.look().phase is Phase.ROLLING
    assert world.hostup.rolled == []


def test_a_call_that_was_never_made_is_found_out_and_not_repeated_at_once() -> None:
    world = KeyWorld()
    world.hostup.gate = Failing({"hostup roll": ["killed before"]})
    with pytest.raises(Killed):
        world.roll()
    began = world.clock.now()
    record = world.rest()
    assert record.phase is Phase.IDLE
    assert record.trouble
    assert "was not rolled, as far as is known" in record.trouble.what
    assert world.clock.now() - began >= timedelta(minutes=8)  # such a call may be carried out late
    assert world.hostup.rolled == []


def test_a_late_effect_is_seen() -> None:
    """The call timed out, the old key still worked when it was looked at, and then it was carried out after all."""
    world = KeyWorld()
    world.hostup.gate = Failing({"hostup roll": ["lost before"]})
    world.roll()
    world.clock.time += TICK
    assert world.look().phase is Phase.DOUBTFUL
    del world.hostup.living["api-key-number-0"]
    assert world.rest().phase is Phase.LOST


@pytest.mark.parametrize("fate", ["lost after", "killed after"])
def test_a_lost_answer_waits_for_a_person(fate: str) -> None:
    world = KeyWorld()
    world.hostup.gate = Failing({"hostup roll": [fate]})
    with suppress(Killed):
        world.roll()
    record = world.rest()
    assert record.phase is Phase.LOST
    assert record.needs_person
    assert not record.in_doubt  # from now on a refusal is a refusal
    assert record.trouble
    assert f"secret/{PATH}" in record.trouble.hint
    assert "rotator roll-api-key --settle" in record.trouble.hint
    world.clock.time += timedelta(hours=5)
    world.look()
    assert len(world.hostup.rolled) == 1
    assert world.events().count("api_key.lost") == 1


def test_an_effect_that_comes_very_late_is_seen() -> None:
    """It was said by then that the key was not rolled."""
    world = KeyWorld()
    world.hostup.gate = Failing({"hostup roll": ["lost before"]})
    world.roll()
    assert world.rest().phase is Phase.IDLE
    del world.hostup.living["api-key-number-0"]
    world.clock.time += timedelta(hours=2)
    assert world.look().phase is Phase.LOST


def test_after_a_day_a_call_is_believed_not_to_have_been_carried_out() -> None:
    world = KeyWorld()
    world.hostup.gate = Failing({"hostup roll": ["lost before"]})
    world.roll()
    world.rest()
    for _ in range(30):
        world.clock.time += timedelta(hours=1)
        record = world.look()
    assert (record.phase, record.call, record.trouble) == (Phase.IDLE, None, None)


def test_an_answer_of_a_gateway_says_nothing_of_the_old_key() -> None:
    world = KeyWorld()
    forbidden = HostUpRefused("blocked", HostUpCall("prove_api_key", 403))
    world.hostup.gate = Failing({"hostup roll": ["lost after"], "hostup prove": [forbidden] * 3})
    world.roll()
    for _ in range(3):
        world.clock.time += timedelta(minutes=10)
        assert world.look().phase is Phase.DOUBTFUL
    assert world.rest().phase is Phase.LOST


NOT_OF_THE_KEY = (403, 404, 405, 410, 302)


@pytest.mark.parametrize("status", NOT_OF_THE_KEY)
def test_a_dead_key_that_is_answered_with_something_else_than_401_is_told_after_an_hour(status: int) -> None:
    """And it is looked at on, should it have been a gateway's."""
    world = KeyWorld()
    world.hostup.unknown = status
    world.hostup.gate = Failing({"hostup roll": ["lost after"]})
    world.roll()
    began = world.clock.now()
    while (record := world.look()).phase is not Phase.LOST:
        assert world.clock.now() - began < timedelta(hours=2)
        world.clock.time += timedelta(minutes=1)
    assert world.clock.now() - began >= timedelta(hours=1)
    assert (record.needs_person, record.in_doubt) == (True, False)
    assert record.trouble
    assert "rotator roll-api-key --settle" in record.trouble.hint
    assert world.events().count("api_key.lost") == 1
    world.hostup.living["api-key-number-0"] = "key_0"
    world.clock.time += timedelta(minutes=6)
    assert world.look().phase is Phase.IDLE


def test_the_bootstrap_key_makes_another_one_for_a_key_that_is_answered_with_403_for_an_hour() -> None:
    world = KeyWorld().with_bootstrap()
    world.hostup.unknown = 403
    world.hostup.gate = Failing({"hostup roll": ["lost after"]})
    world.roll()
    assert world.rest(timedelta(minutes=1)).phase is Phase.IDLE
    assert (world.works, len(world.hostup.created)) == (True, 1)


@pytest.mark.parametrize("status", NOT_OF_THE_KEY)
def test_an_hour_of_refusals_begins_anew_when_the_old_key_works_in_between(status: int) -> None:
    world = KeyWorld()
    no = HostUpRefused("blocked", HostUpCall("prove_api_key", status))
    world.hostup.gate = Failing({"hostup roll": ["lost before"], "hostup prove": [no, no, "well", no, no, "well"]})
    world.roll()
    for _ in range(6):
        world.clock.time += timedelta(minutes=50)
        assert world.look().phase is not Phase.LOST


def test_too_many_requests_say_nothing_of_the_old_key() -> None:
    world = KeyWorld()
    world.hostup.gate = Failing({"hostup roll": ["lost after"], "hostup prove": [REFUSALS["429"]] * 4})
    world.roll()
    for _ in range(4):
        world.clock.time += timedelta(hours=1)
        assert world.look().phase is Phase.DOUBTFUL
    assert world.rest().phase is Phase.LOST


@pytest.mark.parametrize("status", NOT_OF_THE_KEY)
def test_a_rescued_key_that_is_answered_so_is_kept_and_the_loss_is_told(status: int) -> None:
    """HostUp may take it later: it could be the only copy of the new key."""
    world = KeyWorld()
    honest = world.hostup._roll  # noqa: SLF001 - what the double does
    world.hostup._roll = lambda *asked: replace(honest(*asked), sure=False)  # type: ignore[method-assign]  # noqa: SLF001
    no = HostUpRefused("blocked", HostUpCall("prove_api_key", status))
    world.hostup.gate = Failing({"hostup prove": [no] * 40})
    world.roll()
    assert world.rest(timedelta(minutes=10)).phase is Phase.LOST
    assert (world.vault.latest(RESCUED) or {})["keys"] == ["api-key-number-1"]
    world.hostup.gate = Failing({})
    world.clock.time += timedelta(minutes=10)
    assert (world.look().phase, world.works) == (Phase.IDLE, True)


@pytest.mark.parametrize("status", NOT_OF_THE_KEY)
def test_a_new_key_that_is_answered_so_waits_for_a_person(status: int) -> None:
    world = KeyWorld()
    no = HostUpRefused("blocked", HostUpCall("prove_api_key", status))
    world.hostup.gate = Failing({"hostup prove": [no] * 2})
    assert world.roll().phase is Phase.PLACED
    world.clock.time += timedelta(minutes=10)
    assert world.look().needs_person
    assert "api_key.lost" in world.events()
    world.clock.time += timedelta(minutes=10)
    assert world.look().phase is Phase.IDLE


def in_grace(*then: str) -> KeyWorld:
    """The answer to a roll was lost while HostUp lets the old key work on; it was said that it was not rolled."""
    world = KeyWorld()
    world.hostup.grace = True
    world.hostup.gate = Failing({"hostup roll": ["lost after", *then]})
    world.roll()
    assert world.rest().phase is Phase.IDLE
    return world


def test_a_key_whose_id_is_gone_was_rolled_by_the_call_before_and_that_is_told_before_it_dies() -> None:
    world = in_grace()
    record = world.roll()
    assert record.needs_person
    assert record.trouble
    assert "may die at any time" in record.trouble.what
    assert "rotator roll-api-key --settle" in record.trouble.hint
    assert world.events().count("api_key.lost") == 1
    world.clock.time += timedelta(days=3)  # for as long as it lives
    world.look()
    del world.hostup.living["api-key-number-0"]
    world.clock.time += timedelta(hours=2)
    assert world.look().phase is Phase.LOST
    assert len(world.hostup.rolled) == 1


def test_the_schedule_finds_it_gone_as_well_and_does_not_ask_again() -> None:
    world = in_grace()
    world.terms = replace(world.terms, every=timedelta(days=1))
    for _ in range(5):
        world.clock.time += timedelta(days=1)
        record = world.look()
    assert record.needs_person
    assert world.events().count("api_key.rolling") == 2
    assert world.events().count("api_key.lost") == 1


@pytest.mark.parametrize("refusal", ["400", "403", "429"])
def test_a_refusal_does_not_forget_the_unsettled_call_before_it(refusal: str) -> None:
    world = in_grace()
    world.hostup.gate = Failing({"hostup roll": [REFUSALS[refusal]]})
    assert not world.roll().needs_person
    del world.hostup.living["api-key-number-0"]
    world.clock.time += timedelta(hours=2)
    assert world.look().phase is Phase.LOST


def test_a_call_before_about_another_key_is_no_evidence() -> None:
    """A person has put another key there, with a wrong id."""
    world = in_grace()
    key, _ = world.hostup.add()
    world.vault.versions[PATH].append({"api_key": key, "key_id": "key_of_nobody"})
    record = world.roll()
    assert not record.needs_person
    assert record.trouble
    assert "no such key" in record.trouble.what


def test_a_person_ends_the_wait_for_a_gone_key_with_another_one() -> None:
    world = in_grace()
    world.roll()
    key, key_id = world.hostup.add()
    world.vault.versions[PATH].append({"api_key": key, "key_id": key_id})
    record = settle(world.desk, "anna@host")
    assert (record.phase, record.call, record.earlier, record.trouble) == (Phase.IDLE, None, None, None)


def test_a_garbled_answer_of_the_bootstrap_create_is_tried_out() -> None:
    world = KeyWorld().with_bootstrap()
    world.hostup.gate = Failing({"hostup roll": ["lost after"]})
    honest = world.hostup._create  # noqa: SLF001 - what the double does
    world.hostup._create = lambda *asked: replace(honest(*asked), sure=False)  # type: ignore[method-assign]  # noqa: SLF001
    world.roll()
    record = world.rest()
    assert (record.phase, world.works) == (Phase.IDLE, True)
    assert world.events().count("api_key.lost") == 1


def test_a_person_settles_it_with_a_key_that_works_and_with_no_other() -> None:
    world = KeyWorld()
    world.hostup.gate = Failing({"hostup roll": ["lost after"]})
    world.roll()
    world.rest()
    with pytest.raises(HostUpRefused):
        settle(world.desk, "anna@host")
    key, key_id = world.hostup.add()
    world.vault.versions[PATH].append({"api_key": key, "key_id": key_id})
    record = settle(world.desk, "anna@host")
    assert (record.phase, record.key_id, record.trouble) == (Phase.IDLE, key_id, None)
    assert record.history.entries()[-1].facts["by"] == "anna@host"


def test_a_key_that_a_person_puts_there_is_taken_up_by_itself() -> None:
    world = KeyWorld()
    world.hostup.gate = Failing({"hostup roll": ["lost after"]})
    world.roll()
    world.rest()
    key, key_id = world.hostup.add()
    world.vault.versions[PATH].append({"api_key": key, "key_id": key_id})
    world.clock.time += timedelta(minutes=6)
    assert world.look().phase is Phase.IDLE


def test_the_bootstrap_key_makes_another_one_with_the_scopes_that_were_told_last() -> None:
    world = KeyWorld().with_bootstrap()
    world.roll()
    world.hostup.gate = Failing({"hostup roll": ["lost after"]})
    world.clock.time += timedelta(days=1)
    world.roll()
    record = world.rest()
    assert (record.phase, world.works) == (Phase.IDLE, True)
    (wanted,) = world.hostup.created
    assert (wanted.name, wanted.scopes) == ("worker", ("a:scope",))


def test_before_any_answer_it_is_made_with_the_scopes_of_the_configuration() -> None:
    world = KeyWorld().with_bootstrap()
    world.hostup.gate = Failing({"hostup roll": ["lost after"]})
    world.roll()
    assert world.rest().phase is Phase.IDLE
    assert world.hostup.created[0].scopes == ("configured:scope",)


@pytest.mark.parametrize("fate", ["lost after", "lost before", "killed before", "killed after"])
def test_a_create_by_the_bootstrap_key_is_never_repeated(fate: str) -> None:
    world = KeyWorld().with_bootstrap()
    world.hostup.gate = Failing({"hostup roll": ["lost after"], "hostup create key": [fate]})
    for _ in range(2):
        with suppress(Killed):
            world.roll()
            world.rest()
        world.clock.time += timedelta(hours=1)
    record = world.rest()
    assert record.phase is Phase.LOST
    assert record.trouble
    assert "bootstrap key" in record.trouble.what
    assert len(world.hostup.created) == (1 if "after" in fate else 0)
    assert world.events().count("api_key.rolling") == 2


REFUSALS: dict[str, HostUpError] = {
    "400": HostUpRefused("no", HostUpCall("roll_api_key", 400), hint="Do it right."),
    "403": HostUpRefused("forbidden", HostUpCall("roll_api_key", 403), hint="Give it the right."),
    "429": HostUpRateLimited("too many", HostUpCall("roll_api_key", 429, retry_after=7200.0)),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_changes_nothing_and_is_tried_again_later(refusal: HostUpError) -> None:
    world = KeyWorld()
    world.terms = replace(world.terms, every=timedelta(days=90))
    world.hostup.gate = Failing({"hostup roll": [refusal]})
    record = world.roll()
    assert (record.phase, world.in_vault) == (Phase.IDLE, FIRST)
    assert record.trouble
    assert record.trouble.retry_at
    assert record.trouble.retry_at >= world.clock.now() + timedelta(hours=1)
    assert not record.needs_person


def test_a_refused_key_is_looked_into() -> None:
    """401 to the roll itself: an earlier call that timed out may have replaced it."""
    world = KeyWorld()
    world.hostup.living.clear()
    world.roll()
    assert world.rest().phase is Phase.LOST


def test_a_key_of_which_nobody_is_sure_is_kept_and_tried_out() -> None:
    world = KeyWorld()
    honest = world.hostup._roll  # noqa: SLF001 - what the double does

    def garbled(key_id: str, api_key: Secret) -> NewApiKey:
        new = honest(key_id, api_key)
        return replace(
            new, sure=False, salvaged=("text before the JSON",), others=(new.api_key,), api_key=Secret("w" * 20)
        )

    world.hostup._roll = garbled  # type: ignore[method-assign]  # noqa: SLF001 - its answer is garbled
    world.roll()
    record = world.rest()
    assert (record.phase, world.works) == (Phase.IDLE, True)
    assert world.in_vault["api_key"] == "api-key-number-1"
    assert "keys" not in (world.vault.latest(RESCUED) or {})  # what is in its place is not kept twice


def test_where_the_secret_cannot_be_written_the_key_is_kept_beside_the_record_and_told() -> None:
    world = KeyWorld()
    denied = VaultDenied("no", operation="write", path=PATH, status=403)
    world.vault.gate = Failing({f"vault write {PATH}": [denied, denied]})
    world.roll()
    assert (world.vault.latest(RESCUED) or {})["keys"] == ["api-key-number-1"]
    assert "api_key.stray" in world.events()
    record = world.rest()
    assert (record.phase, world.works) == (Phase.IDLE, True)


def test_a_key_that_somebody_else_put_there_meanwhile_is_not_replaced() -> None:
    world = KeyWorld()
    honest = world.hostup._roll  # noqa: SLF001 - what the double does

    def meanwhile(key_id: str, api_key: Secret) -> NewApiKey:
        new = honest(key_id, api_key)
        key, other = world.hostup.add()
        world.vault.versions[PATH].append({"api_key": key, "key_id": other})
        return new

    world.hostup._roll = meanwhile  # type: ignore[method-assign]  # noqa: SLF001 - somebody writes just then
    world.roll()
    record = world.rest()
    assert (record.phase, world.works) == (Phase.IDLE, True)
    assert world.in_vault["api_key"] not in ("api-key-number-0", "api-key-number-1")
    assert (world.vault.latest(RESCUED) or {})["keys"] == ["api-key-number-1"]  # nor is the new one thrown away
    settle(world.desk, "anna")
    assert "keys" not in (world.vault.latest(RESCUED) or {})


def test_another_field_that_somebody_adds_meanwhile_stays() -> None:
    world = KeyWorld()
    honest = world.hostup._roll  # noqa: SLF001 - what the double does

    def meanwhile(key_id: str, api_key: Secret) -> NewApiKey:
        world.vault.versions[PATH].append({**FIRST, "owner": "ops"})
        return honest(key_id, api_key)

    world.hostup._roll = meanwhile  # type: ignore[method-assign]  # noqa: SLF001 - somebody writes just then
    assert world.roll().phase is Phase.IDLE
    assert world.in_vault["owner"] == "ops"
    assert world.works


def test_a_new_key_that_may_not_do_anything_is_no_success() -> None:
    world = KeyWorld()
    world.hostup.forbidden.add("api-key-number-1")
    record = world.roll()
    assert record.phase is Phase.PLACED
    world.clock.time += timedelta(minutes=10)
    record = world.look()
    assert record.needs_person
    assert not record.in_doubt
    world.hostup.forbidden.clear()
    world.clock.time += timedelta(minutes=10)
    assert world.look().phase is Phase.IDLE


PREPARATIONS = {
    "no id": {"api_key": "api-key-number-0"},
    "no key": {"key_id": "key_0"},
    "not a word": {"api_key": "two words", "key_id": "key_0"},
}


@pytest.mark.parametrize("content", PREPARATIONS.values(), ids=PREPARATIONS)
def test_without_key_and_id_nothing_is_begun(content: dict[str, str]) -> None:
    world = KeyWorld()
    world.vault.versions[PATH] = [content]
    with pytest.raises(PersonNeeded) as caught:
        world.roll()
    assert f"secret/{PATH}" in caught.value.what
    assert caught.value.hint
    assert world.hostup.rolled == []


def test_without_the_right_to_write_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    world = KeyWorld()
    missing = {f"secret/data/{PATH}": ("update",)}
    monkeypatch.setattr(world.vault, "missing_capabilities", lambda _: missing)
    with pytest.raises(VaultDenied) as caught:
        world.roll()
    assert "update" in caught.value.what
    assert world.hostup.rolled == []


def test_on_schedule_it_is_rolled_when_it_is_old_enough() -> None:
    world = KeyWorld()
    world.terms = replace(world.terms, every=timedelta(days=90))
    world.clock.time += timedelta(days=89)
    world.look()
    assert world.hostup.rolled == []
    world.clock.time += timedelta(days=1)
    world.look()
    assert world.hostup.rolled == ["key_0"]
    world.clock.time += timedelta(days=89)
    world.look()
    assert len(world.hostup.rolled) == 1
    world.clock.time += timedelta(days=1)
    world.look()
    assert len(world.hostup.rolled) == 2


def test_how_it_stands_is_said_before_and_after_the_first_roll() -> None:
    world = KeyWorld()
    world.terms = replace(world.terms, every=timedelta(days=90))
    written = world.clock.now()
    assert standing(world.desk, world.look()) == Standing(written, written + timedelta(days=90), needs_person=False)
    world.clock.time += timedelta(days=1)
    assert standing(world.desk, world.roll()).made_at == world.clock.now()
    world.terms = replace(world.terms, every=None)
    assert standing(world.desk, world.look()).roll_at is None
    world.hostup.gate = Failing({"hostup roll": ["lost after"]})
    world.roll()
    assert standing(world.desk, world.rest()).needs_person


def test_a_key_that_is_not_in_vault_waits_for_a_person() -> None:
    world = KeyWorld()
    world.vault.versions[PATH] = [{"key_id": "key_0"}]
    assert standing(world.desk, world.look()) == Standing(None, None, needs_person=True)


def test_what_keeps_the_schedule_from_it_is_on_record_once() -> None:
    world = KeyWorld()
    world.terms = replace(world.terms, every=timedelta(days=1))
    world.vault.versions[PATH] = [{"api_key": "api-key-number-0"}]
    for _ in range(5):
        world.clock.time += timedelta(days=1)
        record = world.look()
    assert record.trouble
    assert "no field key_id" in record.trouble.what
    assert world.events() == ["api_key.failed"]


def test_an_uncertain_proof_is_tried_again() -> None:
    world = KeyWorld()
    away = HostUpUncertain("away", HostUpCall("prove_api_key", 503))
    world.hostup.gate = Failing({"hostup prove": [away, away]})
    assert world.roll().phase is Phase.PLACED
    assert world.works
    assert world.rest().phase is Phase.IDLE


def test_records_survive_writing_and_reading() -> None:
    world = KeyWorld()
    world.hostup.gate = Failing({"hostup roll": ["lost after"]})
    world.roll()
    world.rest()
    record = world.desk.store.load().record
    assert record.call
    record = replace(record, earlier=replace(record.call, refused_since=world.clock.now(), gone=True))
    again = decode(json.loads(json.dumps(encode(record))), "default")
    assert again == replace(record, history=again.history)
    assert again.history.texts() == record.history.texts()


@pytest.mark.parametrize("data", [{}, {"format": 1}, {"format": "1"}, {"format": 1, "phase": "asleep"}])
def test_a_record_of_garbage_is_said_to_be_so(data: dict[str, object]) -> None:
    world = KeyWorld()
    world.vault.versions[RECORD] = [data]
    with pytest.raises(RecordUnreadable):
        world.look()
    settle(world.desk, "anna")
    assert world.look().phase is Phase.IDLE


def test_a_record_of_a_newer_release_and_one_that_was_deleted_are_left_alone() -> None:
    world = KeyWorld()
    world.vault.versions[RECORD] = [{"format": 99}]
    with pytest.raises(RecordTooNew):
        world.look()
    world.vault.versions[RECORD] = [{"format": 1}]
    world.vault.soft_delete(RECORD)
    with pytest.raises(RecordDeleted):
        world.look()


def test_nobody_uses_the_bootstrap_key_while_all_is_well() -> None:
    world = KeyWorld().with_bootstrap()
    world.roll()
    world.rest()
    assert world.hostup.created == []
    assert BOOTSTRAP in world.hostup.living


def test_a_key_that_comes_while_hostup_is_asked_about_the_old_one_is_seen() -> None:
    """The one who asked was only slow: it puts its key there between two looks of another worker."""
    world = KeyWorld()
    world.hostup.gate = Failing({"hostup roll": ["lost after"]})
    world.roll()
    world.clock.time += TICK
    honest = world.hostup._prove  # noqa: SLF001 - what the double does

    def meanwhile(api_key: Secret) -> StorageStatus:
        if len(world.vault.versions[PATH]) == 1:
            world.vault.versions[PATH].append({"api_key": "api-key-number-1", "key_id": "key_1"})
        return honest(api_key)

    world.hostup._prove = meanwhile  # type: ignore[method-assign]  # noqa: SLF001 - somebody writes just then
    assert world.look().phase is Phase.IDLE
    assert "api_key.lost" not in world.events()


def test_a_slow_worker_that_comes_back_with_its_key_loses_nothing() -> None:
    """It was frozen until others had found out that the key was lost, and had made another one."""
    world = KeyWorld().with_bootstrap()
    honest = world.hostup._roll  # noqa: SLF001 - what the double does

    def slow(key_id: str, api_key: Secret) -> NewApiKey:
        new = honest(key_id, api_key)
        world.clock.time += 2 * LEASE
        world.rest()
        return new

    world.hostup._roll = slow  # type: ignore[method-assign]  # noqa: SLF001 - it is frozen with its answer
    world.roll()
    record = world.rest()
    assert (record.phase, world.works) == (Phase.IDLE, True)
    kept = (world.vault.latest(RESCUED) or {}).get("keys", [])
    assert set(world.hostup.living) - {BOOTSTRAP} == {world.in_vault["api_key"], *kept}
    assert "api_key.stray" in world.events()
