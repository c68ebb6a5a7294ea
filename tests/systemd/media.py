"""An app that was written by somebody else: it lists its buckets four times a second, with what boto3 finds by itself.

It is copied into the machine, and says each key that it works with, once, and each call that failed.
"""

import os
import time

import boto3  # type: ignore[import-untyped]  # it ships no types
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"], region_name="eu-north-1", config=once)
known = ""
while True:
    try:
        s3.list_buckets()
        key = s3._request_signer._credentials.get_frozen_credentials().access_key
        if key != known:
            print("works with", key, flush=True)
        known = key
    except (BotoCoreError, ClientError) as error:
        print("FAILED:", error, flush=True)
    time.sleep(0.25)
