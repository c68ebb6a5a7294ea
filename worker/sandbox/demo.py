"""``make demo``: the main job on one screen, in less than a minute, with real servers and a simulated HostUp.

A worker rotates on schedule and on demand while an app keeps using its key; the old key is retired and proven dead;
the rotation is traced by its requestId. Exit 0 only if all of that was seen and no call of the app failed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from worker.errors import RotatorError
from worker.sandbox.children import MODULE
from worker.sandbox.demo_app import App, Tally
from worker.sandbox.files import append_private
from worker.sandbox.run import Sandbox, start_sandbox
from worker.sandbox.texts import MOUNT, SandboxOptions

OPTIONS = SandboxOptions(
    targets=2, every="12s", grace="5s", tick="1s", lease="6s", audit_every="10s", spread=0.5, linger=1.0
)
PATIENCE = 50.0
"""Seconds for all of it; what has not been seen by then has failed."""

LOOK = 0.1
TARGET = "media-uploads"
SHOWN = {
    "worker.started": "dim",
    "rotation.started": "cyan",
    "key.created": "cyan",
    "key.verified": "cyan",
    "secret.published": "bold green",
    "key.retired": "yellow",
    "key.dead": "bold yellow",
    "rotation.failed": "bold red",
    "create.unconfirmed": "bold red",
    "drift.found": "bold red",
    "audit.done": "dim",
}
FIELDS = ("trigger", "access_key", "request_id", "vault_version", "code", "drift", "error")


class Story:
    """The worker's log, followed as it grows, shown on the screen, and kept for later questions."""

    def __init__(self, console: Console, log: Path) -> None:
        self._console = console
        self._log = log
        self._read = 0
        self._give_up = time.monotonic() + PATIENCE
        self.events: list[Mapping[str, Any]] = []

    def wait_for(self, what: str, seen: Callable[[Mapping[str, Any]], bool], after: int = 0) -> Mapping[str, Any]:
        """Follow the log until an event is seen (from the one numbered ``after`` on). Raises RotatorError."""
        while True:
            self.follow()
            found = next((event for event in self.events[after:] if seen(event)), None)
            if found:
                return found
            if time.monotonic() > self._give_up:
                raise RotatorError(f"not seen within {PATIENCE:.0f} s: {what}", hint=f"See {self._log}.")
            time.sleep(LOOK)

    def follow(self) -> None:
        """Read and show what is new in the log."""
        with self._log.open(encoding="utf-8") as lines:
            lines.seek(self._read)
            text = lines.read()
        whole, _, _ = text.rpartition("\n")
        self._read += len(whole.encode()) + 1 if whole else 0
        for line in whole.splitlines():
            event = json.loads(line) if line.startswith("{") else {"event": line}
            self.events.append(event)
            self._tell(event)

    def _tell(self, event: Mapping[str, Any]) -> None:
        style = SHOWN.get(event["event"])
        if style:
            about = "  ".join(f"{name}={event[name]}" for name in FIELDS if event.get(name) is not None)
            self._console.print(
                f"  {event['timestamp'][11:19]}  {event.get('target') or '':<14} {event['event']:<18} {about}",
                style=style,
                highlight=False,
                soft_wrap=True,
            )


def main() -> int:
    """Run the demo; 0 when everything was seen as it should be."""
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="rotator-demo-") as folder:
        try:
            with start_sandbox(Path(folder) / "sandbox", OPTIONS, {}) as sandbox:
                return _play(console, sandbox)
        except RotatorError as error:
            console.print(f"The demo failed: {error}", style="bold red")
        except KeyboardInterrupt:
            console.print("Interrupted; nothing is left running.")
    return 1


def _play(console: Console, sandbox: Sandbox) -> int:
    _head(console, "A simulated HostUp, a real Vault and a real Valkey run on 127.0.0.1; the worker starts")
    with _worker(sandbox) as log:
        story = Story(console, log)
        first = story.wait_for("the first key", lambda e: _is(e, "secret.published"))
        _head(console, "An app reads this key from Vault, and uses it from now on, twenty times a second")
        with _app(sandbox) as app:
            _head(console, f"Rotation on demand: rotator rotate {TARGET} --wait")
            _rotate(console, sandbox)
            _head(console, f"The first key works on for the grace period ({OPTIONS.grace}); then it is deleted")
            story.wait_for("the old key's death", lambda e: _is(e, "key.dead", access_key=first["access_key"]))
            _head(console, f"A rotation on schedule (every {OPTIONS.every})")
            begun = len(story.events)
            story.wait_for("a rotation on schedule", lambda e: _is_scheduled(e, story))
            story.wait_for("the audit", lambda e: _is(e, "audit.done", target=None), after=begun)
            _head(
                console, f"Where did that first key come from, and where is it now? rotator trace {first['request_id']}"
            )
            traced = _rotator(sandbox, "trace", str(first["request_id"]))
            console.print(traced, highlight=False, soft_wrap=True)
            tally = app.tally
    return _verdict(console, tally, first, traced)


def _is(event: Mapping[str, Any], name: str, access_key: str | None = None, target: str | None = TARGET) -> bool:
    right_key = access_key is None or event.get("access_key") == access_key
    return bool(event["event"] == name and event.get("target") == target and right_key)


def _is_scheduled(event: Mapping[str, Any], story: Story) -> bool:
    """A rotation of the target that succeeded, was begun by the schedule, and replaced a key."""
    if not _is(event, "rotation.succeeded") or not event.get("previous_access_key"):
        return False
    begun = [e for e in story.events if e["event"] == "rotation.started" and e["rotation_id"] == event["rotation_id"]]
    return bool(begun and begun[0]["trigger"] == "schedule")


@contextmanager
def _worker(sandbox: Sandbox) -> Iterator[Path]:
    log = sandbox.folder / "worker.log"
    with append_private(log) as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*MODULE, "worker.cli", "worker"],
            stdout=output,
            stderr=subprocess.DEVNULL,
            env=_environment(sandbox),
            start_new_session=True,  # Ctrl-C is for us to pass on
        )
    try:
        yield log
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _app(sandbox: Sandbox) -> Iterator[App]:
    vault = sandbox.vault
    target = sandbox.targets[0]
    if vault is None:
        raise RotatorError("the demo wants a Vault of its own")
    vault.admin.write_policy("demo-app", {f"{MOUNT}/data/{target.path}": ["read"]})
    app = App(vault.address, vault.admin.issue_token("demo-app", "24h"), MOUNT, target.path)
    app.start()
    try:
        yield app
    finally:
        app.stop()


def _environment(sandbox: Sandbox) -> dict[str, str]:
    passed_on = {
        name: value for name, value in os.environ.items() if not name.startswith(("VAULT_", "REDIS_", "HOSTUP_"))
    }
    return passed_on | dict(sandbox.environment)


def _rotator(sandbox: Sandbox, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own command
        [*MODULE, "worker.cli", *arguments],
        env=_environment(sandbox),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RotatorError(f"rotator {arguments[0]} ended with {done.returncode}", hint=done.stderr.strip()[-500:])
    return done.stdout


def _rotate(console: Console, sandbox: Sandbox) -> None:
    answer = json.loads(_rotator(sandbox, "rotate", TARGET, "--wait", "--reason", "demo", "--json"))
    for name, value in answer.items():
        console.print(f"    {name}: {value}", highlight=False, soft_wrap=True)


def _verdict(console: Console, tally: Tally, first: Mapping[str, Any], traced: str) -> int:
    table = Table(title="What the app saw", show_header=True)
    table.add_column("access key")
    table.add_column("calls that worked", justify="right")
    for key, calls in tally.by_key.items():
        table.add_row(key, str(calls))
    table.add_row("failed calls", str(tally.failed), style="bold red" if tally.failed else "bold green")
    console.print()
    console.print(table)
    for error in tally.errors[:5]:
        console.print(error, style="red")
    good = not tally.failed and len(tally.by_key) > 1 and str(first["access_key"]) in traced
    console.print(
        "The key was rotated on schedule and on demand, the old one is dead, and no call failed."
        if good
        else "Something is not as it should be; see above.",
        style="bold green" if good else "bold red",
    )
    return 0 if good else 1


def _head(console: Console, text: str) -> None:
    console.print()
    console.print(text, style="bold", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
