"""In which form a key is named in a DELETE: by the other one, too, until the key is proven dead."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from tests.doubles import MemoryHostUp, one_account
from tests.unit.rotation.test_watch import DENIED, NO_SUCH_KEY, SLOW_DOWN, OddStorage
from tests.worlds import TARGET, Small
from worker.errors import HostUpCall, HostUpRefused
from worker.rotation.ports import DeletedKey, Probe

AMBIGUOUS = (400, 404, 410)


@dataclass
class OneForm(MemoryHostUp):
    """Takes one form only, and answers the other with this status: as an error where the real client does so."""

    understood: str = "plain"
    says: int = 404
    asked: list[str] = field(default_factory=list)

    def delete_key(self, access_key: str, form: str = "base64") -> DeletedKey:
        self.asked.append(form)
        if form == self.understood:
            return super().delete_key(access_key, form)
        if self.says == 400:
            raise HostUpRefused("what key?", HostUpCall("delete_key", 400), request_id="request-400")
        return DeletedKey(self.says, "request-gone", form)


def _world(hostup: OneForm) -> tuple[Small, OddStorage]:
    """AK1 was replaced by AK2, and its grace is over."""
    hostup.living["BY-HAND"] = "before"
    small = Small(hostup=hostup)
    storage = OddStorage(hostup)
    small.services = replace(small.services, accounts=one_account(hostup, storage))
    small.look()
    small.passes(days=31)
    small.look()
    small.passes(days=2)
    return small, storage


@pytest.mark.parametrize("status", AMBIGUOUS)
@pytest.mark.parametrize("wrong", [NO_SUCH_KEY, DENIED, SLOW_DOWN, None], ids=["unknown", "denied", "busy", "right"])
def test_a_key_that_lives_is_deleted_by_the_form_that_is_understood(status: int, wrong: Probe | None) -> None:
    """Whatever the gateway says of a wrong secret."""
    small, storage = _world(OneForm(says=status))
    storage.wrong = dict.fromkeys(("AK1", "AK2"), wrong) if wrong else {}
    small.look()
    assert small.hostup.deleted == ["AK1"]
    entries = [entry for entry in small.record().history.entries() if entry.event == "key.retired"]
    assert [(entry.request_id, entry.facts["form"]) for entry in entries] == [("delete-of-AK1", "plain")]


@pytest.mark.parametrize("status", AMBIGUOUS)
def test_so_is_one_whose_secret_is_known_no_more(status: int) -> None:
    small, storage = _world(OneForm(says=status))
    storage.wrong = dict.fromkeys(("AK1", "AK2"), NO_SUCH_KEY)
    small.vault.destroy(TARGET.path, 1)
    small.look()
    assert small.hostup.deleted == ["AK1"]


@pytest.mark.parametrize("status", AMBIGUOUS)
def test_a_key_that_is_proven_dead_is_asked_for_once(status: int) -> None:
    hostup = OneForm(says=status)
    small, _ = _world(hostup)
    del hostup.living["AK1"]
    small.look()
    assert hostup.asked == ["base64"]
    assert small.record().retiring == ()


def test_where_both_forms_are_unknown_and_nothing_proves_it_the_key_stays_on_record() -> None:
    hostup = OneForm(says=404)
    small, storage = _world(hostup)
    del hostup.living["AK1"]
    storage.wrong = dict.fromkeys(("AK1", "AK2"), NO_SUCH_KEY)
    small.vault.destroy(TARGET.path, 1)
    small.look()
    assert hostup.asked == ["base64", "plain"]
    (key,) = small.record().retiring
    assert key.deleted_at is not None


def test_a_refusal_that_says_nothing_of_the_key_is_not_asked_again_otherwise() -> None:
    class Forbidding(OneForm):
        def delete_key(self, access_key: str, form: str = "base64") -> DeletedKey:
            self.asked.append(form)
            raise HostUpRefused(f"{access_key}: no", HostUpCall("delete_key", 403))

    hostup = Forbidding()
    small, _ = _world(hostup)
    small.look()
    assert hostup.asked == ["base64"]
    (key,) = small.record().retiring
    assert "HostUpRefused" in key.error
