"""``rclone.py ENDPOINT BUCKET MILLISECONDS``: one ``rclone serve http`` for all the time, and reads through it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import partial
from http.client import HTTPException
from pathlib import Path

from tests.acceptance.clients.programs import loop
from worker.sandbox.children import free_port


def main(endpoint: str, bucket: str, milliseconds: str) -> None:
    port = free_port()
    address = f"127.0.0.1:{port}"
    storage = f":s3,provider=Ceph,env_auth,region=eu-north-1,endpoint='{endpoint}':{bucket}"
    # Nothing is tried twice, and nothing answered from what was listed or read before.
    options = ["--retries=1", "--low-level-retries=1", "--dir-cache-time=0", "--vfs-cache-mode=off"]
    command = ["rclone", "serve", "http", storage, f"--addr={address}", *options]
    with subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stdout=sys.stderr) as served:
        try:
            while not listens(port) and served.poll() is None:
                time.sleep(0.05)
            loop.run([partial(problem_of, f"http://{address}/{name}") for name in ("object", "")], milliseconds)
        finally:
            served.terminate()


def environment() -> dict[str, str]:
    """Of 1.60, which does not read the token's file."""
    file = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    token = {"AWS_CONTAINER_AUTHORIZATION_TOKEN": Path(file).read_text()} if file else {}
    return os.environ | token


def listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def problem_of(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            answer.read()
    except (urllib.error.URLError, HTTPException, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


main(*sys.argv[1:])
