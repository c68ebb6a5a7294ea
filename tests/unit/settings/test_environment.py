from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.configuring import TARGET, problems, read
from worker.secret import Secret
from worker.settings.environment import Need, unknown_variables
from worker.settings.logins import SERVICE_ACCOUNT_TOKEN
from worker.settings.settings import VaultSettings

NO_VAULT: dict[str, str | None] = {"VAULT_TOKEN": None}


def _file(folder: Path, content: str | bytes) -> str:
    file = folder / "secret"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


@pytest.mark.parametrize("content", ["s3cret-value", "s3cret-value\n", "s3cret-value\r\n"])
def test_a_secret_may_stand_in_a_file(tmp_path: Path, content: str) -> None:
    settings = read(tmp_path, env={"HOSTUP_API_KEY": None, "HOSTUP_API_KEY_FILE": _file(tmp_path, content)})
    assert settings.hostup.api_key == Secret("s3cret-value")


def test_every_secret_has_a_file(tmp_path: Path) -> None:
    file = _file(tmp_path, "redis://h")
    env = {f"{name}_FILE": file for name in ("HOSTUP_API_KEY", "VAULT_ROLE_ID", "VAULT_SECRET_ID", "REDIS_URL")}
    settings = read(tmp_path, env={"HOSTUP_API_KEY": None, "REDIS_URL": None, **NO_VAULT, **env})
    assert settings.hostup.api_key == settings.vault.secret_id == settings.redis_url == Secret("redis://h")
    assert settings.vault.role_id == "redis://h"


def test_of_the_token_file_the_path_is_kept(tmp_path: Path) -> None:
    file = _file(tmp_path, "hvs.first")
    vault = read(tmp_path, env={"VAULT_TOKEN": None, "VAULT_TOKEN_FILE": file}).vault
    assert (vault.token, vault.token_file) == (None, Path(file))


def test_an_empty_variable_is_one_that_is_not_set(tmp_path: Path) -> None:
    empty = ("VAULT_NAMESPACE", "VAULT_CACERT", "VAULT_ROLE_ID", "HOSTUP_API_KEY_FILE")
    settings = read(tmp_path, env=dict.fromkeys(empty, ""))
    assert settings.vault.namespace is None
    assert settings.vault.ca_file is None
    assert settings.vault.role_id is None


def test_the_plain_variables(tmp_path: Path) -> None:
    file = _file(tmp_path, "-----BEGIN CERTIFICATE-----")
    env = {"VAULT_NAMESPACE": "team/a", "VAULT_CACERT": file, "VAULT_ADDR": "https://vault.example/"}
    vault = read(tmp_path, env=env).vault
    assert (vault.namespace, vault.ca_file, vault.address) == ("team/a", Path(file), "https://vault.example")


@pytest.mark.parametrize(("value", "wrapped"), [("true", True), ("1", True), ("False", False), ("", False)])
def test_a_wrapped_secret_id(tmp_path: Path, value: str, *, wrapped: bool) -> None:
    env = {"VAULT_ROLE_ID": "role", "VAULT_SECRET_ID": "hvs.wrapping", "VAULT_SECRET_ID_WRAPPED": value}
    vault = read(tmp_path, env={**NO_VAULT, **env}).vault
    assert (vault.role_id, vault.secret_id, vault.secret_id_wrapped) == ("role", Secret("hvs.wrapping"), wrapped)


@pytest.mark.parametrize(
    ("env", "problem"),
    [
        ({"HOSTUP_API_KEY": None}, "HOSTUP_API_KEY: is missing; set it, or HOSTUP_API_KEY_FILE"),
        ({"HOSTUP_API_KEY_FILE": "/x"}, "HOSTUP_API_KEY: is set, and HOSTUP_API_KEY_FILE too; leave one of them out"),
        ({"VAULT_TOKEN_FILE": "/x"}, "VAULT_TOKEN: is set, and VAULT_TOKEN_FILE too; leave one of them out"),
        ({"HOSTUP_API_KEY": "CANARY 1"}, "HOSTUP_API_KEY: must be one word of at most 8192 characters"),
        ({"VAULT_TOKEN": "CANARY\n1"}, "VAULT_TOKEN: must be one word of at most 8192 characters"),
        ({"VAULT_TOKEN": "CANARYé"}, "VAULT_TOKEN: must be one word of at most 8192 characters"),
        ({"VAULT_TOKEN": "CANARY" * 2000}, "VAULT_TOKEN: must be one word of at most 8192 characters"),
        ({"VAULT_TOKEN": None}, "VAULT_TOKEN: is missing; to log in to Vault set VAULT_TOKEN, VAULT_TOKEN_FILE,"),
        ({"VAULT_ROLE_ID": "CANARY"}, "VAULT_TOKEN: is set beside VAULT_ROLE_ID; leave out one of the two ways"),
        ({**NO_VAULT, "VAULT_SECRET_ID": "CANARY"}, "VAULT_ROLE_ID: is missing beside VAULT_SECRET_ID"),
        ({"VAULT_AUTH_METHOD": "kubernets"}, "VAULT_AUTH_METHOD: is not known; did you mean kubernetes? allowed are"),
        ({"VAULT_AUTH_METHOD": "approle"}, "VAULT_AUTH_METHOD: is approle, but what is set is for another way"),
        (
            {**NO_VAULT, "VAULT_ROLE_ID": "CANARY", "VAULT_AUTH_METHOD": "token"},
            "VAULT_AUTH_METHOD: is token, but what is set is for another way",
        ),
        ({"VAULT_AUTH_METHOD": "jwt"}, "VAULT_AUTH_METHOD: is jwt beside VAULT_TOKEN; leave out one of the two ways"),
        (
            {**NO_VAULT, "VAULT_SECRET_ID": "CANARY", "VAULT_AUTH_METHOD": "kubernetes"},
            "VAULT_AUTH_METHOD: is kubernetes beside VAULT_SECRET_ID",
        ),
        ({**NO_VAULT, "VAULT_AUTH_METHOD": "jwt"}, "VAULT_JWT_FILE: is missing beside VAULT_AUTH_METHOD"),
        ({**NO_VAULT, "VAULT_AUTH_METHOD": "kubernetes"}, "VAULT_AUTH_ROLE: is missing beside VAULT_AUTH_METHOD"),
        (
            {**NO_VAULT, "VAULT_AUTH_METHOD": "kubernetes", "VAULT_AUTH_ROLE": "rotator"},
            "VAULT_JWT_FILE: is missing, and there is no /var/run/secrets/kubernetes.io/serviceaccount/token",
        ),
        ({"VAULT_AUTH_ROLE": "rotator"}, "VAULT_AUTH_METHOD: is missing beside VAULT_AUTH_ROLE; set it to kubernetes"),
        ({"VAULT_JWT_FILE": __file__}, "VAULT_AUTH_METHOD: is missing beside VAULT_JWT_FILE; set it to kubernetes or"),
        (
            {**NO_VAULT, "VAULT_AUTH_METHOD": "jwt", "VAULT_JWT_FILE": "/nowhere/jwt"},
            "VAULT_JWT_FILE: /nowhere/jwt cannot be read",
        ),
        ({"VAULT_SECRET_ID_NUM_USES": "few"}, "VAULT_SECRET_ID_NUM_USES: must be a whole number"),
        ({"VAULT_SECRET_ID_NUM_USES": "-1"}, "VAULT_SECRET_ID_NUM_USES: is out of range; allowed are 0 to"),
        ({"VAULT_SECRET_ID_WRAPPED": "maybe"}, "VAULT_SECRET_ID_WRAPPED: must be true or false"),
        ({"VAULT_ADDR": None}, "VAULT_ADDR: is missing; set it, or address under [vault]"),
        ({"VAULT_ADDR": "https://vault:8200/v1"}, "VAULT_ADDR: must not end in /v1"),
        ({"VAULT_ADDR": "https://vault:8200/v1/"}, "VAULT_ADDR: must not end in /v1"),
        ({"VAULT_ADDR": "http://vault:8200"}, "VAULT_ADDR: must begin with https://"),
        (
            {"VAULT_CACERT": "/nowhere/ca.pem"},
            "VAULT_CACERT: /nowhere/ca.pem cannot be read: No such file or directory",
        ),
        ({"VAULT_NAMESPACE": "a\nb"}, "VAULT_NAMESPACE: must not hold line breaks"),
        ({"REDIS_URL": None}, "REDIS_URL: is missing; set it, or url under [redis]"),
        ({"REDIS_URL": "redis://:CANARY@h/x"}, "REDIS_URL: must have the number of a database"),
    ],
)
def test_each_problem_names_the_variable_and_no_secret(
    tmp_path: Path, env: dict[str, str | None], problem: str
) -> None:
    (found,) = problems(tmp_path, env=env)
    assert found.startswith(f"environment: {problem}")
    assert "CANARY" not in found


@pytest.mark.parametrize(
    ("content", "problem"),
    [("", "is empty"), ("\n", "is empty"), (b"\xff\xfe", "is not text"), ("two words", "must be one word")],
)
@pytest.mark.parametrize("name", ["HOSTUP_API_KEY", "VAULT_TOKEN", "REDIS_URL"])
def test_a_secret_file_with_nothing_usable_in_it(tmp_path: Path, name: str, content: str | bytes, problem: str) -> None:
    (found,) = problems(tmp_path, env={name: None, f"{name}_FILE": _file(tmp_path, content)})
    assert found.startswith(f"environment: {name}_FILE: ")
    assert problem in found


def test_a_secret_set_as_its_own_file_is_not_shown(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, env={"VAULT_TOKEN": None, "VAULT_TOKEN_FILE": "hvs.CANARY"})
    assert "VAULT_TOKEN_FILE: the file (with a relative path) cannot be read: No such file" in found
    assert "CANARY" not in found


def test_what_a_command_does_not_need_may_be_missing(tmp_path: Path) -> None:
    bare: dict[str, str | None] = {"HOSTUP_API_KEY": None, "VAULT_TOKEN": None}
    assert read(tmp_path, env=bare, needs=Need.NOTHING).hostup.api_key is None
    (for_vault,) = problems(tmp_path, env=bare, needs=Need.VAULT)
    assert for_vault.startswith("environment: VAULT_TOKEN: is missing")
    (for_hostup,) = problems(tmp_path, env=bare, needs=Need.HOSTUP)
    assert for_hostup.startswith("environment: HOSTUP_API_KEY: is missing")


def test_what_is_set_is_checked_even_when_it_is_not_needed(tmp_path: Path) -> None:
    assert len(problems(tmp_path, env={"HOSTUP_API_KEY": "a b"}, needs=Need.NOTHING)) == 1


def test_no_secret_shows_in_the_settings(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        env={"HOSTUP_API_KEY": "CANARY-1", "VAULT_TOKEN": "CANARY-2", "REDIS_URL": "redis://:CANARY-3@localhost"},
    )
    assert "CANARY" not in repr(settings)
    assert {secret.reveal() for secret in settings.secrets()} == {
        "CANARY-1",
        "CANARY-2",
        "redis://:CANARY-3@localhost",
        "CANARY-3",
    }


def test_the_passwords_of_proxies_are_secrets_as_written_and_as_meant(tmp_path: Path) -> None:
    env: dict[str, str | None] = {
        "HTTPS_PROXY": "http://me:a%2Fb@proxy.example:3128",
        "http_proxy": "me:plain@[::1]:3128/",
        "ALL_PROXY": "https://proxy.example",
        "NO_PROXY": "localhost,?#",
        "MY_PROXY": "what a mess",
    }
    secrets = {secret.reveal() for secret in read(tmp_path, env=env).secrets()}
    assert secrets >= {"a%2Fb", "a/b", "plain"}


@pytest.mark.parametrize(
    "url",
    [
        "http://me:CANARY/1@h:3128",
        "http://me:CANARY#1@h:3128",
        "http://me:1#CANARY@h:3128",
        "http://me:1?CANARY@h:3128",
        "http://me:1/CANARY@h:3128",
        "http://me:1\\CANARY@h:3128",
        "http://me:CANARY@h:0",
        "http://me:CANARY@h:65536",
        "http://me:CANARY@",
        "http://me:CANARY@[h",
        "http://me:CANARY@a..b",
        "http://me:CANARY@h\n",
        "http://me:CANARY 1@h",
        "http://me:CANARYé@h",
        "socks5://me:CANARY@h",
        "CANARY://",
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"])
def test_a_proxy_with_a_wrong_address_is_named_and_not_shown(tmp_path: Path, name: str, url: str) -> None:
    (found,) = problems(tmp_path, env={name: url}, needs=Need.NOTHING)
    assert found.startswith(f"environment: {name.upper()}: must be the address of a proxy, such as http://")
    assert "CANARY" not in found


def test_a_role_id_alone_is_enough(tmp_path: Path) -> None:
    vault = read(tmp_path, env={**NO_VAULT, "VAULT_ROLE_ID": "role"}).vault
    assert (vault.role_id, vault.secret_id, vault.secret_id_file) == ("role", None, None)


def test_of_the_secret_ids_file_the_path_is_kept(tmp_path: Path) -> None:
    file = _file(tmp_path, "the-secret-id")
    vault = read(tmp_path, env={**NO_VAULT, "VAULT_ROLE_ID": "role", "VAULT_SECRET_ID_FILE": file}).vault
    assert (vault.secret_id, vault.secret_id_file) == (Secret("the-secret-id"), Path(file))


def test_of_every_file_that_is_read_again_the_path_is_kept(tmp_path: Path) -> None:
    file = _file(tmp_path, "redis://h")
    names = ("HOSTUP_API_KEY", "VAULT_ROLE_ID", "VAULT_SECRET_ID", "REDIS_URL")
    env = {**dict.fromkeys(names), **{f"{name}_FILE": file for name in names}, **NO_VAULT}
    settings = read(tmp_path, env=env)
    vault = settings.vault
    files = (settings.hostup.api_key_file, vault.role_id_file, vault.secret_id_file, settings.redis_url_file)
    assert files == (Path(file),) * 4


def test_a_login_by_a_web_token(tmp_path: Path) -> None:
    file = _file(tmp_path, "eyJ")
    env = {**NO_VAULT, "VAULT_AUTH_METHOD": "jwt", "VAULT_JWT_FILE": file}
    assert read(tmp_path, env=env).vault.jwt_login == ("jwt", Path(file))
    text = '[vault]\nkubernetes_mount = "clusters/one"\n'
    env |= {"VAULT_AUTH_METHOD": "kubernetes", "VAULT_AUTH_ROLE": "rotator"}
    assert read(tmp_path, text + TARGET, env=env).vault.jwt_login == ("clusters/one", Path(file))
    kubernetes = VaultSettings(auth_method="kubernetes", auth_role="rotator")
    assert kubernetes.jwt_login == ("kubernetes", SERVICE_ACCOUNT_TOKEN)
    assert read(tmp_path).vault.jwt_login is None


@pytest.mark.parametrize(
    ("env", "scarce"),
    [
        ({"VAULT_SECRET_ID_NUM_USES": "1"}, True),
        ({"VAULT_SECRET_ID_NUM_USES": "100"}, True),
        ({"VAULT_SECRET_ID_NUM_USES": "101"}, False),
        ({"VAULT_SECRET_ID_NUM_USES": "0"}, False),
        ({"VAULT_SECRET_ID_WRAPPED": "true"}, True),
        ({}, False),
    ],
)
def test_whether_every_login_counts(tmp_path: Path, env: dict[str, str], *, scarce: bool) -> None:
    by_approle = {**NO_VAULT, "VAULT_ROLE_ID": "role", "VAULT_SECRET_ID": "secret-id", **env}
    assert read(tmp_path, env=by_approle).vault.secret_id_is_scarce is scarce
    assert read(tmp_path, env=env).vault.secret_id_is_scarce is False  # by a token of one's own


def test_a_variable_that_nobody_reads_is_named() -> None:
    read_by_us = {"VAULT_ADDR": "x", "VAULT_ROLE_ID_FILE": "x", "VAULT_SECRET_ID_WRAPPED": "1", "VAULT_BIN": "x"}
    of_kubernetes = {"VAULT_SERVICE_HOST": "x", "VAULT_PORT": "x", "VAULT_PORT_8200_TCP": "x"}
    others = {"VAULTED": "x", "VAULT_FORMAT": "", "PATH": "x", "MY_VAULT_ADDR": "x"}
    assert unknown_variables(VaultSettings, "VAULT", {**read_by_us, **of_kubernetes, **others}) == ()
    unread = {"VAULT_SKIP_VERIFY": "1", "VAULT_AGENT_ADDR": "x"}
    assert unknown_variables(VaultSettings, "VAULT", {**read_by_us, **unread}) == (
        "VAULT_AGENT_ADDR",
        "VAULT_SKIP_VERIFY",
    )
