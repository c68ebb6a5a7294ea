"""An app as users write them: it reads its key from Vault and works on the object storage with it, without a pause."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import hvac  # type: ignore[import-untyped]  # it ships no types
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from worker.secret import Secret

REFRESH_SECONDS = 1.0
"""How often the app looks for a new key: far more often than a grace period is long."""

PAUSE_SECONDS = 0.05
BUCKET = "media"


@dataclass(slots=True)
class Tally:
    """What the app has seen: calls that worked and that did not, and how many with each access key."""

    worked: int = 0
    failed: int = 0
    by_key: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


class App:
    """Reads ``mount/path`` from Vault with its own token, and puts and gets objects until stopped."""

    def __init__(self, address: str, token: Secret, mount: str, path: str) -> None:
        self.tally = Tally()
        self._vault = hvac.Client(url=address, token=token.reveal())
        self._mount = mount
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="app", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> Tally:
        """End, and answer what was seen."""
        self._stop.set()
        self._thread.join(timeout=10)
        return self.tally

    def _run(self) -> None:
        key, s3 = "", None
        looked_at = 0.0
        ticks = 0.0
        while not self._stop.is_set():
            if s3 is None or ticks - looked_at >= REFRESH_SECONDS:
                secret = self._read()
                looked_at = ticks
                if secret["access_key"] != key:
                    key, s3 = secret["access_key"], _client(secret)
            self._work(s3, key)
            ticks += PAUSE_SECONDS
            self._stop.wait(PAUSE_SECONDS)

    def _read(self) -> dict[str, str]:
        answer = self._vault.secrets.kv.v2.read_secret_version(
            path=self._path, mount_point=self._mount, raise_on_deleted_version=True
        )
        secret: dict[str, str] = answer["data"]["data"]
        return secret

    def _work(self, s3: Any, key: str) -> None:
        try:
            if not self.tally.worked:
                s3.create_bucket(Bucket=BUCKET)
            s3.put_object(Bucket=BUCKET, Key="greeting", Body=b"hello")
            s3.get_object(Bucket=BUCKET, Key="greeting")["Body"].read()
        except (BotoCoreError, ClientError) as error:
            self.tally.failed += 1
            self.tally.errors.append(type(error).__name__ + ": " + str(error)[:200])
        else:
            self.tally.worked += 2
            self.tally.by_key[key] = self.tally.by_key.get(key, 0) + 2


def _client(secret: dict[str, str]) -> Any:
    """A client without retries, so that a single refused call would be seen."""
    return boto3.client(
        "s3",
        endpoint_url=secret["endpoint"],
        region_name=secret["region"],
        aws_access_key_id=secret["access_key"],
        aws_secret_access_key=secret["secret_key"],
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
