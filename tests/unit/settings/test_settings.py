from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.unit.settings.configuring import ENV, TARGET, problems, read
from worker.errors import ConfigurationError
from worker.secret import Secret
from worker.settings.accounts import AccountEntry
from worker.settings.destinations import DestinationEntry
from worker.settings.environment import variables
from worker.settings.file import DEFAULT_PATH, find_file
from worker.settings.freezes import KEYS
from worker.settings.log import LogSettings
from worker.settings.metrics import MetricsSettings
from worker.settings.notify import NotifyEntry
from worker.settings.problems import PROBLEMS_SHOWN
from worker.settings.settings import (
    HostUpSettings,
    RedisSettings,
    StorageSettings,
    VaultSettings,
    WorkerSettings,
    load,
)
from worker.settings.targets import TargetEntry

ISSUE = """
[hostup]
base_url = "https://cloud.hostup.se/"
parallel_creates = 3
[storage]
endpoint = "http://127.0.0.1:9000"
region = "eu-north-1"
[vault]
mount = "kv/team"
state_path = "/rotator/state/"
address = "https://other.example"
approle_mount = "apps"
[redis]
url = "redis://other:6379"
[worker]
concurrency = 16
tick = "1s"
audit_every = "10m"
verify_within = "3m"
dead_within = "30m"
lease = "90s"
"""


def test_what_is_left_out_has_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.hostup == HostUpSettings(
        base_url="https://cloud.hostup.se", api_key=Secret("hostup-api-key"), parallel_creates=2
    )
    assert settings.storage == StorageSettings(endpoint=None, region=None)
    assert settings.vault == VaultSettings(
        address="https://vault.example:8200",
        mount="secret",
        state_path="hostup-rotator/state",
        namespace=None,
        ca_file=None,
        token=Secret("hvs.token"),
        token_file=None,
        role_id=None,
        secret_id=None,
        secret_id_wrapped=False,
        approle_mount="approle",
    )
    assert settings.worker == WorkerSettings(
        concurrency=8,
        tick=timedelta(seconds=5),
        audit_every=timedelta(hours=1),
        verify_within=timedelta(minutes=2),
        dead_within=timedelta(minutes=20),
        lease=timedelta(minutes=2),
    )
    assert settings.file == tmp_path / "rotator.toml"


def test_every_key_of_the_file_is_read(tmp_path: Path) -> None:
    settings = read(tmp_path, ISSUE + TARGET, env={"VAULT_ADDR": None, "REDIS_URL": None})
    assert settings.hostup.base_url == "https://cloud.hostup.se"
    assert settings.hostup.parallel_creates == 3
    assert settings.storage == StorageSettings(endpoint="http://127.0.0.1:9000", region="eu-north-1")
    assert (settings.vault.mount, settings.vault.state_path) == ("kv/team", "rotator/state")
    assert (settings.vault.address, settings.vault.approle_mount) == ("https://other.example", "apps")
    assert settings.redis_url == Secret("redis://other:6379")
    assert settings.worker.concurrency == 16
    assert settings.worker.create_deadline == timedelta(seconds=30)
    assert [settings.worker.tick, settings.worker.lease] == [timedelta(seconds=1), timedelta(seconds=90)]
    assert settings.worker.verify_within == timedelta(minutes=3)
    assert [settings.worker.audit_every, settings.worker.dead_within] == [timedelta(minutes=10), timedelta(minutes=30)]


def test_a_socket_of_redis_may_have_any_name(tmp_path: Path) -> None:
    text = '[redis]\nurl = "unix:///run/my redis/é.sock"\n'
    assert read(tmp_path, text + TARGET, env={"REDIS_URL": None}).redis_url == Secret("unix:///run/my redis/é.sock")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    settings = read(tmp_path, ISSUE + TARGET)
    assert settings.vault.address == ENV["VAULT_ADDR"]
    assert settings.redis_url == Secret(ENV["REDIS_URL"])


def test_who_asks_about_one_target_is_not_hindered_by_another(tmp_path: Path) -> None:
    wrong = TARGET.replace("media", "other").replace("30d", "often")
    assert len(problems(tmp_path, wrong + TARGET)) == 1
    file = tmp_path / "rotator.toml"
    assert list(load(file, ENV, only=("media",)).targets) == ["media"]
    assert list(load(file, ENV, only=()).targets) == []
    with pytest.raises(ConfigurationError, match=r"target\[1\] \"other\": every"):
        load(file, ENV, only=("other",))


def test_a_create_ends_well_inside_the_lease_and_within_40_seconds(tmp_path: Path) -> None:
    assert read(tmp_path, '[worker]\nlease = "10m"\n' + TARGET).worker.create_deadline == timedelta(seconds=40)
    short = '[worker]\nlease = "3s"\ntick = "1s"\n'
    assert read(tmp_path, short + TARGET).worker.create_deadline == timedelta(seconds=1)


def test_the_example_that_is_shipped_is_right() -> None:
    shipped = Path(__file__).parents[3] / DEFAULT_PATH
    settings = load(shipped, ENV)
    assert list(settings.targets) == ["media-uploads"]


def test_the_example_shows_the_defaults_and_every_key_it_names_exists(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / DEFAULT_PATH).read_text(encoding="utf-8")
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    (tmp_path / "key").write_text("of-media", encoding="utf-8")
    shown = "\n".join(line for line in lines if " = " in line or line.startswith("["))
    for file in ("hostup-media", "bootstrap-backups"):
        shown = shown.replace(f"/run/secrets/{file}", str(tmp_path / "key"))
    settings = read(tmp_path, shown, env={"HOSTUP_API_KEY": None, "VAULT_TOKEN_EU": "hvs.of-eu"})
    default = read(tmp_path)
    assert list(settings.targets) == ["media-uploads", "backup"]
    hostup, media = settings.hostup, settings.accounts["media"]
    assert hostup.api_key_path == "hostup-rotator/api-key"
    assert (hostup.base_url, hostup.parallel_creates) == (default.hostup.base_url, default.hostup.parallel_creates)
    assert (media.hostup.base_url, media.hostup.parallel_creates) == (hostup.base_url, hostup.parallel_creates)
    assert settings.vault == default.vault
    assert settings.worker == default.worker
    assert settings.metrics.targets == default.metrics.targets
    assert settings.log == default.log
    assert settings.targets["media-uploads"].label == default.targets["media"].label
    assert settings.targets["media-uploads"].fields == default.targets["media"].fields


def test_the_example_explains_every_key() -> None:
    text = (Path(__file__).parents[3] / DEFAULT_PATH).read_text(encoding="utf-8")
    shown = set(re.findall(r"^(?:# )?(\w+) = ", text, re.MULTILINE))
    of_file = (
        HostUpSettings,
        StorageSettings,
        VaultSettings,
        RedisSettings,
        WorkerSettings,
        MetricsSettings,
        LogSettings,
    )
    models = (*of_file, AccountEntry, TargetEntry, DestinationEntry, NotifyEntry)
    keys = {
        key
        for model in models
        for key in model.model_fields
        if key not in variables(model) or variables(model)[key].example
    }
    assert shown == keys | set(KEYS)


def test_the_file_is_the_one_given_else_of_the_environment_else_the_default() -> None:
    assert find_file(Path("a.toml"), {"ROTATOR_CONFIG": "b.toml"}) == Path("a.toml")
    assert find_file(None, {"ROTATOR_CONFIG": "b.toml"}) == Path("b.toml")
    assert find_file(None, {"ROTATOR_CONFIG": ""}) == Path("config/rotator.toml")


def test_all_problems_are_named_at_once_with_file_and_key(tmp_path: Path) -> None:
    text = """
colour = "red"
[hostup]
parallel_creates = 0
[vault]
mount = "a//b"
[worker]
tick = "3m"
concurency = 3
verify_within = 5
[[target]]
name = "ok"
path = "apps/ok"
every = "1d"
[[target]]
name = "media"
path = "apps/media"
every = "30x"
"""
    found = problems(tmp_path, text, env={"HOSTUP_API_KEY": None, "VAULT_ADDR": "ftp://vault"})
    assert [problem.partition(": ")[2].rpartition(": ")[0] for problem in found] == [
        "HOSTUP_API_KEY",
        "VAULT_ADDR",
        "colour",
        "[hostup] parallel_creates",
        "[vault] mount",
        "[worker] concurency",
        "[worker] tick",
        "[worker] verify_within",
        'target[2] "media": every',
    ]
    assert {problem.partition(":")[0] for problem in found} == {"FILE", "environment"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[worker]\nconcurency = 3", "[worker] concurency: is an unknown name; did you mean concurrency? allowed are"),
        ("[wroker]\n", "wroker: is an unknown name; did you mean worker? allowed are hostup, storage, vault,"),
        ('[worker]\n"a b" = 3', '[worker] "a b": is an unknown name; allowed are concurrency,'),
        ("worker = 3", "worker: must be a table, written [worker]"),
        ("[worker]\nconcurrency = true", "[worker] concurrency: must be a whole number, not true or false"),
        ("[worker]\nconcurrency = 257", "[worker] concurrency: is out of range; allowed are 1 to 256"),
        ("[worker]\ntick = 5", '[worker] tick: must be a text in quotes such as "30d", not a number'),
        ('[worker]\ntick = "5x"', '[worker] tick: "5x" is not a duration; allowed are "1s" to "400d"'),
        ('[worker]\ntick = "3m"', "[worker] tick: is longer than lease (2m); at most that is allowed"),
        ('[worker]\nlease = "2s"\ntick = "1s"', "[worker] lease: is too short; at least 3s"),
        ('[hostup]\nbase_url = "http://hostup.example"', "[hostup] base_url: must begin with https://"),
        ('[storage]\nendpoint = ""', "[storage] endpoint: must not be empty"),
        ('[storage]\nregion = "eu north"', "[storage] region: is not a region; allowed are"),
        ('[vault]\nmount = "../x"', '[vault] mount: "../x" is not a path; allowed are'),
        ('[vault]\naddress = "vault:8200"', "[vault] address: must"),
        ("[vault]\nmount = 2026-01-31", "[vault] mount: must be a text in quotes on one line, not a date or time"),
        ("[redis]\nurl = 5", "[redis] url: must be a text in quotes on one line, not a number"),
        ('[redis]\nurl = "amqp://h"', "[redis] url: must begin with redis://"),
    ],
)
def test_each_problem_says_what_is_wrong_and_what_is_allowed(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, f"{text}\n{TARGET}")
    assert found.startswith(f"FILE: {problem}")


@pytest.mark.parametrize(
    ("table", "variable"),
    [
        ('[hostup]\napi_key = "CANARY-1"', "HOSTUP_API_KEY"),
        ('[hostup]\n"api-key" = "CANARY-1"', "HOSTUP_API_KEY"),
        ('[vault]\ntoken = "CANARY-1"', "VAULT_TOKEN"),
        ('[vault]\nsecret_id = "CANARY-1"', "VAULT_SECRET_ID"),
        ('[redis]\npassword = "CANARY-1"', "REDIS_URL"),
        ('[redis]\nurl = "redis://:CANARY-1@h"', "REDIS_URL"),
        ('[redis]\nurl = "redis://h?password=CANARY-1"', "REDIS_URL"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_shown(tmp_path: Path, table: str, variable: str) -> None:
    (found,) = problems(tmp_path, f"{table}\n{TARGET}")
    assert f"{variable} in the environment, or {variable}_FILE" in found
    assert "CANARY" not in found


@pytest.mark.parametrize(
    ("table", "variable"),
    [
        ('namespace = "CANARY-1"', "VAULT_NAMESPACE"),
        ('ca_file = "CANARY-1"', "VAULT_CACERT"),
        ("secret_id_wrapped = true", "VAULT_SECRET_ID_WRAPPED"),
        ('token_file = "CANARY-1"', "VAULT_TOKEN_FILE"),
    ],
)
def test_what_only_the_environment_sets_is_refused_in_the_file(tmp_path: Path, table: str, variable: str) -> None:
    (found,) = problems(tmp_path, f"[vault]\n{table}\n{TARGET}")
    key = table.partition(" ")[0]
    assert found == f"FILE: [vault] {key}: is not set in the file; set {variable} in the environment"


def test_an_address_with_a_password_is_refused_and_not_shown(tmp_path: Path) -> None:
    text = '[hostup]\nbase_url = "https://me:CANARY-1@h"\n[vault]\naddress = "https://me:CANARY-2@h"\n'
    found = problems(tmp_path, text + TARGET, env={"VAULT_ADDR": "https://me:CANARY-3@h"})
    assert len(found) == 3
    assert "CANARY" not in "".join(found)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a = [\nb", "FILE: is not valid TOML: Invalid value (at line 2, column 1)"),
        (b"a = 1\na = 2\n", "FILE: is not valid TOML: Cannot overwrite a value (at line 2, column 6)"),
        (b"a = \xff", "FILE: is not UTF-8: see byte 4"),
        (b"a = " + b"9" * 5000, "FILE: is not valid TOML: "),
        (b"a = " + b"[" * 5000, "FILE: is not valid TOML: brackets within brackets"),
    ],
)
def test_a_file_that_is_no_toml(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "rotator.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(file, ENV)
    (found,) = caught.value.problems
    assert found.replace(str(file), "FILE").startswith(problem)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    assert list(read(tmp_path, "\ufeff" + TARGET).targets) == ["media"]


def test_nothing_of_the_settings_can_be_changed(tmp_path: Path) -> None:
    settings = read(tmp_path)
    with pytest.raises(ValidationError, match="frozen"):
        settings.worker.concurrency = 9
    with pytest.raises(FrozenInstanceError):
        settings.redis_url = Secret("redis://other")  # type: ignore[misc]  # that is the point


def test_a_default_is_held_against_what_is_set(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, f'[worker]\nlease = "4s"\n{TARGET}')
    assert found == "FILE: [worker] tick: is longer than lease (4s); at most that is allowed"


def test_what_is_wrong_in_the_file_is_said_although_the_environment_wins(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, f'[vault]\naddress = "vault:8200"\n{TARGET}')
    assert found.startswith("FILE: [vault] address: must")


def test_a_file_that_is_not_there_does_not_hide_what_the_environment_lacks(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    with pytest.raises(ConfigurationError) as caught:
        load(file, {})
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [str(file), *["environment"] * 2]
    assert "set ROTATOR_CONFIG" in caught.value.problems[0]
    with pytest.raises(ConfigurationError, match="VAULT_ADDR: must begin with https://"):
        load(file, {**ENV, "VAULT_ADDR": "http://vault.example"})


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load(tmp_path, ENV)


def test_a_flood_of_problems_is_counted(tmp_path: Path) -> None:
    found = problems(tmp_path, "[[target]]\n" * 300)
    assert len(found) == PROBLEMS_SHOWN + 1
    assert found[-1] == "and 700 more problems"
