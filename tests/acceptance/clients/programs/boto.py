"""``boto.py ENDPOINT BUCKET MILLISECONDS [PATH]``: boto3, with PATH by ``worker.credentials.botocore``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.acceptance.clients.programs import loop
from worker.credentials import botocore

KEY = "object"


def main(endpoint: str, bucket: str, milliseconds: str, path: str | None = None) -> None:
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, s3={"addressing_style": "path"})
    options: dict[str, Any] = {"endpoint_url": endpoint, "region_name": "eu-north-1", "config": config}
    s3 = botocore.client(path, **options) if path else boto3.client("s3", **options)
    calls: list[Callable[[], object]] = [
        partial(s3.put_object, Bucket=bucket, Key=KEY, Body=b"body"),
        partial(read, s3, bucket),
        partial(s3.list_objects_v2, Bucket=bucket),
    ]
    loop.run([partial(problem_of, call) for call in calls], milliseconds)


def read(s3: Any, bucket: str) -> None:
    s3.get_object(Bucket=bucket, Key=KEY)["Body"].read()


def problem_of(call: Callable[[], object]) -> str:
    try:
        call()
    except (BotoCoreError, ClientError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


main(*sys.argv[1:])
