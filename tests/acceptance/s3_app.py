"""An app as its author left it: it works on the object storage, and gets its key in the way its environment tells.

``python -m tests.acceptance.s3_app ENDPOINT [PATH]``: with PATH by ``worker.credentials.botocore``, else by what
botocore itself finds. Works until its stdin ends, then prints what it has seen as JSON; "ready" after the first call.
"""

from __future__ import annotations

import json
import sys
import threading

import boto3  # type: ignore[import-untyped]  # it ships no types
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from worker.credentials import botocore

BUCKET = "media"


def main(endpoint: str, path: str | None) -> None:
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, s3={"addressing_style": "path"})
    if path:
        s3 = botocore.client(path, config=config)
    else:
        s3 = boto3.client("s3", endpoint_url=endpoint, region_name="eu-north-1", config=config)
    ended = threading.Event()
    threading.Thread(target=_wait_for_the_end, args=[ended], daemon=True).start()
    worked, errors = 0, []
    while not ended.wait(0.02):
        try:
            s3.list_buckets()
            worked += 1
        except (BotoCoreError, ClientError) as error:
            errors.append(str(error)[:300])
        if worked + len(errors) == 1:
            sys.stdout.write("ready\n")
            sys.stdout.flush()
    sys.stdout.write(json.dumps({"worked": worked, "errors": errors}))


def _wait_for_the_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
