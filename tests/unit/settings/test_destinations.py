"""Destinations: where they are, how to log in there, and that no two secrets lie at one place however it is spelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.configuring import ENV, TARGET, problems, read
from worker.secret import Secret
from worker.settings.destinations import root_of
from worker.settings.environment import Need
from worker.settings.vault import VaultSettings
from worker.targets.location import Location

EU = '[[destination]]\nname = "eu"\nmount = "kv"\n'
FAR = f'{EU}address = "https://vault.eu.example:8200"\n'
HERE_TOO = '[[destination]]\nname = "same"\nmount = "secret"\n'
TOKEN = {"VAULT_TOKEN_EU": "hvs.of-eu"}


def also(*places: str) -> str:
    return f"{TARGET}also = {list(places)}\n".replace("'", '"')


def test_a_target_with_copies(tmp_path: Path) -> None:
    settings = read(tmp_path, also("apps/media/copy", "eu:/apps/media/") + EU)
    assert settings.targets["media"].also == (Location("apps/media/copy"), Location("apps/media", "eu"))
    assert read(tmp_path).targets["media"].also == ()


def test_a_path_may_have_a_colon_behind_its_first_part(tmp_path: Path) -> None:
    settings = read(tmp_path, also("apps/media:copy", "eu:a:b/c") + EU)
    assert settings.targets["media"].also == (Location("apps/media:copy"), Location("a:b/c", "eu"))


def test_a_change_of_copies_is_a_change_of_the_plan(tmp_path: Path) -> None:
    before, after = read(tmp_path).targets["media"], read(tmp_path, also("apps/copy")).targets["media"]
    assert before.plan() != after.plan()


def test_a_destination_in_the_same_vault_shares_its_login_and_namespace(tmp_path: Path) -> None:
    settings = read(tmp_path, also("eu:apps/media") + EU, env={"VAULT_NAMESPACE": "team", "VAULT_CACERT": __file__})
    eu = settings.destinations["eu"]
    assert (eu.shares_login, eu.vault.address, eu.vault.namespace) == (True, ENV["VAULT_ADDR"], "team")
    assert (eu.vault.mount, str(eu.vault.ca_file)) == ("kv", __file__)


def test_another_vault_has_a_login_of_its_own(tmp_path: Path) -> None:
    env = {**TOKEN, "VAULT_NAMESPACE": "team", "VAULT_CACERT": __file__, "VAULT_CLIENT_CERT": __file__}
    settings = read(tmp_path, also("eu:apps/media") + FAR, env=env)
    eu = settings.destinations["eu"]
    assert (eu.shares_login, eu.vault.address, eu.vault.namespace) == (False, "https://vault.eu.example:8200", None)
    assert eu.vault.token == Secret("hvs.of-eu")
    assert (str(eu.vault.ca_file), eu.vault.client_cert) == (__file__, None)
    assert Secret("hvs.of-eu") in settings.secrets()


def test_a_login_by_files_and_by_approle(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("hvs.in-a-file\n", "utf-8")
    eu = read(tmp_path, FAR + TARGET, env={"VAULT_TOKEN_EU_FILE": str(file)}).destinations["eu"].vault
    assert (eu.token, eu.token_file) == (None, file)
    file.write_text("role\n", "utf-8")
    env = {"VAULT_ROLE_ID_EU_FILE": str(file), "VAULT_SECRET_ID_EU": "s3cret"}
    eu = read(tmp_path, FAR + TARGET, env=env).destinations["eu"].vault
    assert (eu.role_id, eu.role_id_file, eu.secret_id, eu.token) == ("role", file, Secret("s3cret"), None)


def test_another_vault_without_a_login_is_refused_where_a_login_is_needed(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, FAR + TARGET)
    assert problem.startswith("environment: VAULT_TOKEN_EU: is missing; to log in to the Vault of the destination eu ")
    eu = read(tmp_path, FAR + TARGET, needs=Need.NOTHING).destinations["eu"]
    assert (eu.vault.mount, eu.shares_login, eu.vault.token) == ("kv", False, None), "no login goes to another Vault"


def test_what_is_wrong_with_its_variables_names_them(tmp_path: Path) -> None:
    found = problems(tmp_path, FAR + TARGET, env={"VAULT_TOKEN_EU": "two words", "VAULT_SECRET_ID_EU": "s"})
    assert any(each.startswith("environment: VAULT_TOKEN_EU: is set beside VAULT_SECRET_ID_EU") for each in found)
    assert any(each.startswith("environment: VAULT_TOKEN_EU: must be one word") for each in found)
    assert not any("VAULT_TOKEN:" in each or "two words" in each for each in found)
    (both,) = problems(tmp_path, FAR + TARGET, env={"VAULT_TOKEN_EU": "t", "VAULT_TOKEN_EU_FILE": "/nowhere"})
    assert "VAULT_TOKEN_EU: is set, and VAULT_TOKEN_EU_FILE too" in both


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (EU.replace("eu", "Eu"), 'destination[1] name: "Eu" is not a name'),
        (EU + 'colour = "red"\n', "destination[1] colour: is an unknown name"),
        (EU + 'token = "t"\n', "destination[1] token: is not set in the file; set VAULT_TOKEN in the environment"),
        (EU + EU, "destination[2] name: eu would have variables of the names that eu has"),
        (
            EU + EU.replace('"eu"', '"e-u"') + EU.replace('"eu"', '"e.u"'),
            "e.u would have variables of the names that e-u",
        ),
        (EU.replace('"eu"', '"file"'), "file would have variables of the names that [vault] has"),
        (EU + EU.replace('"eu"', '"eu-file"'), "variables of the names that eu has"),
        ("destination = 3\n", "destination: must be written [[destination]]"),
        (EU + 'address = "http://vault.example"\n', "destination[1] address: must begin with https://"),
    ],
)
def test_destinations_that_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    found = problems(tmp_path, text + TARGET if text.startswith("destination") else TARGET + text)
    assert any(problem in each for each in found), found


@pytest.mark.parametrize(
    ("places", "problem"),
    [
        (["apps/media"], "apps/media is named twice, or is where the secret itself lies"),
        (["same:apps/media"], "same:apps/media is named twice, or is where the secret itself lies"),
        (["apps/x", "same:apps/x"], "same:apps/x is named twice"),
        (["apps/x", "apps/x/"], "apps/x is named twice"),
        (["hostup-rotator/state/x"], "lies in state_path"),
        (["same:hostup-rotator/state/x"], "lies in state_path"),
        (["same:hostup-rotator/receipts"], "lies in receipts_path"),
        (["us:apps/x"], 'there is no [[destination]] "us"; there is: eu, same'),
        (["aeu:apps/x"], "did you mean eu?"),
        (["eu:"], "eu:"),
        (["eu:a//b"], "is not a path"),
        (["eu:../b"], "is not a path"),
        ([f"apps/{n}" for n in range(9)], "has 9 places; at most 8 are allowed"),
    ],
)
def test_places_that_are_refused(places: list[str], problem: str, tmp_path: Path) -> None:
    (found,) = problems(tmp_path, also(*places) + EU + HERE_TOO)
    assert found.startswith('FILE: target[1] "media": also: ')
    assert problem in found


@pytest.mark.parametrize("place", ["apps/backup", "same:apps/backup", "eu:apps/x"])
def test_no_two_targets_have_one_place_however_it_is_spelled(place: str, tmp_path: Path) -> None:
    other = '[[target]]\nname = "backup"\npath = "apps/backup"\nevery = "30d"\nalso = ["eu:apps/x"]\n'
    found = problems(tmp_path, other + also(place) + EU + HERE_TOO)
    assert f"{place} is that of target[1] already" in found[0]
    found = problems(tmp_path, also(place) + other + EU + HERE_TOO)
    assert "is that of target[1] already" in found[0]


def test_one_mount_is_one_however_it_is_spelled() -> None:
    spelled = [
        VaultSettings(address="https://vault.example", namespace="a/b", mount="kv"),
        VaultSettings(address="https://VAULT.example:443/", namespace="/a/b/", mount="kv/"),
        VaultSettings(address="https://vault.example.:443", namespace="a", mount="b/kv"),
        VaultSettings(address="https://vault.example", mount="a/b/kv"),
    ]
    assert len({root_of(each) for each in spelled}) == 1
    here = [
        VaultSettings(address=f"http://{host}:8200", namespace="root") for host in ("localhost", "127.0.0.1", "[::1]")
    ]
    assert len({root_of(each) for each in here}) == 1
    assert root_of(here[0]) != root_of(VaultSettings(address="http://localhost:8201"))
