"""An app that is rehearsed: one that follows its key survives, one that keeps the first one does not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.forms import fits

APP = """
import contextlib, time, boto3, botocore.exceptions
s3 = boto3.client("s3")
while True:
    with contextlib.suppress(botocore.exceptions.ClientError):
        s3.list_buckets()
    time.sleep(0.05)
"""

BY_VAULT = """
import contextlib, os, time, boto3, botocore.exceptions, hvac
kv = hvac.Client().secrets.kv.v2
while True:
    answer = kv.read_secret_version(path=os.environ["APP_PATH"], raise_on_deleted_version=True)
    secret = answer["data"]["data"]
    keys = {"aws_access_key_id": secret["access_key"], "aws_secret_access_key": secret["secret_key"]}
    s3 = boto3.client("s3", **keys)
    for _ in range(5):
        with contextlib.suppress(botocore.exceptions.ClientError):
            s3.list_buckets()
        time.sleep(0.1)
"""
"""Looks twice a second, and needs nothing of this project."""


def rehearse(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.cli", "--json", "rehearse", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("way", "app", "survives"), [("endpoint", APP, True), ("environment", APP, False), ("vault", BY_VAULT, True)]
)
def test_an_app_survives_if_it_follows_its_key(way: str, app: str, survives: bool) -> None:  # noqa: FBT001 - expected
    done = rehearse("--way", way, "--rotations", "1", "--grace", "4s", "--", sys.executable, "-c", app)
    assert done.returncode == (0 if survives else 1), done.stderr
    judged: dict[str, Any] = json.loads(done.stdout)
    fits(judged, "rehearse")
    assert judged["survives"] is survives
    assert judged["taken_up"] == int(survives)
    assert (judged["failed"] == 0) is survives
    assert (judged["grace_needed_s"] is None) is not survives


@pytest.mark.parametrize("arguments", [("--way", "magic", "--", "true"), ("--", "no-such-program-here")])
def test_what_cannot_be_rehearsed_is_a_matter_of_usage(arguments: tuple[str, ...]) -> None:
    assert rehearse(*arguments).returncode == 2
