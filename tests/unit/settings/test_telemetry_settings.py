"""What is sent to collectors: off unless an endpoint is set, by the standard variables; their secrets are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.configuring import problems, read
from worker.settings.telemetry import telemetry

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("env", "on"),
    [
        ({}, (False, False)),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=b", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}, (False, False)),
        (ENDPOINT, (True, True)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, (True, False)),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318/v1/metrics"}, (False, True)),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, (False, True)),
        (ENDPOINT | {"OTEL_METRICS_EXPORTER": "prometheus"}, (True, False)),
        (ENDPOINT | {"OTEL_METRICS_EXPORTER": ""}, (True, True)),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "True"}, (False, False)),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "false"}, (True, True)),
    ],
)
def test_what_is_on(env: dict[str, str], on: tuple[bool, bool]) -> None:
    found = telemetry(env, None)
    assert (found.traces, found.metrics) == on


@pytest.mark.parametrize(
    ("more", "other"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ""),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
        ({"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"}, "http/json"),
        ({"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc", "OTEL_METRICS_EXPORTER": "none"}, ""),
    ],
)
def test_a_protocol_that_is_not_spoken_is_named(more: dict[str, str], other: str) -> None:
    assert telemetry(ENDPOINT | more, None).protocol == other


def test_every_value_of_a_header_and_every_login_is_a_secret(tmp_path: Path) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:p%40ssw0rd-1@otlp.example",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20abcdefgh12, x-key = 12345%2F678",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-other=0therva1ue",
        "SENTRY_DSN": "https://0123456789abcdef@sentry.example/1",
    }
    known = {secret.reveal() for secret in read(tmp_path, env=env).secrets()}
    assert {"Bearer%20abcdefgh12", "Bearer abcdefgh12", "abcdefgh12", "12345/678", "0therva1ue"} <= known
    assert {"p@ssw0rd-1", env["SENTRY_DSN"], "0123456789abcdef"} <= known


def test_the_dsn_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "dsn"
    file.write_text("https://key@sentry.example/1\n")
    dsn = read(tmp_path, env={"SENTRY_DSN_FILE": str(file)}).telemetry.dsn
    assert dsn
    assert dsn.reveal() == "https://key@sentry.example/1"
    assert "SENTRY_DSN_FILE" in problems(tmp_path, env={"SENTRY_DSN_FILE": str(tmp_path / "none")})[0]
