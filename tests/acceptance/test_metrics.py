"""A real worker's /metrics, /livez and /readyz, and what it tells systemd."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.acceptance.service import Service
from tests.sandbox import plain_client, wait_until
from tests.scrape import value
from tests.servers import free_port


def listen(service: Service) -> str:
    address = f"127.0.0.1:{free_port()}"
    service.more = {**service.more, "ROTATOR_METRICS_LISTEN": address}
    return f"http://{address}"


def get(url: str, path: str) -> httpx.Response:
    with plain_client(url) as client:
        return client.get(path)


def answers(url: str, path: str, status: int) -> Callable[[], bool]:
    def asked() -> bool:
        try:
            return get(url, path).status_code == status
        except httpx.TransportError:
            return False

    return asked


def _value(text: str, line: str) -> float:
    found = value(text, line)
    return -1.0 if found is None else found


def test_what_a_worker_shows_of_rotations_names_no_key_and_no_secret(service: Service) -> None:
    url = listen(service)
    worker = service.start()
    worker.wait_for("metrics.served")
    service.rotate()
    done = service.rotate()
    worker.wait_for("key.dead")
    target = f'account="default",target="{service.target}"'
    wait_until(lambda: _value(get(url, "/metrics").text, f'target_keys{{{target},state="current"}}') == 1, "a key")
    text = get(url, "/metrics").text
    assert _value(text, 'rotations_total{account="default",outcome="succeeded",trigger="manual"}') >= 1
    assert _value(text, f'target_condition{{{target},condition="Ready"}}') == 1
    assert _value(text, 'api_requests_total{account="default",code="200",operation="create_key",service="hostup"}') >= 2
    assert _value(text, 'rotation_step_duration_seconds_count{account="default",step="publish"}') >= 2
    assert _value(text, 'revocation_duration_seconds_count{account="default"}') >= 1
    ids = {*service.made(), *(event["request_id"] for event in worker.events("key.created")), done["rotation_id"]}
    assert len(ids) > 3
    assert [each for each in service.secrets() | ids if each in text] == []


def test_every_worker_says_the_same_of_targets_and_a_restart_forgets_nothing(service: Service) -> None:
    first = listen(service)
    service.start().wait_for("metrics.served")
    service.rotate()
    second = listen(service)
    service.start().wait_for("metrics.served")

    def told(url: str) -> list[str]:
        lines = get(url, "/metrics").text.splitlines()
        return [line for line in lines if line.startswith(("rotator_target", "rotator_account"))]

    wait_until(lambda: told(first) == told(second) != [], "both say the same")


def test_a_worker_whose_address_is_taken_works_and_takes_it_over(service: Service) -> None:
    url = listen(service)
    first = service.start()
    first.wait_for("metrics.served")
    second = service.start()
    second.wait_for("worker.started")
    assert second.wait_for("metrics.unavailable")["level"] == "warning"
    assert first.stop() == 0
    second.wait_for("metrics.served")
    assert get(url, "/livez").status_code == 200


def test_a_worker_lives_and_is_not_ready_while_redis_was_never_there(service: Service, tmp_path: Path) -> None:
    url = listen(service)
    service.more |= {"REDIS_URL_FILE": str(tmp_path / "nowhere"), "ROTATOR_HEALTH_FILE": str(tmp_path / "alive")}
    (tmp_path / "nowhere").write_text(f"redis://127.0.0.1:{free_port()}/0")
    worker = service.start()
    wait_until(answers(url, "/livez", 200), "it lives")
    wait_until(answers(url, "/readyz", 503), "it is not ready")
    assert "redis: QueueUnavailable\n" in get(url, "/readyz").text
    assert (tmp_path / "alive").exists()
    assert worker.process.poll() is None


def test_its_end_lets_the_address_go_before_the_step_under_way_is_done(service: Service) -> None:
    url, service.lease = listen(service), "1m"
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    service.sandbox.simulator.admin.behave(latency_ms=4000.0)
    try:
        service.rotator("rotate", service.target)
        worker.wait_for("rotation.started", 2)
        worker.signal(signal.SIGTERM)
        wait_until(lambda: _is_closed(url), "nobody listens")
        assert worker.process.poll() is None, "the create is still under way"
    finally:
        service.sandbox.simulator.admin.behave(latency_ms=0.0)
    assert worker.process.wait(60) == 0


def _is_closed(url: str) -> bool:
    try:
        get(url, "/livez")
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        return False
    return False


def test_systemd_is_told_when_it_is_ready_that_it_lives_and_when_it_stops(service: Service, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        service.more = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        worker = service.start()
        _wait_for(manager, b"WATCHDOG=1")
        _wait_for(manager, b"READY=1")
        _wait_for(manager, b"WATCHDOG=1")
        assert worker.stop() == 0
        _wait_for(manager, b"STOPPING=1")


def _wait_for(manager: socket.socket, state: bytes) -> None:
    while manager.recv(100) != state:
        pass


def test_what_is_off_is_not_even_loaded() -> None:
    libraries = "{'prometheus_client', 'worker.service.telemetry.otlp', 'sentry_sdk'}"
    seen = f"import sys, worker.service.worker, worker.cli; sys.exit(bool({libraries} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", seen], check=False).returncode == 0
