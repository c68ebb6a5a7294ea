from __future__ import annotations

import configparser
import json
import subprocess
from datetime import UTC, datetime

import pytest

from worker.credentials.formats import FORMATS, container
from worker.credentials.keys import key_in
from worker.errors import CredentialsUnusable

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
FIELDS = {"access_key": "AK1", "secret_key": "a/b+c'\"$(id) d%", "endpoint": "https://s3.example:444", "region": "eu-1"}
KEY = key_in(FIELDS, 1)


def test_credential_process() -> None:
    answer = json.loads(FORMATS["process"](KEY, NOW))
    assert answer == {
        "Version": 1,
        "AccessKeyId": "AK1",
        "SecretAccessKey": FIELDS["secret_key"],
        "Expiration": "2026-11-26T12:30:00Z",
    }


def test_the_container_endpoint_has_an_empty_token() -> None:
    assert json.loads(container(KEY, NOW))["Token"] == ""


@pytest.mark.parametrize("form", ["env", "restic"])
def test_a_shell_reads_exactly_the_key(form: str) -> None:
    script = FORMATS[form](KEY, NOW) + '\nprintf "%s|%s" "$AWS_SECRET_ACCESS_KEY" "$AWS_ENDPOINT_URL_S3"'
    read = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert read.stdout == f"{FIELDS['secret_key']}|{FIELDS['endpoint']}"


@pytest.mark.parametrize(("form", "section"), [("rclone", "hostup"), ("s3cmd", "default")])
def test_a_section_of_a_configuration(form: str, section: str) -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(FORMATS[form](KEY, NOW))
    assert FIELDS["secret_key"] in dict(parser[section]).values()


@pytest.mark.parametrize("form", ["rclone", "s3cmd"])
def test_no_value_makes_a_line_of_its_own(form: str) -> None:
    evil = key_in({**FIELDS, "endpoint": "https://x\nendpoint = https://evil"}, 1)
    with pytest.raises(CredentialsUnusable):
        FORMATS[form](evil, NOW)


def test_json_and_mc_hold_what_the_secret_holds() -> None:
    assert json.loads(FORMATS["json"](KEY, NOW)) == FIELDS
    assert json.loads(FORMATS["mc"](KEY, NOW))["secretKey"] == FIELDS["secret_key"]
