"""A worker and its beat in this process, on real servers, with a clock that can be put forward: weeks in seconds."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import redis

from worker.clock import SystemClock
from worker.errors import RotatorError
from worker.sandbox.servers import ValkeyServer, VaultServer
from worker.sandbox.simulator.server import Simulator
from worker.selftest.evidence import Json, Mount
from worker.service.assemble import Runtime, build
from worker.service.look import look_while_due, watch_while_nothing_is_due
from worker.service.request import Asked, rotate
from worker.service.tick import tick
from worker.settings.environment import Need
from worker.settings.settings import QUEUE, load

API_KEY = "the-key-of-the-outage-tests"
DAY = timedelta(days=1)
WEEK = timedelta(days=7)


class JumpClock:
    """The machine's clock, put forward by jumps; waiting takes its time."""

    def __init__(self) -> None:
        self._real = SystemClock()
        self._ahead = timedelta()

    def jump(self, by: timedelta) -> None:
        """Put it forward."""
        self._ahead += by

    def now(self) -> datetime:
        return self._real.now() + self._ahead

    def monotonic(self) -> float:
        return self._real.monotonic() + self._ahead.total_seconds()

    def wait(self, seconds: float) -> bool:
        return self._real.wait(seconds)

    def sleep(self, seconds: float) -> None:
        self._real.sleep(seconds)

    def stop(self) -> None:
        self._real.stop()

    @property
    def stopping(self) -> bool:
        return self._real.stopping


@dataclass(slots=True)
class Shift:
    """Everything for a test: ticks are made when asked for, and messages worked off at once, in order."""

    runtime: Runtime
    clock: JumpClock
    simulator: Simulator
    mount: Mount
    client: redis.Redis
    errors: Counter[str] = field(default_factory=Counter)
    longest_backlog: int = 0

    def tick(self) -> None:
        """One tick, and then whatever it handed out."""
        self._guarded(lambda: tick(self.runtime, self._send))
        with suppress(redis.RedisError):
            self.longest_backlog = max(self.longest_backlog, self.client.llen(QUEUE))
            while message := self.client.lpop(QUEUE):
                self._work(json.loads(str(message)))
                self.longest_backlog = max(self.longest_backlog, self.client.llen(QUEUE))

    @property
    def every(self) -> timedelta:
        """How often there is a tick."""
        return self.runtime.settings.worker.tick

    def next_tick(self) -> None:
        """A tick later."""
        self.clock.jump(self.every)
        self.tick()

    def live(self, span: timedelta) -> None:
        """So much time, with all its ticks; those that would find nothing to hand out are left out."""
        end = self.clock.now() + span
        while (now := self.clock.now()) < end:
            self.clock.jump(min(max(self._next_due() - now, self.every), end - now))
            self.tick()

    def _next_due(self) -> datetime:
        try:
            first = cast("list[tuple[str, float]]", self.client.zrange("rotator:due", 0, 0, withscores=True))
        except redis.RedisError:
            first = []
        return datetime.fromtimestamp(first[0][1], tz=UTC) if first else self.clock.now()

    def ask(self, target: str, request: str) -> None:
        """Another app sends a message."""
        self._send("rotator.rotate", args=[target, "test"], task_id=request)

    def record(self, target: str) -> Json:
        """A target's record as the document that it is."""
        return self.mount.record(target) or {}

    def last_error(self, target: str) -> Json:
        """What ``rotator status`` shows as a target's last error."""
        summary = self.runtime.shared.index.summary(target) or {}
        return cast("Json", summary.get("last_error") or {})

    def records(self) -> Mapping[str, Json]:
        """All of them."""
        return {name: self.record(name) for name in self.runtime.settings.targets}

    def current(self) -> Mapping[str, str]:
        """The current key of each target that has one."""
        return {n: r["current"]["access_key"] for n, r in self.records().items() if r.get("current")}

    def calls(self) -> Counter[str]:
        """How many calls of each operation HostUp has seen."""
        return Counter(call.operation for call in self.simulator.admin.calls())

    def _send(self, task: str, args: list[str], task_id: str | None = None) -> None:
        self.client.rpush(QUEUE, json.dumps([task, args, task_id]))

    def _work(self, message: list[Any]) -> None:
        task, args, task_id = message
        if task == "rotator.reconcile":
            self._guarded(lambda: look_while_due(self.runtime, args[0]))
        elif task == "rotator.watch":
            self._guarded(lambda: watch_while_nothing_is_due(self.runtime, args[0]))
        else:
            self._guarded(lambda: rotate(self.runtime, args[0], Asked(task_id or secrets.token_hex(8), *args[1:])))

    def _guarded(self, run: Any) -> None:
        """As the tasks do it: an error ends the task, and the worker goes on."""
        try:
            run()
        except RotatorError as error:
            self.errors[type(error).__name__] += 1


@contextmanager
def start_shift(
    folder: Path, vault: VaultServer, valkey: ValkeyServer, targets: int = 4, **worker: object
) -> Iterator[Shift]:
    """Begin, with an account, records and a database of their own; every target has its first key."""
    state = f"state-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator(API_KEY))
        simulator.admin.behave(record_s3="none")
        simulator.admin.add_key("made by hand, before the rotator came")
        config = folder / "rotator.toml"
        config.write_text(_configuration(simulator.url, state, targets, worker), "utf-8")
        environment = {
            "ROTATOR_CONFIG": str(config),
            "HOSTUP_API_KEY": API_KEY,
            "VAULT_ADDR": vault.address,
            "VAULT_TOKEN": vault.root_token.reveal(),
            "REDIS_URL": valkey.url.reveal(),
        }
        client = stack.enter_context(redis.Redis.from_url(valkey.url.reveal(), decode_responses=True))
        client.flushall()
        clock = JumpClock()
        runtime = build(load(None, environment, Need.HOSTUP | Need.VAULT), clock=clock)
        stack.callback(runtime.close)
        shift = Shift(runtime, clock, simulator, Mount(vault.admin, "secret", state), client)
        shift.tick()
        yield shift


def _configuration(url: str, state: str, targets: int, worker: Mapping[str, object]) -> str:
    settings = {"tick": "1h", "lease": "1h", "audit_every": "1h", "messages_per_hour": 3600, **worker}
    lines = [f'[hostup]\nbase_url = "{url}"', f'[vault]\nstate_path = "{state}"', "[worker]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    for number in range(targets):
        lines += [
            "[[target]]",
            f'name = "t{number}"',
            f'path = "{state}-apps/{number}"',
            'every = "1d"',
            'grace = "1h"',
        ]
    return "\n".join([*lines, ""])
