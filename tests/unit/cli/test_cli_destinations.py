"""What commands make of copies and destinations: rights, policies, plans."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.rotation.also import ALSO, Also
from tests.unit.settings.configuring import TARGET, read
from worker.cli.check_destinations import needed_at, of_left_alone
from worker.cli.check_vault import needed
from worker.cli.find import _document as found
from worker.cli.find import _facts as facts
from worker.cli.plan import Places, calls_of
from worker.cli.vault_plan import wanted, wanted_at
from worker.cli.vault_policy import rights_at, rights_of_app, rights_of_app_at, rights_of_worker
from worker.errors import ConfigurationError, UsageError
from worker.settings.environment import Need
from worker.settings.settings import Settings

EU = '[[destination]]\nname = "eu"\nmount = "kv"\n'
COPIES = f'{TARGET}also = ["apps/copy", "eu:apps/far"]\n'
WRITE, UPDATE = ("create", "update", "read"), ("update",)


def shared(folder: Path, extra: str = "", **env: str) -> Settings:
    return read(folder, f"{COPIES}{EU}{extra}", env=env)


def own(folder: Path, also: str = COPIES) -> Settings:
    return read(folder, f'{also}{EU}address = "https://vault.eu.example"\n', env={"VAULT_TOKEN_EU": "hvs.eu"})


def test_every_right_on_copies_is_asked_for_where_they_are(tmp_path: Path) -> None:
    settings = own(tmp_path)
    here = needed(settings)
    assert here["secret/data/apps/copy"] == ("create", "read", "update")
    assert here["secret/destroy/apps/copy"] == UPDATE
    assert not any("far" in path for path in here)
    assert needed_at(settings, "eu") == {
        "kv/data/apps/far": ("create", "read", "update"),
        "kv/destroy/apps/far": UPDATE,
    }


def test_the_policy_of_the_worker_has_the_copies_that_its_login_writes(tmp_path: Path) -> None:
    rights = rights_of_worker(shared(tmp_path))
    for path in ("secret/{}/apps/copy", "kv/{}/apps/far"):
        assert [rights[path.format(kind)] for kind in ("data", "destroy", "undelete")] == [WRITE, UPDATE, UPDATE]
        assert rights[path.format("metadata")] == ("read",)
    assert rights["secret/data/hostup-rotator/receipts/apps/copy"] == ("read",)
    assert rights["kv/config"] == ("read",)
    assert not any("apps/far" in path for path in rights_of_worker(own(tmp_path)))


@pytest.mark.parametrize(
    ("login", "there", "way"),
    [
        ({}, "team/eu", "team/eu/"),
        ({"VAULT_NAMESPACE": "team"}, "team/eu", "eu/"),
        ({"VAULT_NAMESPACE": "team"}, "team", ""),
    ],
)
def test_in_a_namespace_below_the_login_paths_begin_with_the_way_there(
    login: dict[str, str], there: str, way: str, tmp_path: Path
) -> None:
    rights = rights_of_worker(shared(tmp_path, f'namespace = "{there}"\n', **login))
    assert rights[f"{way}kv/data/apps/far"] == WRITE
    assert (f"{way}sys/internal/ui/mounts/kv" in rights) == bool(way)


def test_no_policy_reaches_a_namespace_that_is_not_below(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="destination eu: no policy in the namespace team gives rights in us"):
        rights_of_worker(shared(tmp_path, 'namespace = "us"\n', VAULT_NAMESPACE="team"))


def test_a_destination_with_a_login_of_its_own_has_a_policy_that_gives_its_copies_only(tmp_path: Path) -> None:
    settings = own(tmp_path)
    assert rights_at(settings, "eu") == {
        "kv/config": ("read",),
        "auth/token/lookup-self": ("read",),
        "auth/token/renew-self": UPDATE,
        "auth/token/revoke-self": UPDATE,
        "sys/capabilities-self": UPDATE,
        "kv/data/apps/far": WRITE,
        "kv/destroy/apps/far": UPDATE,
        "kv/metadata/apps/far": ("read",),
        "kv/undelete/apps/far": UPDATE,
    }
    without = read(tmp_path, f'{COPIES}{EU}address = "https://vault.eu.example"\n', needs=Need.NOTHING)
    assert rights_at(without, "eu") == rights_at(settings, "eu"), "to be printed before there is a login"
    with pytest.raises(UsageError, match="is used by the login of"):
        rights_at(shared(tmp_path), "eu")
    with pytest.raises(UsageError, match="is not configured"):
        rights_at(settings, "us")


@pytest.mark.parametrize("place", ["apps/+/x", "eu:apps/+"])
def test_a_copy_at_a_pattern_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="stands for any name"):
        rights_of_worker(read(tmp_path, f'{TARGET}also = ["{place}"]\n{EU}'))


def test_an_app_reads_the_copies_where_a_policy_can_let_it(tmp_path: Path) -> None:
    def readable(settings: Settings) -> set[str]:
        (target,) = settings.targets.values()
        return {path for path in rights_of_app(settings, target) if "/data/apps/" in path}

    here = readable(shared(tmp_path))
    assert "kv/data/apps/far" in here
    assert readable(shared(tmp_path, 'namespace = "eu"\n')) == readable(own(tmp_path)) == here - {"kv/data/apps/far"}
    without = own(tmp_path, TARGET)
    (target,) = without.targets.values()
    with pytest.raises(UsageError, match="has no copy at the destination eu"):
        rights_of_app_at(without, target, "eu")


def test_setting_vault_up_makes_mounts_in_the_same_namespace_and_at_a_destination_what_it_needs(tmp_path: Path) -> None:
    assert [thing.what for thing in wanted(shared(tmp_path), None)][:3] == [
        "secrets engine secret",
        "way to log in approle",
        "secrets engine kv",
    ]
    elsewhere = wanted(shared(tmp_path, 'namespace = "eu"\n'), None)
    assert "secrets engine kv" not in [thing.what for thing in elsewhere]
    assert [thing.what for thing in wanted_at(own(tmp_path), None, "eu")] == [
        "secrets engine kv",
        "way to log in approle",
        "policy hostup-rotator",
        "policy hostup-app-media",
        "role hostup-rotator",
        "role hostup-app-media",
    ]


def test_the_plan_has_every_call_for_copies_that_a_rotation_makes() -> None:
    world = Also()
    world.look()
    world.passes(days=31)
    world.there.calls.clear()
    world.look()
    world.passes(days=2)
    world.look()
    made = Counter(call.split()[1] for call in world.there.calls)
    places, known = Places("secret", "state", "receipts", {"eu": "kv"}), world.record()
    planned = [call for call in calls_of(ALSO, places, known) if "of eu" in call.why]
    kinds = {("GET", "/v1/kv/data/apps/object-storage"): "read", ("POST", "/v1/kv/data/apps/object-storage"): "write"}
    kinds |= {("GET", "/v1/kv/data/apps/object-storage?version=N"): "read"}
    kinds |= {("POST", "/v1/sys/capabilities-self"): "capabilities"}
    kinds |= {("POST", "/v1/kv/destroy/apps/object-storage"): "destroy"}
    named = Counter(kinds[call.method, call.path] for call in planned)
    assert made == named


def test_a_copy_that_was_taken_out_is_named_by_check() -> None:
    world = Also()
    world.look()
    records, targets = {ALSO.name: world.record()}, {ALSO.name: ALSO}
    assert list(of_left_alone(records, targets)) == []
    (verdict,) = of_left_alone(records, {ALSO.name: replace(ALSO, also=ALSO.also[:1])})
    assert (verdict.state, ALSO.also[1].name in verdict.detail) == ("warning", True)


def test_find_tells_where_copies_of_a_key_were_published() -> None:
    world = Also()
    world.look()
    document = found("AK1", "media", world.record().history.entries(), world.record())
    assert document["copies"] == [f"{copy.name} 1" for copy in ALSO.also]
    assert ("copies", "apps/media-copy, version 1; eu:apps/object-storage, version 1") in facts(document)
