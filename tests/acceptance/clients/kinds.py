"""The clients: what each is, how it gets its key, and how it is started."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
INSTALLED = REPOSITORY / ".clients"
"""Where `make clients` puts what is not on PATH."""
PROGRAMS = "tests.acceptance.clients.programs"
NODE_PROGRAM = Path(__file__).parent / "programs" / "node" / "client.mjs"


class Way(StrEnum):
    """How a client gets its key."""

    ENDPOINT = "endpoint"
    PROCESS = "process"
    FILE = "file"
    PYTHON = "Python"


@dataclass(frozen=True, slots=True)
class Start:
    """What a command line may need: the storage's address, the client's own bucket and folder, the secret's path.

    ``refresh`` is how often our own commands look at Vault.
    """

    endpoint: str
    bucket: str
    folder: Path
    path: str
    refresh: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A client; ``command`` runs it until its stdin ends, and prints a line of JSON for each of its calls."""

    client: str
    way: Way
    command: Callable[[Start], Sequence[str]]
    environment: Callable[[Start], Mapping[str, str]] = field(default=lambda _: {})

    @property
    def name(self) -> str:
        """As a folder and a bucket may be called."""
        return f"{self.client}-{self.way}".lower().replace(" ", "-")


def _boto3(start: Start) -> Sequence[str]:
    return [sys.executable, "-m", f"{PROGRAMS}.boto", start.endpoint, start.bucket, "400"]


def _boto3_by_us(start: Start) -> Sequence[str]:
    return [*_boto3(start), start.path]


def _aws_cli(start: Start) -> Sequence[str]:
    aws = [str(INSTALLED / "awscli" / "bin" / "aws"), "--endpoint-url", start.endpoint, "--region", "eu-north-1"]
    there = ["--bucket", start.bucket]
    calls = [["s3api", "list-objects-v2", *there], ["s3api", "get-object", *there, "--key", "object", "/dev/null"]]
    commands = json.dumps([[*aws, *call] for call in calls])
    return [sys.executable, "-m", f"{PROGRAMS}.commands", "2000", commands]


def _node(start: Start) -> Sequence[str]:
    return ["node", str(NODE_PROGRAM), start.endpoint, start.bucket, "400"]


def _node_modules(_: Start) -> Mapping[str, str]:
    return {"NODE_PATH": str(INSTALLED / "node" / "node_modules")}


def _go(start: Start) -> Sequence[str]:
    return [str(INSTALLED / "go" / "clients"), "sdk", start.endpoint, start.bucket, "400"]


def _minio_go(start: Start) -> Sequence[str]:
    return [str(INSTALLED / "go" / "clients"), "minio", start.endpoint, start.bucket, "400"]


def _rclone(start: Start) -> Sequence[str]:
    return [sys.executable, "-m", f"{PROGRAMS}.rclone", start.endpoint, start.bucket, "400"]


def _restic(_: Start) -> Sequence[str]:
    commands = json.dumps([["restic", "backup", "--quiet", str(NODE_PROGRAM)], ["restic", "snapshots", "--json"]])
    return [sys.executable, "-m", f"{PROGRAMS}.commands", "2000", commands]


def repository(start: Start) -> Mapping[str, str]:
    """What restic's environment needs beside a key."""
    return {
        "RESTIC_REPOSITORY": f"s3:{start.endpoint}/{start.bucket}",
        "RESTIC_PASSWORD": "of the repository",
        "AWS_DEFAULT_REGION": "eu-north-1",
    }


RESTIC = Kind("restic", Way.FILE, _restic, repository)
KINDS = (
    Kind("boto3", Way.ENDPOINT, _boto3),
    Kind("boto3", Way.PROCESS, _boto3),
    Kind("boto3", Way.PYTHON, _boto3_by_us),
    Kind("AWS CLI", Way.PROCESS, _aws_cli),
    Kind("AWS SDK JS", Way.ENDPOINT, _node, _node_modules),
    Kind("AWS SDK JS", Way.PROCESS, _node, _node_modules),
    Kind("AWS SDK Go", Way.ENDPOINT, _go),
    Kind("AWS SDK Go", Way.PROCESS, _go),
    Kind("minio-go", Way.PROCESS, _minio_go),
    Kind("rclone serve", Way.ENDPOINT, _rclone),
    Kind("minio-go", Way.FILE, _minio_go),
    Kind("rclone serve", Way.PROCESS, _rclone),
    RESTIC,
)
