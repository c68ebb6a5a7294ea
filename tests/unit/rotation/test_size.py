"""However long a text from outside is, a record stays so small that Vault takes it, and a key in hand is never lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles import Gate
from tests.records import HOLDER, MINUTE, NOW, create, created, current, empty, request, retiring, rotation
from tests.worlds import SLACK, STATE, TARGET, Small
from worker.errors import HostUpCall, HostUpUncertain, RecordTooLarge, RotatorError, UsageError, VaultTooLarge
from worker.events import Event
from worker.rotation.audit import audit
from worker.rotation.changes.creates import CreateOutcome, create_unconfirmed
from worker.rotation.changes.retirement import delete_failed
from worker.rotation.changes.rotation import Grace, failed, note, published, requested, staged, verified
from worker.rotation.changes.settlement import Settlement, found_in, settled_create
from worker.rotation.decide import RETIRING_LIMIT, Archive, decide
from worker.rotation.history import LONGEST_ARCHIVE, LONGEST_HISTORY, History, encode_entry
from worker.rotation.ports import Document
from worker.rotation.record import Phase, Record, Request, encode
from worker.rotation.size import LONGEST_RECORD, MOST_STRINGS, see_that_it_fits, trimmed
from worker.rotation.texts import LONGEST_ID, LONGEST_REASON, LONGEST_TEXT, short
from worker.rotation.trace import entries
from worker.targets.fields import PRESETS

T = TypeVar("T")
HUGE = "x" * 500_000
VAULT_TAKES = 512 * 1024
OPENBAO_TAKES = 1000


def size(record: Record) -> int:
    return len(json.dumps(encode(record)))


def strings(value: Any) -> int:
    """Names and texts, counted by another way than the code's own."""
    found = 0
    heap = [value]
    while heap:
        each = heap.pop()
        found += isinstance(each, str)
        heap += [*each, *each.values()] if isinstance(each, dict) else each if isinstance(each, list) else []
    return found


@pytest.mark.parametrize(
    "name",
    ["", "x" * (LONGEST_ID + 1), HUGE, "a\nb", "a\x1b[2Jb", "\u202eab", "a\x00"],
    ids=lambda name: ascii(name)[:20],
)
def test_an_id_that_is_none_is_refused_and_not_quoted(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        requested(empty(), request(name))
    assert len(str(caught.value)) < 400
    assert not name or name not in str(caught.value)


@pytest.mark.parametrize("name", ["1", "x" * LONGEST_ID, "2121ae20-bd9d-41e9-aeeb-5dd1dd1a24ba", "ö-ä"])
def test_an_id_that_is_one_is_taken(name: str) -> None:
    assert requested(empty(), request(name)).requests[0].id == name


def test_a_long_reason_is_cut() -> None:
    noted = requested(empty(), Request(id="1", reason=HUGE, at=NOW))
    assert len(noted.requests[0].reason) == LONGEST_REASON
    assert noted.requests[0].reason.endswith("(500000 characters)")
    assert size(noted) < 2000


def _why(text: str) -> HostUpUncertain:
    return HostUpUncertain(text, HostUpCall("create_key"), hint=text)


CREATING = replace(empty(), current=current(), rotation=rotation())
CHANGES: dict[str, Callable[[str], Record]] = {
    "note": lambda text: note(empty(), Event.AUDIT_FOUND, NOW, error=text, salvaged=[text] * 1000),
    "failed": lambda text: failed(empty(), _why(text), NOW, NOW, operation="begin"),
    "unconfirmed": lambda text: create_unconfirmed(CREATING, HOLDER, CreateOutcome(_why(text), None), NOW, NOW),
    "a delete that failed": lambda text: delete_failed(
        replace(empty(), retiring=(retiring(),)), "AK9", _why(text), NOW, NOW
    ),
    "requested": lambda text: requested(empty(), Request(id="1", reason=text, at=NOW)),
    "salvaged": lambda text: staged(CREATING, HOLDER, replace(created(), salvaged=(text,) * 1000), NOW, MINUTE),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@given(letter=st.characters(), length=st.integers(min_value=0, max_value=500_000))
def test_no_text_makes_a_record_large(change: Callable[[str], Record], letter: str, length: int) -> None:
    assert size(change(letter * length)) < VAULT_TAKES // 4


@given(text=st.text(max_size=300), longest=st.integers(min_value=40, max_value=200))
def test_what_is_cut_says_so(text: str, longest: int) -> None:
    cut = short(text, longest)
    assert len(cut) <= longest
    assert cut == text or (len(text) > longest and cut.endswith(f"... ({len(text)} characters)"))


def test_of_an_apps_secret_only_what_can_be_an_id_is_taken() -> None:
    fields = PRESETS["plain"]
    secret = {"access_key": "AK", "request_id": HUGE, "rotation_id": HUGE, "label": HUGE}
    found = found_in(fields, Document(secret, 1))
    assert found is not None
    assert (found.request_id, found.rotation_id, len(found.label or "")) == (None, None, LONGEST_REASON)
    assert found_in(fields, Document({**secret, "access_key": HUGE}, 1)) is None


@pytest.mark.parametrize("name", [HUGE, "x" * (LONGEST_ID + 1), "AK\n"], ids=["huge", "long", "line end"])
def test_a_person_cannot_name_a_key_that_is_none(name: str) -> None:
    record = replace(empty(), unconfirmed_creates=(create(),))
    with pytest.raises(UsageError) as caught:
        settled_create(record, create().rotation_id, Settlement("named", name), NOW)
    assert len(str(caught.value)) < 400


# --- records of hand edits and older releases


def test_a_record_with_long_texts_is_read_trimmed_and_goes_on() -> None:
    small = Small()
    old = Request(id=HUGE, reason=HUGE, at=NOW - MINUTE)
    history = History((encode_entry(note(empty(), Event.ROTATION_REQUESTED, NOW).history.added[0]),))
    small.put(replace(empty(), requests=(old,), served=((HUGE, "rotation-0"),), history=history, next_entry=2))
    assert size(small.record()) > 1_000_000
    small.look()
    assert small.record().current is not None
    assert small.hostup.made == ["AK1"]
    assert size(small.record()) < 5000
    # what was asked for is still one request, and is served
    assert small.record().requests == ()
    small.look()
    assert small.hostup.made == ["AK1"]


def test_names_are_never_cut() -> None:
    name = "K" * 5000
    record = replace(empty(), retiring=(replace(retiring(name), error=HUGE),))
    assert trimmed(record).retiring[0].access_key == name
    assert len(trimmed(record).retiring[0].error) == LONGEST_TEXT
    small = trimmed(record)
    assert trimmed(small) is small


# --- before the POST


def full(keys: int, texts: int) -> Record:
    """So many keys that retire, and as many unconfirmed creates that are settled, with errors of so many characters."""
    return replace(
        empty(),
        current=current(),
        retiring=tuple(replace(retiring(f"R{n}", timedelta(days=1)), error="e" * texts) for n in range(keys)),
        unconfirmed_creates=tuple(
            replace(create(3, rotation_id=f"rotation-{n}"), error="e" * texts, settled="yes") for n in range(keys)
        ),
    )


@pytest.mark.parametrize("record", [full(RETIRING_LIMIT - 1, 20_000), full(25, 10)], ids=["bytes", "names"])
def test_no_key_is_made_that_might_not_fit(record: Record) -> None:
    small = Small()
    record = replace(
        record,
        retiring=record.retiring[: RETIRING_LIMIT - 1],
        unconfirmed_creates=tuple(
            replace(c, label=c.label + "l" * 20_000 if size(record) > LONGEST_RECORD else c.label)
            for c in (*record.unconfirmed_creates, *record.unconfirmed_creates)
        ),
    )
    small.put(replace(record, requests=(request(at=NOW),)))
    with pytest.raises(RecordTooLarge):
        see_that_it_fits(small.record())
    small.look()
    assert small.hostup.made == []
    failure = small.record().failure
    assert failure is not None
    assert failure.kind == "RecordTooLarge"
    assert "retiring keys" in failure.what
    assert any(f.kind == "failing" for f in audit(small.services, small.targets, SLACK).findings)


def test_a_record_with_which_a_rotation_may_begin_can_take_the_rest_of_it() -> None:
    """At the very limit: the key, its publishing, every request that may wait, an error at every key that retires."""
    record = replace(empty(), current=current(), rotation=rotation())
    while strings(encode(record)) < MOST_STRINGS - 20 and len(record.retiring) < RETIRING_LIMIT - 1:
        record = replace(record, retiring=(*record.retiring, retiring(f"R{len(record.retiring)}")))
    while strings(encode(record)) < MOST_STRINGS - 20:
        more = replace(create(3, rotation_id=f"rotation-{len(record.unconfirmed_creates)}"), settled="yes")
        record = replace(record, unconfirmed_creates=(*record.unconfirmed_creates, more))
    see_that_it_fits(record)
    for number in range(32):
        record = requested(record, request(f"message-{number}"))
        assert strings(encode(record)) <= OPENBAO_TAKES
    record = staged(record, HOLDER, created(), NOW, MINUTE)
    for key in record.retiring:
        record = delete_failed(record, key.access_key, _why("no"), NOW, NOW)
    assert record.rotation is not None
    assert record.rotation.phase is Phase.STAGED
    record = verified(record, HOLDER.rotation_id, NOW)
    assert strings(encode(record)) <= OPENBAO_TAKES
    assert strings(encode(published(record, HOLDER.rotation_id, 2, NOW, Grace(MINUTE)))) <= OPENBAO_TAKES


# --- after the POST


class _Grows(Gate):
    """Somebody makes Vault's limit so small that what comes after the intent does not fit any more."""

    def __init__(self, small: Small) -> None:
        self.small = small

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        del lost
        if name == "hostup create":
            self.small.vault.longest = size(self.small.record()) + 20
        return effect()


def test_a_key_that_does_not_fit_is_rescued_and_nothing_loops() -> None:
    small = Small()
    small.hostup.gate = _Grows(small)
    before = small.clock.time
    with pytest.raises(VaultTooLarge):
        small.look()
    assert small.clock.time - before < MINUTE
    assert small.hostup.made == ["AK1"]
    assert [saved["access_key"] for saved in small.store.rescued(TARGET.name).values()] == ["AK1"]
    assert "rescued" in [f.kind for f in audit(small.services, small.targets, SLACK).findings]
    # nor does it when the lease is over, and no other key is made
    for _ in range(5):
        small.passes(minutes=5)
        with pytest.raises(RotatorError):
            small.look()
    assert small.hostup.made == ["AK1"]
    # once there is room it goes on
    small.vault.longest = None
    small.look()
    assert [each.rotation_id for each in small.record().unconfirmed_creates]


# --- a long history leaves the record earlier


@pytest.mark.parametrize(("number", "length"), [(50, 5000), (10, 40_000), (3, 100_000), (1, 400_000), (60, 10_000)])
def test_a_long_history_is_archived_earlier_and_stays_whole(number: int, length: int) -> None:
    small = Small()
    record = empty()
    for _ in range(number):
        record = note(record, Event.AUDIT_FOUND, NOW)
    added = tuple(replace(entry, facts={"what": "w" * length}) for entry in record.history.added)
    small.put(replace(record, history=History((), added)))
    record = small.record()
    assert record.history.is_long
    assert decide(record, NOW + MINUTE, NOW, {}) == Archive()
    small.look()
    assert sum(map(len, small.record().history.texts())) < LONGEST_HISTORY + 5000
    assert [entry.number for entry in entries(small.store, TARGET.name)][:number] == list(range(1, number + 1))
    archives = [path for path in small.vault.versions if path.startswith(f"{STATE}/_archive")]
    for path in archives:
        texts = (small.vault.latest(path) or {})["entries"]
        assert len(texts) == 1 or sum(map(len, texts)) <= LONGEST_ARCHIVE


def test_a_history_that_is_as_long_as_it_may_be_stays() -> None:
    assert not History(("x" * 1000,) * (LONGEST_HISTORY // 1000)).is_long
