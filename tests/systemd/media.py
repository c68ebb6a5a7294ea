"""An app that was written by somebody else: it lists its buckets four times a second, with what boto3 finds by itself.

It is copied into the machine, and says each key that it works with, once, and each call that failed.
"""

import os
import sys
import time

import boto3  # type: ignore[import-untyped]  # it ships no types
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
session = boto3.Session()
s3 = session.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"], region_name="eu-north-1", config=once)
known = ""
while True:
    try:
        s3.list_buckets()
        key = session.get_credentials().get_frozen_credentials().access_key
        if key != known:
            say(f"works with {key}")
        known = key
    except (BotoCoreError, ClientError) as error:
        say(f"FAILED: {error}")
    time.sleep(0.25)
