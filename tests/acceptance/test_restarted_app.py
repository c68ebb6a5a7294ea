"""An app that reads its key from the environment works through rotations: it is started anew before its key dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tests.acceptance.service import Service
from tests.sandbox import wait_until

ROTATIONS = 2
APP = """
import os, sys, time
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, s3={"addressing_style": "path"})
s3 = boto3.client("s3", config=config)
with open(sys.argv[1], "a", buffering=1) as log:
    while True:
        try:
            s3.list_buckets()
            log.write(f"ok {os.environ['AWS_ACCESS_KEY_ID']}\\n")
        except (BotoCoreError, ClientError) as error:
            log.write(f"failed {error}\\n")
        time.sleep(0.02)
"""


def test_no_call_fails_while_it_is_started_anew_after_each_rotation(service: Service) -> None:
    service.grace = "12s"
    service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    log = service.folder / "calls"
    app = [sys.executable, "-c", APP, str(log)]
    command = [sys.executable, "-m", "worker.cli", "run", "--path", service.path, "--kill-after", "2s", "--", *app]
    with subprocess.Popen(command, env=_env(service)) as process:
        try:
            for _ in range(ROTATIONS):
                wait_until(partial(_works_with, log, service.published()), "the app works with the current key")
                before = service.published()
                assert before is not None
                service.rotate()
                wait_until(partial(_is_dead, service, before), "the old key's death")
            wait_until(partial(_works_with, log, service.published()), "the app works with the last key")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 128 + signal.SIGTERM
        finally:
            process.terminate()
            process.wait(30)
    lines = log.read_text().splitlines()
    assert [line for line in lines if line.startswith("failed")] == []
    assert len({line for line in lines if line.startswith("ok")}) == ROTATIONS + 1


def _env(service: Service) -> dict[str, str]:
    runtime = service.folder / "runtime"
    runtime.mkdir(mode=0o700)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(service.folder),
        "XDG_RUNTIME_DIR": str(runtime),
        "VAULT_ADDR": service.sandbox.environment["VAULT_ADDR"],
        "VAULT_TOKEN": str(service.vault.token),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _works_with(log: Path, secret: dict[str, Any] | None) -> bool:
    return secret is not None and log.exists() and f"ok {secret['access_key']}\n" in log.read_text()


def _is_dead(service: Service, secret: dict[str, Any]) -> bool:
    return not service.works(secret)
