"""``[[account]]``: what it may be, where its API key comes from, and which targets belong to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.configuring import ENV, TARGET, problems, read
from worker.secret import Secret
from worker.settings.account_keys import variable_of
from worker.settings.environment import Need
from worker.settings.settings import load
from worker.targets.target import Target

MEDIA = '[[account]]\nname = "media"\n'
OF_MEDIA = TARGET + 'account = "media"\n'
OTHER = TARGET.replace("media", "other")
KEY = {"HOSTUP_API_KEY_MEDIA": "of-media"}


def test_one_account_needs_no_table(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert list(settings.accounts) == ["default"]
    assert settings.accounts["default"].hostup is settings.hostup
    assert settings.accounts["default"].storage is settings.storage
    assert settings.targets["media"].account == "default"


def test_a_target_names_its_account(tmp_path: Path) -> None:
    more = 'base_url = "https://other.example"\nparallel_creates = 5\nendpoint = "https://s3.example"\nregion = "x"\n'
    settings = read(tmp_path, MEDIA + more + OF_MEDIA + OTHER, env=KEY)
    assert list(settings.accounts) == ["default", "media"]
    account = settings.accounts["media"]
    assert (account.hostup.base_url, account.hostup.parallel_creates) == ("https://other.example", 5)
    assert (account.storage.endpoint, account.storage.region) == ("https://s3.example", "x")
    assert account.hostup.api_key == Secret("of-media")
    assert {name: target.account for name, target in settings.targets.items()} == {"media": "media", "other": "default"}
    assert Secret("of-media") in settings.secrets()


def test_without_a_target_and_a_key_there_is_no_default_account(tmp_path: Path) -> None:
    alone = read(tmp_path, MEDIA + OF_MEDIA, env={**KEY, "HOSTUP_API_KEY": None})
    assert list(alone.accounts) == ["media"]
    assert list(read(tmp_path, MEDIA + OF_MEDIA, env=KEY).accounts) == ["default", "media"], "its old keys may be there"
    file = tmp_path / "rotator.toml"
    file.write_text(MEDIA + OF_MEDIA + OTHER, encoding="utf-8")
    env = {name: value for name, value in ENV.items() if name != "HOSTUP_API_KEY"}
    assert list(load(file, env, Need.NOTHING, only=()).accounts) == ["default", "media"], "whichever targets matter"


def test_the_key_may_stand_in_a_file_or_in_vault(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-the-file\n", encoding="utf-8")
    named = read(tmp_path, MEDIA + f'api_key_file = "{tmp_path / "key"}"\n' + OF_MEDIA)
    assert named.accounts["media"].hostup.api_key == Secret("from-the-file")
    assert named.accounts["media"].hostup.api_key_file == tmp_path / "key"
    by_variable = read(tmp_path, MEDIA + OF_MEDIA, env={"HOSTUP_API_KEY_MEDIA_FILE": str(tmp_path / "key")})
    assert by_variable.accounts["media"].hostup.api_key == Secret("from-the-file")
    in_vault = read(tmp_path, MEDIA + 'api_key_path = "keys/media"\n' + OF_MEDIA)
    assert in_vault.accounts["media"].hostup.api_key_path == "keys/media"
    first = read(tmp_path, '[hostup]\napi_key_path = "keys/first"\n' + TARGET, env={"HOSTUP_API_KEY": None})
    assert first.hostup.api_key_path == "keys/first"


@pytest.mark.parametrize(
    ("text", "env", "expected"),
    [
        (MEDIA + OF_MEDIA, {}, "environment: HOSTUP_API_KEY_MEDIA: is missing"),
        (MEDIA + OTHER, {"HOSTUP_API_KEY": None}, "environment: HOSTUP_API_KEY: is missing"),
        (MEDIA + 'api_key_path = "k"\n' + OF_MEDIA, KEY, "api_key_path: stands beside HOSTUP_API_KEY_MEDIA"),
        ('[hostup]\napi_key_path = "k"\n' + TARGET, {}, "HOSTUP_API_KEY: is set beside api_key_path under"),
        (MEDIA + OF_MEDIA, {"HOSTUP_API_KEY_MEDIA": "two words"}, "HOSTUP_API_KEY_MEDIA: must be one word"),
        (MEDIA + OF_MEDIA, {"HOSTUP_API_KEY_MEDIA_FILE": "/nowhere/key"}, "MEDIA_FILE: /nowhere/key cannot be read"),
        (MEDIA + 'api_key_file = "/nowhere/key"\n' + OF_MEDIA, {}, "api_key_file: /nowhere/key cannot be read"),
        (MEDIA + TARGET + 'account = "medai"\n', KEY, "medai is no account; did you mean media? there are"),
        ('[[account]]\nname = "default"\n' + TARGET, {}, "default is the account of [hostup] and [storage]"),
        (MEDIA + MEDIA + TARGET, KEY, "is that of another account already"),
        ('[[account]]\nname = "a-b"\n[[account]]\nname = "a.b"\n' + TARGET, {}, "HOSTUP_API_KEY_A_B, which is that of"),
        ('[[account]]\nname = "file"\n' + TARGET, {}, "would be HOSTUP_API_KEY_FILE, which is that of [hostup]"),
        (MEDIA + '[[account]]\nname = "media-file"\n' + TARGET, {}, "HOSTUP_API_KEY_MEDIA_FILE, which is that of"),
        ("[account]\nname = 1\n" + TARGET, {}, "must be written [[account]]"),
        ("[[account]]\n" + TARGET, {}, "account[1]: name: is missing; it is what the account is called"),
        (MEDIA + 'colour = "red"\n' + TARGET, KEY, "colour: is an unknown name"),
        ("[worker]\nconcurrency = 1\n" + MEDIA + OF_MEDIA, KEY, "concurrency: is too few for 2 accounts"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path: Path, text: str, env: dict[str, str | None], expected: str) -> None:
    found = problems(tmp_path, text, env=env)
    assert any(expected in problem for problem in found), found
    assert not any("two words" in problem for problem in found), "a secret is never quoted"


def test_a_key_is_asked_for_where_a_target_needs_it_only(tmp_path: Path) -> None:
    assert list(read(tmp_path, MEDIA + OTHER).accounts) == ["default", "media"]
    assert read(tmp_path, MEDIA + OF_MEDIA, needs=Need.VAULT).accounts["media"].hostup.api_key is None


def test_the_variable_is_made_of_the_name() -> None:
    assert variable_of("default") == "HOSTUP_API_KEY"
    assert variable_of("eu-north.1") == "HOSTUP_API_KEY_EU_NORTH_1"


def test_a_target_with_another_account_has_another_plan(tmp_path: Path) -> None:
    plans = [target.plan() for target in _both(tmp_path)]
    assert len(set(plans)) == 2, "so that a look comes at once, and not at the next rotation only"


def _both(folder: Path) -> list[Target]:
    return [read(folder, MEDIA + text, env=KEY).targets["media"] for text in (TARGET, OF_MEDIA)]
