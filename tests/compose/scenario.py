"""What has to hold of the running containers; every check raises AssertionError."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from tests.compose.podman import REPOSITORY, CommandFailed, Podman

PROJECT = "hostup-rotator"
SERVICES = ("worker", "valkey", "vault", "simulator", "sandbox-tls")
CONFINED = (*SERVICES, "prometheus")
PROMETHEUS = "10.213.47.206:9090"
SANDBOX = REPOSITORY / "config" / "compose" / "sandbox"


@dataclass(frozen=True, slots=True)
class Target:
    """One of the sandbox's targets, as its rotator.toml has it."""

    name: str
    path: str
    access_key: str
    secret_key: str


BACKUPS = Target("backups", "apps/backups/object-storage", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
MEDIA = Target("media-uploads", "apps/media/object-storage", "access_key", "secret_key")


def container(service: str) -> str:
    return f"{PROJECT}_{service}_1"


def until(what: str, condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            message = f"not within {seconds:.0f} s: {what}"
            raise AssertionError(message)
        time.sleep(0.25)


def rotator(podman: Podman, *arguments: str) -> Any:
    """What ``rotator ARGUMENTS --json`` says in the worker's container; raises CommandFailed."""
    return json.loads(podman.run("exec", container("worker"), "rotator", *arguments, "--json"))


def succeeds(podman: Podman, *arguments: str) -> bool:
    try:
        podman.run(*arguments)
    except CommandFailed:
        return False
    return True


def is_up(podman: Podman) -> bool:
    return podman.inspect(container("worker"))["State"]["Running"] is True


def wait_until_healthy(podman: Podman) -> None:
    """By each container's own health check, run here as podman has no systemd on a test machine to do it."""
    for service in SERVICES:
        until(f"{service} is healthy", partial(succeeds, podman, "healthcheck", "run", container(service)))


def wait_until_ready(podman: Podman) -> None:
    """``rotator check`` is content: Vault is set up, everything is reached, through TLS where secrets go."""
    check = ("exec", container("worker"), "rotator", "check")
    until("rotator check finds nothing", partial(succeeds, podman, *check), 120)


def rotate(podman: Podman, target: Target) -> None:
    """Rotate and see that Vault has what the answer says, and that the answer's requestId leads back to it."""
    done: dict[str, Any] = rotator(podman, "rotate", target.name, "--wait")
    assert done["outcome"] == "succeeded", done
    assert done["access_key"] != done["previous_access_key"], done
    assert published(podman, target)[target.access_key] == done["access_key"], done
    trace = json.dumps(rotator(podman, "trace", done["request_id"]))
    assert done["access_key"] in trace, trace
    assert done["rotation_id"] in trace, trace


def published(podman: Podman, target: Target) -> dict[str, str]:
    """The app's secret, as an app reads it."""
    answer = podman.run("exec", container("vault"), "vault", "kv", "get", "-format=json", "-mount=secret", target.path)
    data: dict[str, str] = json.loads(answer)["data"]["data"]
    return data


def wait_until_scraped(podman: Podman) -> None:
    """Prometheus has the sandbox's rotations, and no alert fires."""
    until("Prometheus shows a rotation", lambda: bool(_asked(podman, "sum(rotator_rotations_total) > 0")))
    ready = 'count(rotator_target_condition{condition="Ready"} == 1) == 2'
    until("both targets are well", lambda: bool(_asked(podman, ready)))
    assert _asked(podman, 'ALERTS{alertstate="firing"}') == []


def _asked(podman: Podman, query: str) -> list[Any]:
    """What Prometheus answers to a query; asked from the worker's container, which has Python."""
    url = f"http://{PROMETHEUS}/api/v1/query?{urlencode({'query': query})}"
    read = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"
    answer = json.loads(podman.run("exec", container("worker"), "python", "-c", read, url))
    found: list[Any] = answer["data"]["result"]
    return found


def kill_under_way(podman: Podman, target: Target) -> None:
    """Ask for a rotation and kill the worker at once: who is started next serves it.

    ``kill`` is taken by the engine for the operator's will, so it is also the operator who starts it again.
    """
    before = published(podman, target)[target.access_key]
    assert rotator(podman, "rotate", target.name)["outcome"] == "accepted"
    podman.run("kill", "--signal", "KILL", container("worker"))
    until("the worker is gone", lambda: not is_up(podman))
    podman.run("start", container("worker"))
    until("the request is served", lambda: published(podman, target)[target.access_key] != before, 180)


def crash(podman: Podman) -> None:
    """Kill the process itself, as the kernel does when memory runs out: the restart policy brings it back."""
    before = podman.inspect(container("worker"))["State"]["Pid"]
    os.kill(before, signal.SIGKILL)
    until("the restart policy acts", lambda: podman.inspect(container("worker"))["State"]["Pid"] not in (0, before))


def stop_in_order(podman: Podman) -> None:
    """SIGTERM, as Docker Compose sends it to the worker before it ends Valkey; podman-compose ends all at once."""
    podman.compose("stop", "worker")
    assert podman.inspect(container("worker"))["State"]["ExitCode"] == 0


def check_confinement(podman: Podman) -> None:
    """No container runs as root, has a capability, may gain one, or can write outside its volumes."""
    for service in CONFINED:
        status = podman.run("exec", container(service), "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert "0" not in fields["Uid"].split(), (service, fields["Uid"])
        assert int(fields["CapBnd"], 16) == 0, (service, fields["CapBnd"])
        assert fields["NoNewPrivs"] == "1", service
        assert podman.inspect(container(service))["HostConfig"]["ReadonlyRootfs"] is True, service


def given_secrets() -> set[str]:
    """What stands in the sandbox's secret files."""
    texts = {file.read_text().strip() for file in (SANDBOX / "secrets").iterdir()}
    passwords = {text.split("@")[0].rpartition(":")[2] for text in texts if text.startswith("redis://")}
    return texts | passwords


def published_secrets(podman: Podman) -> set[str]:
    """The secret keys that apps have now."""
    return {published(podman, target)[target.secret_key] for target in (BACKUPS, MEDIA)}


def check_nothing_leaked(podman: Podman, secrets: Iterable[str]) -> None:
    """No secret in a log, in what the engine tells about a container, or in an image's history."""
    names = podman.run("ps", "--all", "--format", "{{.Names}}").split()
    assert len(names) > len(SERVICES), names
    places = {f"the log of {name}": podman.run("logs", name, both=True) for name in names}
    places |= {f"inspect of {name}": podman.run("inspect", name) for name in names}
    places["the image"] = podman.run("history", "--no-trunc", PROJECT) + podman.run("inspect", PROJECT)
    assert "rotation.succeeded" in places[f"the log of {container('worker')}"]
    for place, text in places.items():
        assert not any(secret in text for secret in secrets), f"a secret is in {place}"


def check_nothing_is_left(podman: Podman) -> None:
    assert podman.run("ps", "--all", "--quiet") == ""
    assert podman.run("volume", "ls", "--quiet") == ""
