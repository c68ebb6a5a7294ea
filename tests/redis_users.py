"""The users of Redis that config/redis/users.acl describes, made on a server that runs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from string import Template

import redis

from worker.settings.settings import QUEUE

FILE = Path(__file__).parents[1] / "config" / "redis" / "users.acl"


def make_users(server: redis.Redis, *, worker: str, app: str, queue: str = QUEUE) -> None:
    """Make ``worker`` and ``app`` with these passwords; ``default``, as whom tests look at everything, stays.

    Another ``queue`` takes the place of the one in the file, as docs/operate.md says.
    """
    hashes = {"WORKER_PASSWORD_SHA256": _hash(worker), "APP_PASSWORD_SHA256": _hash(app)}
    for line in Template(FILE.read_text("utf-8").replace(QUEUE, queue)).substitute(hashes).splitlines():
        _, name, *rules = line.split(" ")
        if name != "default":
            server.execute_command("ACL", "SETUSER", name, "reset", *_joined(rules))  # type: ignore[no-untyped-call]


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _joined(rules: list[str]) -> list[str]:
    """A selector, which has spaces within its brackets, is one rule."""
    joined: list[str] = []
    for rule in rules:
        if joined and joined[-1].startswith("(") and not joined[-1].endswith(")"):
            joined[-1] += f" {rule}"
        else:
            joined.append(rule)
    return joined
