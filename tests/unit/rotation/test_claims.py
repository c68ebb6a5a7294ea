"""A key is one target's: what another has is neither published nor deleted, whatever HostUp's answer says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from tests.doubles import MemoryHostUp, MemoryVault
from tests.worlds import SLACK, STATE, TARGET, Small
from worker.errors import HostUpCall, HostUpUncertain, VaultDenied
from worker.rotation.audit import audit
from worker.rotation.claiming import claim_all
from worker.rotation.claims import KeyClaims, Owner
from worker.rotation.ports import CreatedKey, Life, Probe
from worker.rotation.reconcile import accept
from worker.rotation.record import Phase, Request, Why
from worker.rotation.survey import survey

DEAD = Probe(Life.DEAD, 403, "InvalidAccessKeyId", "tx", "refused with its own secret")
OTHER = replace(TARGET, name="other", path="apps/other")


@dataclass
class Repeating(MemoryHostUp):
    """Answers with the key that it made first, as a cache would; or only names it."""

    repeats: bool = False
    only_names: bool = False
    first: list[CreatedKey] = field(default_factory=list)

    def create_key(self, label: str) -> CreatedKey:
        made = super().create_key(label)
        self.first.append(made)
        if not self.repeats:
            return made
        if self.only_names:
            why = HostUpUncertain("no secret", HostUpCall("create_key"), access_key=self.first[0].access_key)
            raise why
        return self.first[0]


@pytest.fixture
def hostup() -> Repeating:
    return Repeating()


@pytest.fixture
def small(hostup: Repeating) -> Small:
    world = Small(hostup=hostup)
    world.targets = {TARGET.name: TARGET, OTHER.name: OTHER}
    return world


def documents(small: Small) -> dict[str, object]:
    folder = f"{STATE}/_keys"
    return {name: small.vault.latest(f"{folder}/{name}") for name in small.vault.list(folder)}


def test_a_key_has_its_document_from_the_create_to_its_death_and_beyond(small: Small) -> None:
    small.look()
    first = small.record().current
    assert first is not None
    assert documents(small) == {
        "AK1": {"target": "media", "rotation_id": first.rotation_id, "access_key": "AK1", "state": "living"}
    }
    small.passes(days=31)
    small.look()
    small.passes(days=2)
    small.look()
    small.passes(hours=1)
    small.look()
    assert small.hostup.deleted == ["AK1"]
    assert {name: dict(found)["state"] for name, found in documents(small).items()} == {"AK1": "dead", "AK2": "living"}  # type: ignore[call-overload]


@pytest.mark.parametrize("only_names", [False, True], ids=["with its secret", "named only"])
def test_a_key_of_another_target_is_neither_published_nor_deleted(
    small: Small, hostup: Repeating, *, only_names: bool
) -> None:
    small.look()
    hostup.repeats, hostup.only_names = True, only_names
    small.look(OTHER)
    record = small.record("other")
    assert record.current is None
    assert record.retiring == ()
    (create,) = record.unconfirmed_creates
    assert "AK1, which is on record already for target media" in create.error
    assert record.phase is Phase.FAILED
    hostup.repeats = False
    small.passes(hours=2)
    small.look(OTHER)
    small.passes(days=3)
    small.look(OTHER)
    assert small.hostup.deleted == []
    current = small.record("other").current
    assert current is not None
    assert current.access_key != "AK1"


def test_a_key_of_an_earlier_rotation_is_not_taken_again(small: Small, hostup: Repeating) -> None:
    small.look()
    hostup.repeats = True
    small.passes(days=31)
    small.look()
    record = small.record()
    assert record.current is not None
    assert record.current.access_key == "AK1"
    assert record.retiring == ()
    assert len(record.unconfirmed_creates) == 1


def test_a_key_is_not_deleted_for_a_target_that_it_is_not_of(small: Small) -> None:
    small.look()
    small.passes(days=31)
    small.look()
    small.vault.write(f"{STATE}/_keys/AK1", {"target": "other", "rotation_id": "r", "state": "living"}, 1)
    small.passes(days=2)
    small.look()
    assert small.hostup.deleted == []
    (key,) = small.record().retiring
    assert "AK1 was to be deleted, but it is on record for target other" in key.error


@pytest.mark.parametrize("document", [{}, {"target": 7}, {"target": ""}, {"other": "words"}])
def test_a_document_that_names_nobody_stands_in_nobodys_way(small: Small, document: dict[str, object]) -> None:
    small.vault.write(f"{STATE}/_keys/AK1", document, 0)
    small.look()
    current = small.record().current
    assert current is not None
    assert current.access_key == "AK1"


@dataclass
class Denying(MemoryVault):
    """Does not allow to write whose a key is."""

    def _write(self, path: str, data: object, cas: int) -> object:  # type: ignore[override]
        if "/_keys/" in path:
            raise VaultDenied("denied", operation="write", path=path, status=403)
        return super()._write(path, data, cas)  # type: ignore[arg-type]


def test_a_key_is_not_lost_where_vault_does_not_allow_the_claim() -> None:
    small = Small(vault=Denying())
    small.look()
    current = small.record().current
    assert current is not None
    assert current.access_key == "AK1"


class TestDocuments:
    ME = Owner("media", "rotation-1")

    def test_one_wins(self) -> None:
        claims = KeyClaims(MemoryVault(), STATE)
        assert claims.claim("AK", self.ME) == self.ME
        assert claims.claim("AK", self.ME) == self.ME
        assert claims.claim("AK", Owner("other", "rotation-2")) == self.ME
        assert claims.owner("AK") == self.ME
        assert claims.owner("AK2") is None

    def test_a_person_hands_over(self) -> None:
        claims = KeyClaims(MemoryVault(), STATE)
        claims.hand_over("AK2", "other")
        assert claims.owner("AK2") == Owner("other", None), "also a key that was nobody's"
        claims.claim("AK", self.ME)
        claims.hand_over("AK", "media")
        assert claims.owner("AK") == self.ME
        claims.hand_over("AK", "other")
        assert claims.owner("AK") == Owner("other", None)

    def test_only_its_own_target_notes_its_death(self) -> None:
        vault = MemoryVault()
        claims = KeyClaims(vault, STATE)
        claims.claim("AK", self.ME)
        claims.note_dead("AK", "other", DEAD)
        assert (vault.latest(claims.path("AK")) or {})["state"] == "living"
        claims.note_dead("AK", "media", DEAD)
        assert (vault.latest(claims.path("AK")) or {})["state"] == "dead"
        assert claims.owner("AK") == self.ME
        claims.note_dead("AK", "media", replace(DEAD, code="another"))
        assert claims.proof_of_death("AK", "media") == replace(DEAD, status=None), "what was first counts"

    def test_any_name_is_one_segment(self) -> None:
        claims = KeyClaims(MemoryVault(), STATE)
        odd = ["..", ".", "a/b", "a+b=", "é", "a%2Fb", "x" * 129, "sha256.x", "a?b", "a#b"]
        paths = [claims.path(name) for name in ["AKIA", "a_b-c", *odd]]
        assert len(set(paths)) == len(paths)
        assert paths[0] == f"{STATE}/_keys/AKIA"
        for path in paths:
            name = path.removeprefix(f"{STATE}/_keys/")
            assert "/" not in name
            assert name.isascii()
            assert name not in (".", "..")


class TestKeysWithoutADocument:
    """Of a release before, or because somebody removed it: another target may have been given the key since."""

    @pytest.fixture
    def mixed_up(self, small: Small, hostup: Repeating) -> Small:
        """Both targets publish AK1, which only the second one has by the key's document; then that one rotates."""
        small.look()
        small.vault.forget(f"{STATE}/_keys/AK1")
        hostup.repeats = True
        small.look(OTHER)
        hostup.repeats = False
        assert [current_of(small, name) for name in small.targets] == ["AK1", "AK1"]
        small.passes(days=15)
        request = Request(id="again", reason="", at=small.clock.now())
        accept(small.services, OTHER, request)
        small.look(OTHER)
        assert current_of(small, "other") != "AK1"
        return small

    def end_of_grace(self, small: Small) -> None:
        small.passes(days=2)
        small.look(OTHER)

    def test_a_key_that_another_one_publishes_is_not_deleted(self, mixed_up: Small) -> None:
        self.end_of_grace(mixed_up)
        assert mixed_up.hostup.asked_to_delete == []
        (key,) = mixed_up.record("other").retiring
        assert "AK1 was to be deleted, but it is on record for target media" in key.error

    def test_nor_is_it_where_every_key_had_its_document_before(self, mixed_up: Small) -> None:
        mixed_up.store.claims.note_complete(mixed_up.clock.now())
        claim_all(mixed_up.services, survey(mixed_up.services, mixed_up.targets))  # as an audit does that finds this
        self.end_of_grace(mixed_up)
        assert mixed_up.hostup.asked_to_delete == []

    def test_nor_by_a_person_who_revokes_it(self, mixed_up: Small) -> None:
        retiring = mixed_up.record("other").retiring
        mixed_up.put(replace(mixed_up.record("other"), retiring=tuple(replace(k, why=Why.REVOKED) for k in retiring)))
        self.end_of_grace(mixed_up)
        assert mixed_up.hostup.asked_to_delete == []

    def test_once_nobody_needs_it_it_is_deleted(self, mixed_up: Small) -> None:
        self.end_of_grace(mixed_up)
        mixed_up.passes(days=15)
        mixed_up.look()
        assert current_of(mixed_up, "media") != "AK1"
        self.end_of_grace(mixed_up)
        assert mixed_up.hostup.deleted == ["AK1"]
        mixed_up.look()
        mixed_up.passes(hours=1)
        for target in mixed_up.targets.values():
            mixed_up.look(target)
        assert [mixed_up.record(name).retiring for name in mixed_up.targets] == [(), ()]

    def test_not_while_an_app_reads_it_whatever_the_record_says(self, mixed_up: Small) -> None:
        self.end_of_grace(mixed_up)
        mixed_up.passes(days=15)
        mixed_up.look()
        path = TARGET.path
        mixed_up.vault.write(path, mixed_up.vault.read_version(path, 1).data or {}, 2)  # a person put it back
        self.end_of_grace(mixed_up)
        assert mixed_up.hostup.asked_to_delete == []

    def test_a_key_that_nobody_else_has_gets_its_document_and_is_deleted(self, small: Small) -> None:
        owners = {}
        for days in (0, 31):
            small.passes(days=days)
            small.look()
            current = small.record().current
            assert current is not None
            owners[current.access_key] = Owner("media", current.rotation_id)
            small.vault.forget(f"{STATE}/_keys/{current.access_key}")
        small.passes(days=2)
        small.look()
        assert small.hostup.deleted == ["AK1"]
        assert {key: small.store.claims.owner(key) for key in owners} == owners

    def test_every_record_is_looked_at_only_once(self, small: Small) -> None:
        small.look()
        for _ in range(2):
            small.passes(days=31)
            small.look()
            small.passes(days=2)
            small.look()
            small.vault.versions[f"{STATE}/broken"] = [{"names": ["AK1", "AK2", "AK3"]}]
        assert small.hostup.deleted == ["AK1", "AK2"]

    @pytest.mark.parametrize(("document", "deleted"), [({"a": ["b", "AK1"]}, []), (None, []), ({"a": 1}, ["AK1"])])
    def test_a_record_that_cannot_be_read_may_have_it(
        self, small: Small, document: dict[str, object] | None, deleted: list[str]
    ) -> None:
        small.vault.versions[f"{STATE}/broken"] = [document]
        small.look()
        small.passes(days=31)
        small.look()
        small.passes(days=2)
        small.look()
        assert small.hostup.deleted == deleted
        assert small.store.claims.complete_since() is None

    def test_the_audit_tells_of_a_key_on_two_records(self, mixed_up: Small) -> None:
        report = audit(mixed_up.services, mixed_up.targets, SLACK)
        found = [finding for finding in report.findings if finding.kind == "shared"]
        assert [finding.what for finding in found] == ["access key AK1 is on record for media and other"]

    def test_a_person_who_hands_it_over_has_the_last_word(self, mixed_up: Small) -> None:
        claim_all(mixed_up.services, survey(mixed_up.services, mixed_up.targets))
        claims = mixed_up.store.claims
        assert claims.owner("AK1") == Owner("other", mixed_up.record("other").retiring[0].rotation_id, also=("media",))
        claims.hand_over("AK1", "other")
        assert claims.owner("AK1") == Owner("other", None)


def current_of(small: Small, name: str) -> str | None:
    current = small.record(name).current
    return current.access_key if current else None
