"""The endpoint that HostUp names: the first is kept, another one is not used before a person accepts it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import structlog

from tests.doubles import MemoryClock, MemoryHostUp, MemoryVault
from tests.unit.adapters.hostup_answering import LONG
from tests.wire import Wire, answer
from worker.adapters.http.backend import DeadlineBackend
from worker.adapters.http.client import HttpClient, new_client
from worker.adapters.http.guard import Guard
from worker.adapters.s3.endpoint import named_endpoint_problem, same_endpoint
from worker.adapters.s3.lazy import BELIEVED_SECONDS, DOUBTED_SECONDS, LazyStorage, StoragePlace
from worker.errors import EndpointRefused, HostUpCall, HostUpError, HostUpUnreachable, StorageError
from worker.rotation.endpoint import EndpointNotes
from worker.rotation.ports import Life, StorageStatus

OUTSIDE = "https://cloud.hostup.example"
FIRST = "https://s3.hostup.example"
OTHER = "https://s3.thief.example"
ALIVE = b"<Error><Code>SignatureDoesNotMatch</Code></Error>"

REFUSED = [
    "http://s3.hostup.se",
    "https://s3.hostup.se:8443",
    "https://s3.hostup.se:22",
    "https://user@s3.hostup.se",
    "https://s3.hostup.se@169.254.169.254",
    "https://s3.hostup.se#@10.0.0.1",
    "https://s3.hostup.se?x",
    "https://s3.hostup.se\\@10.0.0.1",
    "https://127.0.0.1",
    "https://localhost",
    "https://localhost.",
    "https://LOCALHOST",
    "https://a.localhost",
    "https://169.254.169.254",
    "https://169.254.169.254/latest/meta-data",
    "https://2130706433",
    "https://0x7f000001",
    "https://0x7f.1",
    "https://127.1",
    "https://0177.0.0.1",
    "https://017700000001",
    "https://1.0x7f",
    "https://[::1]",
    "https://[::ffff:127.0.0.1]",
    "https://[::ffff:a9fe:a9fe]",
    "https://[fe80::1]",
    "https://[fd00:ec2::254]",
    "https://[64:ff9b::a9fe:a9fe]",
    "https://10.0.0.1",
    "https://192.168.0.1",
    "https://172.16.0.1",
    "https://100.100.100.200",
    "https://0.0.0.0",
    "https://0",
    "https://vault",
    "https://metadata",
    "https://metadata.google.internal",
    "https://nas.local",
    "https://x.lan",
    "https://router.home.arpa",
    "https://s3.hostup.se/path",
    "ftp://s3.hostup.se",
    "s3.hostup.se",
    "https://",
    "https://[fe80::1%25eth0]",
    "https://127.0.0.1.",
    "https://\uff11\uff12\uff17.0.0.1",
    "https://127。0。0。1",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("endpoint", REFUSED)
def test_refused_where_hostup_is_outside(endpoint: str) -> None:
    assert named_endpoint_problem(endpoint, inside=False)


@pytest.mark.parametrize(
    "endpoint",
    ["https://s3.hostup.se", "https://s3.hostup.se/", "https://S3.HostUp.se:443", "https://8.8.8.8", "https://a.b.c.d"],
)
def test_taken_where_hostup_is_outside(endpoint: str) -> None:
    assert named_endpoint_problem(endpoint, inside=False) is None


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8080", "https://vault:8443", "https://10.0.0.1", FIRST])
def test_taken_where_hostup_is_inside_itself(endpoint: str) -> None:
    assert named_endpoint_problem(endpoint, inside=True) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (FIRST, FIRST + "/", True),
        (FIRST, "https://S3.hostup.EXAMPLE:443", True),
        (FIRST, FIRST + ".", True),
        (FIRST, "http://s3.hostup.example", False),
        (FIRST, FIRST + ":444", False),
        (FIRST, FIRST + "/a", False),
        (FIRST, OTHER, False),
    ],
)
def test_the_same_place(one: str, other: str, same: bool) -> None:  # noqa: FBT001 - pytest's
    assert same_endpoint(one, other) is same


@dataclass
class Naming(MemoryHostUp):
    """HostUp, and what it names as endpoint and region; ``away``: it cannot be reached."""

    endpoint: str | None = FIRST
    region: str | None = "eu-north-1"
    away: bool = False
    asked: int = 0

    def status(self) -> StorageStatus:
        self.asked += 1
        if self.away:
            raise HostUpUnreachable("no connection", HostUpCall("status"))
        return replace(super().status(), endpoint=self.endpoint, region=self.region)


@dataclass
class World:
    """HostUp, Vault, and workers that come and go. ``names`` is what DNS says of every host."""

    client: HttpClient
    guard: Guard
    hostup: Naming = field(default_factory=Naming)
    vault: MemoryVault = field(default_factory=MemoryVault)
    clock: MemoryClock = field(default_factory=MemoryClock)

    def __post_init__(self) -> None:
        self.notes = EndpointNotes(self.vault, "state", self.clock, "secret")

    def worker(self, base_url: str = OUTSIDE, *, keep: bool = True, **configured: Any) -> LazyStorage:
        place = StoragePlace(base_url, LONG, **configured)
        return LazyStorage(self.client, self.guard, self.hostup, place, self.notes, self.clock, keep=keep)

    @property
    def note(self) -> dict[str, Any]:
        return dict(self.vault.latest("state/_endpoint") or {})


NAMES: dict[str, list[str]] = {}


@pytest.fixture
def world() -> Iterator[World]:
    NAMES.clear()
    guard = Guard(lambda host, _: NAMES.get(host, ["8.8.8.8"]))
    with new_client(backend=DeadlineBackend(guard)) as client:
        yield World(client, guard)


def test_the_first_sight_is_kept_and_told_once(world: World) -> None:
    with structlog.testing.capture_logs() as logs:
        assert world.worker().endpoint == FIRST
        assert world.worker().endpoint == FIRST
    assert [line["event"] for line in logs] == ["endpoint.noted"]
    assert (world.note["endpoint"], world.note["accepted_by"]) == (FIRST, "first sight")


def test_who_changes_nothing_keeps_nothing(world: World) -> None:
    assert world.worker(keep=False).endpoint == FIRST
    assert world.note == {}


def test_another_one_is_refused_loudly_until_a_person_accepts_it(world: World) -> None:
    assert world.worker().endpoint == FIRST
    world.hostup.endpoint = OTHER
    worker = world.worker()
    with structlog.testing.capture_logs() as logs:
        for call in (lambda: worker.endpoint, worker.see_that_it_can_be_asked):
            with pytest.raises(EndpointRefused, match="before it named"):
                call()
        assert [worker.lives("AK").life, worker.lives("AK").asked] == [Life.UNKNOWN, False]
    assert [(line["event"], line["log_level"]) for line in logs] == [("endpoint.refused", "error")]
    assert (world.note["endpoint"], world.note["named_instead"]) == (FIRST, OTHER)
    world.notes.accept(OTHER, "eu-north-1")
    world.clock.sleep(DOUBTED_SECONDS)
    assert worker.endpoint == OTHER
    assert [old["endpoint"] for old in world.note["before"]] == [FIRST]
    assert world.note["accepted_by"] == "a person"
    # and what was accepted before is now the other one
    world.hostup.endpoint = FIRST
    with pytest.raises(EndpointRefused):
        _ = world.worker().endpoint


def test_a_running_worker_notices_within_the_hour_and_goes_on_when_it_is_mended(world: World) -> None:
    worker = world.worker()
    assert worker.endpoint == FIRST
    world.hostup.endpoint = OTHER
    assert worker.endpoint == FIRST
    world.clock.sleep(BELIEVED_SECONDS)
    with pytest.raises(EndpointRefused):
        _ = worker.endpoint
    world.hostup.endpoint = FIRST
    world.clock.sleep(DOUBTED_SECONDS)
    assert worker.endpoint == FIRST
    assert world.note["named_instead"] is None


def test_hostup_is_not_asked_at_every_probe(world: World) -> None:
    worker = world.worker()
    for _ in range(50):
        assert worker.endpoint == FIRST
    assert world.hostup.asked == 1
    world.hostup.endpoint = OTHER
    other = world.worker()
    for _ in range(50):
        assert other.lives("AK").life is Life.UNKNOWN
    assert world.hostup.asked == 2


def test_where_hostup_is_away_the_accepted_one_is_used(world: World) -> None:
    world.hostup.away = True
    with pytest.raises(HostUpError):
        _ = world.worker().endpoint
    world.hostup.away = False
    assert world.worker().endpoint == FIRST
    world.hostup.away = True
    assert world.worker().endpoint == FIRST


def test_where_hostup_names_none_the_accepted_one_is_used(world: World) -> None:
    world.hostup.endpoint = None
    with pytest.raises(StorageError, match="does not tell"):
        _ = world.worker().endpoint
    world.hostup.endpoint = FIRST
    assert world.worker().endpoint == FIRST
    world.hostup.endpoint = None
    assert world.worker().endpoint == FIRST


def test_the_configuration_wins(world: World) -> None:
    world.hostup.endpoint = OTHER
    assert world.worker(endpoint="https://10.0.0.1:7480", region="r").endpoint == "https://10.0.0.1:7480"
    assert world.worker(endpoint=FIRST).endpoint == FIRST
    assert world.note == {}


@pytest.mark.parametrize("named", ["http://127.0.0.1:9", "https://169.254.169.254", "https://vault:8200"])
def test_one_inside_is_never_a_first_sight(world: World, named: str) -> None:
    world.hostup.endpoint = named
    with pytest.raises(EndpointRefused):
        _ = world.worker().endpoint
    assert world.note == {}
    inside = world.worker("http://127.0.0.1:1")
    assert inside.endpoint == named


@pytest.mark.parametrize("base_url", ["https://hostup.corp.example", "https://10.0.0.5", "https://[fd00::5]"])
def test_hostup_may_be_inside_by_its_name(world: World, base_url: str) -> None:
    NAMES["hostup.corp.example"] = ["10.0.0.5"]
    world.hostup.endpoint = "https://10.0.0.6:7480"
    assert world.worker(base_url).endpoint == "https://10.0.0.6:7480"


def test_a_name_that_leads_inside_is_not_connected_to(world: World) -> None:
    with Wire(answer(403, ALIVE), tls=True) as wire:
        NAMES["s3.hostup.example"] = ["127.0.0.1"]
        probe = world.worker().lives("AKIAEXAMPLE")
        assert wire.heard == []
    assert probe.life is Life.UNKNOWN
    assert "into a network of its own" in probe.detail


@pytest.mark.parametrize("gone", ["deleted", "destroyed", "garbage"])
def test_where_the_note_is_gone_nothing_is_a_first_sight(world: World, gone: str) -> None:
    assert world.worker().endpoint == FIRST
    world.hostup.endpoint = OTHER
    if gone == "deleted":
        world.vault.soft_delete("state/_endpoint")
    elif gone == "destroyed":
        world.vault.destroy("state/_endpoint", 1)
    else:
        world.vault.write("state/_endpoint", {"endpoint": 7}, 1)
    with pytest.raises(EndpointRefused):
        _ = world.worker().endpoint
    world.notes.accept(OTHER, "r")
    assert world.worker().endpoint == OTHER
