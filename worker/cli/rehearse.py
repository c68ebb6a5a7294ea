"""``rotator rehearse``: does an app go on working while its key is rotated? On a sandbox of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, TypeVar

from worker.cli.options import Options
from worker.cli.output import print_facts, print_lines, result, say
from worker.cli.rehearsal import Judgement, Turn, judge
from worker.errors import RotatorError, UsageError
from worker.sandbox.children import MODULE, end
from worker.sandbox.run import Sandbox, start_sandbox
from worker.sandbox.texts import MOUNT, SandboxOptions

WAYS = ("endpoint", "environment", "vault")
PATIENCE = 60.0
"""Seconds for each thing that is waited for."""

URL = re.compile("AWS_CONTAINER_CREDENTIALS_FULL_URI=(.+)")
LOOK = 0.1
AFTERWARDS = 2.0
"""Seconds for which the app goes on after the old key is dead, so that a call with it is seen."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is rehearsed: the app's command, how it gets its key, how often it changes, and the grace period."""

    command: Sequence[str]
    way: str
    rotations: int
    grace: str


@dataclass(frozen=True, slots=True)
class _Stage:
    sandbox: Sandbox
    folder: Path

    @property
    def target(self) -> str:
        return self.sandbox.targets[0].name

    @property
    def path(self) -> str:
        return self.sandbox.targets[0].path

    def rotator(self, *arguments: str) -> Any:
        """What a command of ours answers, as JSON. Raises RotatorError."""
        done = subprocess.run(  # noqa: S603 - our own command
            [*MODULE, "worker.cli", *arguments, "--json"],
            env=_surroundings() | dict(self.sandbox.environment),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RotatorError(f"rotator {arguments[0]} ended with {done.returncode}", hint=done.stderr.strip()[-500:])
        return json.loads(done.stdout)

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the worker has logged of one kind."""
        lines = (self.folder / "worker.log").read_text("utf-8").splitlines()
        found = (json.loads(line) for line in lines if line.startswith("{") and line.endswith("}"))
        return [event for event in found if event["event"] == name]


def rehearse(options: Options, wanted: Rehearsal) -> int:
    """Play it through and say how it went; 1 when the app did not survive. Raises UsageError, RotatorError."""
    if wanted.way not in WAYS:
        raise UsageError(
            f"there is no way {wanted.way[:32]!r}", hint=f"There are: {', '.join(WAYS)}; see docs/apps.md."
        )
    if shutil.which(wanted.command[0]) is None:
        raise UsageError(
            f"there is no program {wanted.command[0][:64]!r}", hint="Write it after --, with its arguments."
        )
    folder = Path(tempfile.mkdtemp(prefix="rotator-rehearsal-"))
    try:
        played = SandboxOptions(targets=1, every="400d", grace=wanted.grace, lease="6s", spread=0.5, linger=0.5)
        with start_sandbox(folder / "sandbox", played, {}) as sandbox:
            judged = _play(_Stage(sandbox, folder), wanted)
            said = _tail(folder / "app.log") if not judged.survives else []
    finally:
        shutil.rmtree(folder)
    result(options, judged.document() | {"way": wanted.way, "grace": wanted.grace}, lambda: _say(judged, wanted, said))
    return 0 if judged.survives else 1


def _play(stage: _Stage, wanted: Rehearsal) -> Judgement:
    admin = stage.sandbox.simulator.admin
    admin.behave(record_s3="all")
    with ExitStack() as stack:
        stack.enter_context(
            _running(
                [*MODULE, "worker.cli", "worker", "--json"], stage.sandbox.environment, stage.folder / "worker.log"
            )
        )
        _until(lambda: stage.events("secret.published"), "the first key")
        given = stack.enter_context(_given(stage, wanted.way))
        app = stack.enter_context(_running(wanted.command, given, stage.folder / "app.log"))
        since = len(admin.ledger())
        _until(lambda: app.poll() is not None or judge(admin.ledger(since), (), None, 0).calls, "a call of the app")
        turns = [turn for number in range(wanted.rotations) if app.poll() is None for turn in _turn(stage, number + 1)]
        exit_code = app.poll()
    return judge(admin.ledger(since), turns, exit_code, wanted.rotations)


def _turn(stage: _Stage, number: int) -> Iterator[Turn]:
    say(f"rotation {number}: a new key is published, and the one before lives on for its grace period")
    answer = stage.rotator("rotate", stage.target, "--wait", "--reason", "rehearsal")
    old, new = answer["previous_access_key"], answer["access_key"]
    published = next(each for each in stage.events("secret.published") if each["access_key"] == new)
    _until(
        lambda: [each for each in stage.events("key.dead") if each["access_key"] == old], "the death of the key before"
    )
    time.sleep(AFTERWARDS)
    yield Turn(old, new, datetime.fromisoformat(published["timestamp"]))


@contextmanager
def _given(stage: _Stage, way: str) -> Iterator[dict[str, str]]:
    """What the app has in its environment: its key by one of the ways of docs/apps.md."""
    vault = stage.sandbox.vault
    if vault is None:
        raise RotatorError("a rehearsal wants a Vault of its own")
    vault.admin.write_policy("rehearsal", {f"{MOUNT}/data/{stage.path}": ["read"]})
    login = {"VAULT_ADDR": vault.address, "VAULT_TOKEN": vault.admin.issue_token("rehearsal", "24h").reveal()}
    secret = stage.sandbox.simulator.admin.keys()
    storage = {
        "AWS_ENDPOINT_URL_S3": stage.sandbox.simulator.s3,
        "AWS_REGION": "eu-north-1",
        "AWS_DEFAULT_REGION": "eu-north-1",
    }
    if way == "vault":
        yield login | storage | {"APP_PATH": stage.path}
    elif way == "environment":
        key = secret[stage.events("secret.published")[0]["access_key"]]
        yield storage | {"AWS_ACCESS_KEY_ID": key.access_key, "AWS_SECRET_ACCESS_KEY": key.secret_key}
    else:
        command = [*MODULE, "worker.cli", "serve-credentials", "--path", stage.path, "--listen", "127.0.0.1:0"]
        token, log = stage.folder / "token", stage.folder / "endpoint.log"
        with _running([*command, "--token-file", str(token), "--mount", MOUNT], login, log):
            found = _until(lambda: URL.findall(log.read_text("utf-8")), "the endpoint for credentials")
            yield storage | {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": found[0],
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
            }


@contextmanager
def _running(command: Sequence[str], given: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program, until the end; it does not get the terminal's Ctrl-C, which is for us to pass on."""
    with log.open("wb") as output:
        child = _started(command, given, output)
        try:
            yield child
        finally:
            end(child)


def _started(command: Sequence[str], given: Mapping[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the user's own command, or ours
        list(command),
        env=_surroundings() | dict(given),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _surroundings() -> dict[str, str]:
    """Our environment, without what names other servers or other keys."""
    others = ("VAULT_", "REDIS_", "HOSTUP_", "ROTATOR_", "AWS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return kept | {"PYTHONUNBUFFERED": "1", "AWS_EC2_METADATA_DISABLED": "true"}


def _until(found: Callable[[], T], what: str) -> T:
    """Wait for something, and hand it back. Raises RotatorError."""
    give_up = time.monotonic() + PATIENCE
    while True:
        seen = found()
        if seen:
            return seen
        if time.monotonic() > give_up:
            raise RotatorError(f"not seen within {PATIENCE:.0f} s: {what}", hint="See that the app calls the storage.")
        time.sleep(LOOK)


def _tail(log: Path) -> list[str]:
    return log.read_text("utf-8", errors="replace").splitlines()[-5:]


_NONE_IS_KNOWN = {True: "not known: it ended before the last rotation", False: "no grace is long enough"}


def _say(judged: Judgement, wanted: Rehearsal, said: Sequence[str]) -> None:
    needed = judged.grace_needed
    print_lines(["It survives." if judged.survives else "It does NOT survive."])
    print_facts(
        [
            ("way", wanted.way),
            ("rotations", f"{judged.rotations} of {judged.wanted}"),
            ("calls of the app", str(judged.calls)),
            ("failed", str(judged.failed)),
            ("new keys taken up", f"{judged.taken_up} of {judged.rotations}"),
            ("ended by itself", "" if judged.exit_code is None else f"with exit code {judged.exit_code}"),
            (
                "grace it needs",
                _NONE_IS_KNOWN[judged.rotations < judged.wanted]
                if needed is None
                else f"{needed.total_seconds():.1f} s, and a margin",
            ),
            ("grace it had", wanted.grace),
        ]
    )
    if said:
        print_lines(["what it said last:", *(f"  {line}" for line in said)])
