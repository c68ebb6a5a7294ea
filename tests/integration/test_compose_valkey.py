"""config/compose/valkey.sh, by a real shell and a real server: two users, with the passwords that their URLs mean."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from tests.redis_users import FILE
from tests.sandbox import wait_until
from worker.sandbox.binaries import valkey_binary
from worker.sandbox.children import free_port

SCRIPT = Path(__file__).parents[2] / "config" / "compose" / "valkey.sh"
PLAIN = "0123456789abcdef"
SPECIAL = "a/b@c:d?e#f%41 'g\"h\\i$j`k*l é\n"


def environment(folder: Path, redis_url: str, app_url: str) -> dict[str, str]:
    (folder / "redis_url").write_text(redis_url + "\n")
    (folder / "redis_app_url").write_text(app_url + "\n")
    return {"PATH": f"{folder}:{os.environ['PATH']}", "SECRETS": str(folder), "USERS_ACL": str(FILE)}


@contextmanager
def valkey(folder: Path, redis_url: str, app_url: str) -> Iterator[int]:
    """Start it as the container does, but for the port and the folder, which are added to what the script says."""
    port = free_port()
    stub = folder / "valkey-server"
    rest = f"{{ sed 's|^dir .*|dir {folder}|'; echo port {port}; }} | {shlex.quote(valkey_binary())} -"
    stub.write_text(f"#!/bin/sh\n{rest}\n")
    stub.chmod(0o700)
    child = subprocess.Popen(["sh", SCRIPT], env=environment(folder, redis_url, app_url), stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port) as anybody:
            wait_until(lambda: _answers(anybody), "Valkey answers")
        yield port
    finally:
        for pid in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split():
            os.kill(int(pid), 15)
        child.wait()


def _answers(anybody: redis.Redis) -> bool:
    try:
        anybody.ping()
    except redis.exceptions.AuthenticationError:
        return True
    except redis.exceptions.ConnectionError:
        return False
    return True


@pytest.mark.parametrize("password", [PLAIN, SPECIAL, "100%", "%zz%4"])
def test_the_password_is_what_a_client_takes_the_url_for(tmp_path: Path, password: str) -> None:
    """Also one that is not written as it should be: a client takes %zz as it stands, and so does the script."""
    written = quote(password, safe="") if password == SPECIAL else password
    url, app_url = f"redis://worker:{written}@valkey:6379/0", "redis://app:other@valkey:6379/0"
    with valkey(tmp_path, url, app_url) as port:
        for login in (url, app_url):
            with redis.Redis.from_url(login.replace("valkey:6379", f"127.0.0.1:{port}")) as client:
                assert client.ping()
        with redis.Redis.from_url(url.replace("valkey:6379", f"127.0.0.1:{port}")) as worker:
            worker.set("rotator:x", "1")
        with redis.Redis(port=port) as nobody, pytest.raises(redis.exceptions.AuthenticationError):
            nobody.get("rotator:x")


@pytest.mark.parametrize(
    "url",
    ["redis://valkey:6379/0", "redis://:secret@valkey:6379/0", "redis://worker@valkey", "redis://app:x@valkey", ""],
)
def test_a_url_without_the_user_is_refused(tmp_path: Path, url: str) -> None:
    given = environment(tmp_path, url, "redis://app:other@valkey:6379/0")
    done = subprocess.run(["sh", SCRIPT], env=given, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "redis_url must be of the form redis://worker:PASSWORD@valkey:6379/0" in done.stderr
    assert "secret" not in done.stderr
