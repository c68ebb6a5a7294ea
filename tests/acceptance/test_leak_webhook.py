"""The leak webhook on real workers: a signed hit ends a key within seconds, and nothing else does."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.service import Service, Worker
from tests.acceptance.test_command import run, secret
from tests.reports import SECRET, Scanner, body_of, headers, told
from tests.sandbox import wait_until
from tests.servers import free_port

OTHER_SECRET = "whsec_" + "QUJD" * 8


def listening(service: Service) -> Scanner:
    """The service with a webhook, for workers that are started afterwards."""
    address = f"127.0.0.1:{free_port()}"
    service.grace, service.tables = "1d", f'[leak_webhook]\nlisten = "{address}"\n'
    file = service.folder / "webhook-secret"
    file.write_text(SECRET)
    service.more = {"ROTATOR_LEAK_WEBHOOK_SECRET_FILE": str(file)}
    return Scanner(address)


@pytest.fixture
def scanner(service: Service) -> Scanner:
    return listening(service)


@pytest.fixture
def worker(service: Service, scanner: Scanner) -> Worker:
    """A worker with the webhook at the scanner's address, of a target with a key and another one in its grace."""
    assert scanner.address in service.tables
    started = service.start()
    started.wait_for("webhook.served")
    started.wait_for("rotation.succeeded")
    service.rotate()
    return started


def asked(service: Service) -> list[dict[str, object]]:
    """What reports asked for, by the record."""
    entries = [json.loads(text) for text in service.record()["history"]]
    return [each for each in entries if each["event"] == "rotation.requested" and each.get("by") == "leak webhook"]


def test_a_hit_is_on_record_before_it_is_answered_and_the_key_is_dead_soon(
    service: Service, worker: Worker, scanner: Scanner
) -> None:
    old = secret(service)
    began = time.monotonic()
    answer = scanner.report(old["access_key"], "AKIANEVERHEARDOF", where="https://github.com/a/b\x1b[2J")
    assert answer.status_code == 202
    assert told(answer) == {
        old["access_key"]: {"ours": True, "target": service.target, "state": "current", "leak_mode": True},
        "AKIANEVERHEARDOF": {"ours": False},
    }
    (entry,) = asked(service)
    assert (entry["leaked"], entry["reason"]) == (True, "https://github.com/a/b\\x1b[2J")
    wait_until(lambda: not service.works(old), "the key is dead")
    assert time.monotonic() - began < 10
    wait_until(lambda: service.living() == {secret(service)["access_key"]}, "the one in its grace is dead, too")
    reported = worker.wait_for("leak.reported")
    assert (reported["access_key"], reported["by"]) == (old["access_key"], "leak webhook")
    assert worker.events("rotation.started")[-1]["by"] == "leak webhook"
    assert "by leak webhook" in run(service, "history", service.target).out
    wait_until(lambda: told(scanner.report(old["access_key"]))[old["access_key"]]["state"] == "gone", "proven dead")
    assert scanner.report(old["access_key"]).status_code == 200, "a dead key begins nothing"
    assert len(asked(service)) == 1
    assert SECRET not in service.everything_said()


@pytest.mark.usefixtures("worker")
def test_a_key_in_its_grace_counts_as_the_current_one(service: Service, scanner: Scanner) -> None:
    before = service.record()["retiring"][-1]["access_key"]
    answer = scanner.report(before)
    assert (answer.status_code, told(answer)[before]["state"]) == (202, "in grace")
    wait_until(lambda: len(service.living()) == 1, "both keys of before are dead")


@pytest.mark.usefixtures("worker")
def test_as_a_scanner_of_github_tells_it(service: Service, scanner: Scanner) -> None:
    old = secret(service)
    body = json.dumps(
        [{"token": old["access_key"], "type": "hostup", "url": "https://x", "source": "content"}]
    ).encode()
    assert scanner.send(body, headers(body, sent_id="a", at=time.time())).status_code == 202
    assert asked(service)[-1]["reason"] == "https://x"


def test_without_a_valid_signature_nobody_is_told_anything(service: Service, worker: Worker, scanner: Scanner) -> None:
    current = secret(service)["access_key"]
    body, now = body_of(current), time.time()
    right = headers(body, sent_id="one", at=now)
    forged = [
        {},
        headers(body, sent_id="one", at=now, secret=OTHER_SECRET),
        headers(body_of("another"), sent_id="one", at=now),
        {**right, "webhook-id": "two"},
        {**right, "webhook-timestamp": str(int(now) + 1)},
        {**right, "webhook-signature": right["webhook-signature"].replace("v1,", "v2,")},
        {**right, "webhook-signature": right["webhook-signature"][:-1]},
        {**right, "webhook-signature": " ".join(["v1,x"] * 8) + " " + right["webhook-signature"]},
        headers(body, sent_id="one", at=now - 301),
        headers(body, sent_id="one", at=now + 330),
        {**right, "webhook-timestamp": "now"},
        {**right, "webhook-id": ""},
    ]
    answers = [scanner.send(body, each) for each in forged]
    assert {(each.status_code, each.content) for each in answers} == {(401, b"")}
    assert scanner.send(b"{", {}).status_code == 401, "not even whether it has the right form"
    assert asked(service) == []
    worker.wait_for("webhook.refused")
    for _ in range(30):
        scanner.send(body, {})
    assert len(worker.events("webhook.refused")) <= 10, "anybody can send such: the log is not theirs to fill"
    assert scanner.send(body, {**right, "webhook-signature": f"v1,x {right['webhook-signature']}"}).status_code == 202


def test_a_report_that_is_repeated_begins_nothing_again(service: Service, worker: Worker, scanner: Scanner) -> None:
    other = service.start()
    other.wait_for("webhook.unavailable")
    body = body_of(secret(service)["access_key"])
    signed = headers(body, sent_id="the-same", at=time.time())
    with ThreadPoolExecutor(6) as senders:
        answers = list(senders.map(lambda _: scanner.send(body, signed), range(12)))
    assert {each.status_code for each in answers} <= {200, 202}
    again = scanner.send(body, signed)
    assert (again.status_code, again.json()) == (200, {"repeated": True, "keys": []})
    assert worker.stop() == 0
    other.wait_for("webhook.served")
    assert scanner.send(body, signed).json()["repeated"] is True, "also by another worker"
    service.redis.flushdb()
    assert scanner.send(body, signed).status_code in (200, 202)
    wait_until(lambda: len(service.living()) == 1, "the old keys are dead")
    assert len(asked(service)) == 1, "the record takes it once, also where Redis has forgotten it"
    assert len(service.made()) == 3


@pytest.mark.usefixtures("worker")
def test_what_is_no_report_is_refused(service: Service, scanner: Scanner) -> None:
    for text in ("{", "[]", "{}", '"x"', '{"access_keys": []}', '{"access_keys": [1]}', '{"access_keys": [""]}'):
        body = text.encode()
        answer = scanner.send(body, headers(body, sent_id="x", at=time.time()))
        assert (answer.status_code, "access_keys" in answer.text) == (400, True), text
    for keys in (["K" * 129], ["K"] * 101):
        assert scanner.report(*keys).status_code == 400
    deep = b"[" * 60_000
    assert scanner.send(deep, headers(deep, sent_id="x", at=time.time())).status_code == 400
    assert scanner.send(b"x", {}, path="/").status_code == 404
    assert asked(service) == []


def ask(scanner: Scanner, request: bytes) -> bytes:
    host, _, port = scanner.address.partition(":")
    with socket.create_connection((host, int(port)), 30) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(1 << 20), b""))


@pytest.mark.usefixtures("worker")
def test_huge_and_slow_requests_hold_nothing_up(service: Service, scanner: Scanner) -> None:
    head = b"POST /leaks HTTP/1.1\r\nHost: x\r\n"
    for more, status in (
        (b"Content-Length: 65537\r\n", b"413"),
        (b"Content-Length: " + b"9" * 5_000 + b"\r\n", b"413"),
        (b"Content-Length: -1\r\n", b"411"),
        (b"Transfer-Encoding: chunked\r\n", b"411"),
        (b"", b"411"),
    ):
        assert ask(scanner, head + more + b"\r\n").split()[1] == status
    assert ask(scanner, b"GET /leaks HTTP/1.1\r\n\r\n").split()[1] == b"404"
    host, _, port = scanner.address.partition(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(6)]
    for connection in slow:
        connection.sendall(head + b"Content-Length: 60000\r\n\r\n{")
    assert scanner.report(secret(service)["access_key"]).status_code == 202
    for connection in slow:
        connection.close()


def test_while_redis_or_vault_is_away_the_sender_is_told_to_come_again(
    service: Service, worker: Worker, scanner: Scanner
) -> None:
    old = secret(service)
    service.redis.config_set("maxmemory", "1")
    try:
        answer = scanner.report(old["access_key"], sent_id="again")
    finally:
        service.redis.config_set("maxmemory", "0")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    wait_until(lambda: scanner.report(old["access_key"], sent_id="again").status_code in (200, 202), "it is taken")
    wait_until(lambda: not service.works(old), "it is dead")
    assert len(asked(service)) == 1
    assert worker.events("error.uncaught") == []


@pytest.mark.usefixtures("worker")
def test_the_fourth_rotation_within_an_hour_waits(service: Service, scanner: Scanner) -> None:
    for number in range(3):
        old = secret(service)
        assert scanner.report(old["access_key"]).status_code == 202, number
        wait_until(lambda: secret(service)["access_key"] != old["access_key"], "another key")  # noqa: B023 - used at once
    last = secret(service)
    answer = scanner.report(last["access_key"])
    assert answer.status_code == 429
    assert 3000 < int(answer.headers["Retry-After"]) <= 3600
    assert service.works(last)
    assert run(service, "rotate", service.target, "--leaked", "--wait", "--yes").code == 0, "people are not limited"


def test_the_secret_may_be_changed_while_it_runs(service: Service, worker: Worker, scanner: Scanner) -> None:
    assert scanner.report("NOBODYS", secret=OTHER_SECRET).status_code == 401
    (service.folder / "webhook-secret").write_text(OTHER_SECRET)
    assert scanner.report("NOBODYS", secret=OTHER_SECRET).status_code == 200
    assert scanner.report("NOBODYS").status_code == 401
    assert worker.events("credential.renewed")


@pytest.mark.usefixtures("scanner")
def test_without_a_secret_no_worker_starts(service: Service) -> None:
    service.more = {}
    assert service.start().process.wait(30) == 78
    assert run(service, "status").code == 0, "who only looks needs none"
