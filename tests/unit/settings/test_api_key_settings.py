"""The API key in Vault: where it may lie, what it excludes, and what else needs it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.settings.configuring import TARGET, problems, read
from worker.settings.environment import Need

IN_VAULT = '[hostup]\napi_key_path = "rotator/hostup"\n'
WITHOUT = {"HOSTUP_API_KEY": None}


def test_a_path_stands_instead_of_the_variable(tmp_path: Path) -> None:
    settings = read(tmp_path, IN_VAULT + TARGET, env=WITHOUT)
    assert (settings.hostup.api_key_path, settings.hostup.api_key) == ("rotator/hostup", None)
    assert settings.hostup.api_key_every is None


def test_nothing_is_different_without_it(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, env=WITHOUT)
    assert "HOSTUP_API_KEY: is missing" in problem


@pytest.mark.parametrize("name", ["HOSTUP_API_KEY", "HOSTUP_API_KEY_FILE"])
@pytest.mark.parametrize("needs", [Need.NOTHING, Need.HOSTUP | Need.VAULT])
def test_both_are_one_too_many(tmp_path: Path, name: str, needs: Need) -> None:
    file = tmp_path / "key"
    file.write_text("a-key")
    given = {**WITHOUT, name: str(file) if name.endswith("FILE") else "a-key"}
    (problem,) = problems(tmp_path, IN_VAULT + TARGET, env=given, needs=needs)
    assert problem == f"environment: {name}: is set beside api_key_path under [hostup]; leave one of them out"


LIES = {
    "state": ("hostup-rotator/state/x", "state_path"),
    "state itself": ("hostup-rotator/state", "state_path"),
    "above the state": ("hostup-rotator", "state_path"),
    "receipts": ("hostup-rotator/receipts/apps", "receipts_path"),
    "an app's": ("apps/media", 'the target "media"'),
    "below an app's": ("apps/media/hostup", 'the target "media"'),
    "above an app's": ("apps", 'the target "media"'),
}


@pytest.mark.parametrize(("path", "named"), LIES.values(), ids=LIES)
def test_it_has_a_path_of_its_own(tmp_path: Path, path: str, named: str) -> None:
    found = problems(tmp_path, f'[hostup]\napi_key_path = "{path}"\n' + TARGET, env=WITHOUT)
    assert found
    assert all(each.startswith("FILE: [hostup] api_key_path: ") for each in found)
    assert any(named in each for each in found)
    assert all("give the API key a path of its own" in each for each in found)


def test_a_name_that_only_begins_so_is_another_path(tmp_path: Path) -> None:
    read(tmp_path, '[hostup]\napi_key_path = "apps/media-key"\n' + TARGET, env=WITHOUT)


def test_its_age_and_scopes(tmp_path: Path) -> None:
    text = IN_VAULT + 'api_key_every = "90d"\napi_key_scopes = ["one", "two"]\n' + TARGET
    hostup = read(tmp_path, text, env=WITHOUT).hostup
    assert (hostup.api_key_every, hostup.api_key_scopes) == (timedelta(days=90), ("one", "two"))


@pytest.mark.parametrize("line", ['api_key_every = "90d"', 'api_key_scopes = ["one"]'])
def test_a_key_in_a_variable_cannot_be_rolled(tmp_path: Path, line: str) -> None:
    (problem,) = problems(tmp_path, f"[hostup]\n{line}\n" + TARGET)
    assert "needs api_key_path" in problem


@pytest.mark.parametrize("given", ["variable", "file", "setting"])
def test_the_bootstrap_key_comes_from_a_variable_or_a_file(tmp_path: Path, given: str) -> None:
    file = tmp_path / "bootstrap"
    file.write_text("bootstrap-key\n")
    env = {
        "variable": {"HOSTUP_BOOTSTRAP_KEY": "bootstrap-key"},
        "file": {"HOSTUP_BOOTSTRAP_KEY_FILE": str(file)},
        "setting": {},
    }[given]
    line = f'bootstrap_key_file = "{file}"\n' if given == "setting" else ""
    settings = read(tmp_path, IN_VAULT + line + TARGET, env={**WITHOUT, **env})
    assert settings.hostup.has_bootstrap
    if given != "setting":
        assert "bootstrap-key" in [secret.reveal() for secret in settings.secrets()]
    (problem,) = problems(tmp_path, f"[hostup]\n{line}" + TARGET, env=env)
    assert "without api_key_path" in problem


def test_it_never_stands_in_the_file(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, IN_VAULT + 'bootstrap_key = "the-secret"\n' + TARGET, env=WITHOUT)
    assert problem.startswith("FILE: [hostup] bootstrap_key: is not set in the file; set HOSTUP_BOOTSTRAP_KEY")
    assert "the-secret" not in problem


MEDIA = '[[account]]\nname = "media"\napi_key_path = "keys/media"\n'
OF_MEDIA = TARGET + 'account = "media"\n'


def test_each_account_has_it_for_itself(tmp_path: Path) -> None:
    file = tmp_path / "bootstrap"
    file.write_text("bootstrap-key\n")
    lines = f'api_key_every = "90d"\napi_key_scopes = ["one"]\nbootstrap_key_file = "{file}"\n'
    settings = read(tmp_path, MEDIA + lines + OF_MEDIA)
    media = settings.accounts["media"]
    assert (media.hostup.api_key_path, media.hostup.api_key_every) == ("keys/media", timedelta(days=90))
    assert (media.hostup.api_key_scopes, media.hostup.has_bootstrap) == (("one",), True)
    assert media.bootstrap_place == "bootstrap_key_file of account media"
    assert "bootstrap-key" in [secret.reveal() for secret in settings.secrets()]
    assert not settings.hostup.has_bootstrap


@pytest.mark.parametrize("name", ["HOSTUP_BOOTSTRAP_KEY_MEDIA", "HOSTUP_BOOTSTRAP_KEY_MEDIA_FILE"])
def test_the_bootstrap_key_of_an_account_has_its_name_behind(tmp_path: Path, name: str) -> None:
    file = tmp_path / "bootstrap"
    file.write_text("bootstrap-key\n")
    settings = read(tmp_path, MEDIA + OF_MEDIA, env={name: str(file) if name.endswith("FILE") else "bootstrap-key"})
    hostup = settings.accounts["media"].hostup
    assert hostup.bootstrap_key
    assert hostup.bootstrap_key.reveal() == "bootstrap-key"
    assert settings.accounts["media"].bootstrap_place == "HOSTUP_BOOTSTRAP_KEY_MEDIA_FILE"
    assert "bootstrap-key" in [secret.reveal() for secret in settings.secrets()]


NO_PATH = '[[account]]\nname = "media"\n'
KEYS = {"HOSTUP_API_KEY_MEDIA": "of-media"}
BOOTSTRAP = {"HOSTUP_BOOTSTRAP_KEY_MEDIA": "a-second-key"}


@pytest.mark.parametrize(
    ("text", "env", "expected"),
    [
        (NO_PATH + 'api_key_every = "9d"\n' + OF_MEDIA, KEYS, "api_key_every: needs api_key_path"),
        (NO_PATH + OF_MEDIA, KEYS | BOOTSTRAP, "[[account]] media: its bootstrap key is given without api_key_path"),
        (MEDIA + OF_MEDIA, BOOTSTRAP | {"HOSTUP_BOOTSTRAP_KEY_MEDIA_FILE": "/a"}, "give one bootstrap key only"),
        (MEDIA + OF_MEDIA, {"HOSTUP_BOOTSTRAP_KEY_MEDIA_FILE": "/nowhere"}, "MEDIA_FILE: /nowhere cannot be read"),
        (IN_VAULT + MEDIA.replace("keys/media", "rotator/hostup") + OF_MEDIA, WITHOUT,
         "[[account]] media api_key_path: rotator/hostup is that of account default already"),
        (MEDIA.replace("keys/media", "apps/media") + OF_MEDIA, {}, 'the target "media"'),
        (MEDIA + OF_MEDIA + 'also = ["keys/media"]\n', {}, "keys/media and keys/media lie in each other"),
        (IN_VAULT + TARGET + 'also = ["near:rotator/hostup"]\n[[destination]]\nname = "near"\n', WITHOUT,
         "[hostup] api_key_path: rotator/hostup and rotator/hostup lie in each other"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_accounts_key_is_said(
    tmp_path: Path, text: str, env: dict[str, str | None], expected: str
) -> None:
    found = problems(tmp_path, text, env=env)
    assert any(expected in problem for problem in found), found
    assert not any("another" in problem and "another account" not in problem for problem in found), (
        "no secret is quoted"
    )


def test_a_copy_elsewhere_may_have_the_same_path(tmp_path: Path) -> None:
    far = 'also = ["far:rotator/hostup"]\n[[destination]]\nname = "far"\nmount = "other"\n'
    read(tmp_path, IN_VAULT + TARGET + far, env=WITHOUT)
