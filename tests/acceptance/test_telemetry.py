"""Traces, metrics and error reports of real workers: to a collector that takes them, hangs, refuses, is away."""

from __future__ import annotations

import re
import time

import pytest

from tests.acceptance.service import Service
from tests.acceptance.test_metrics import answers, get, listen
from tests.collector import QUICK, bodies, numbers, of_rotation, reports, resource
from tests.sandbox import wait_until
from tests.scrape import value
from tests.servers import free_port
from tests.wire import Step, Wire, answer, silence
from worker.sandbox.simulator.faults import fault

TOKEN = "a-t0ken-of-the-c0llector"
ENDS_WITHIN = 20.0
KEY = "5entry5public0key0of0this0test00"


def _otlp(service: Service, url: str, **more: str) -> None:
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}"}
    service.more |= {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **headers, **QUICK, **more}


def _sentry(service: Service, url: str) -> None:
    service.more["SENTRY_DSN"] = f"{url.replace('://', f'://{KEY}@')}/7"


def test_a_rotation_is_one_trace_whichever_workers_did_its_steps(service: Service) -> None:
    with Wire(answer(200)) as collector:
        _otlp(service, collector.url)
        first = service.start()
        first.wait_for("worker.started")
        made = service.rotate()["rotation_id"]
        wait_until(lambda: "rotation" in of_rotation(collector, made), "the rotation")
        assert first.stop() == 0
        second = service.start()
        second.wait_for("worker.started")
        service.rotate()
        second.wait_for("key.dead")
        wait_until(lambda: "prove_dead" in of_rotation(collector, made), "the key's end")
        assert second.stop() == 0
        told = of_rotation(collector, made)
        (root,) = told["rotation"]
        assert {"begin", "verify", "publish", "delete", "prove_dead"} <= set(told)
        steps = [span for name, spans in told.items() if name != "rotation" for span in spans]
        assert {span.trace for span in (root, *steps)} == {root.trace}
        assert ({span.parent for span in steps}, root.parent) == ({root.id}, b"")
        assert root.attributes["rotator.target"] == service.target
        assert (root.attributes["rotator.trigger"], root.attributes["rotator.outcome"]) == ("manual", "succeeded")
        (create,) = told["begin"]
        created = next(line for line in first.events("key.created") if line["rotation_id"] == made)
        assert create.attributes["rotator.request_ids"] == [created["request_id"]]
        assert min(create.seconds, root.seconds) > 0
        assert not any(span.is_error for span in (root, *steps))
        sender = resource(collector)
        assert sender["service.name"] == "hostup-rotator"
        assert {heard.headers["authorization"] for heard in collector.heard} == {f"Bearer {TOKEN}"}


def test_a_create_that_fails_is_an_error_in_its_trace(service: Service) -> None:
    with Wire(answer(200)) as collector:
        _otlp(service, collector.url)
        service.sandbox.simulator.admin.order(fault("cut-after", "create"))
        worker = service.start()
        rotation = worker.wait_for("create.unconfirmed")["rotation_id"]
        wait_until(lambda: {"rotation", "begin"} <= set(of_rotation(collector, rotation)), "the rotation")
        told = of_rotation(collector, rotation)
        assert [span.is_error for span in (*told["rotation"], *told["begin"])] == [True, True]
        assert told["rotation"][0].attributes["rotator.outcome"] == "unconfirmed"


def test_the_metrics_are_those_that_prometheus_gets(service: Service) -> None:
    with Wire(answer(200)) as collector:
        _otlp(service, collector.url, OTEL_TRACES_EXPORTER="none")
        url = listen(service)
        worker = service.start()
        worker.wait_for("metrics.served")
        service.rotate()
        service.rotate()
        worker.wait_for("key.dead")
        wait_until(answers(url, "/metrics", 200), "metrics")
        wait_until(lambda: _differences(service, get(url, "/metrics").text, collector) == [], "the same numbers")
        # what is sent and what is scraped are not of the same moment: a key that dies meanwhile is in one of them only
        wait_until(lambda: _scraped(url) == {name for name, values in numbers(collector).items() if values}, "the same")
        assert bodies(collector, "/v1/traces") == []


def _scraped(url: str) -> set[str]:
    """The names of the series, as OTLP has them."""
    return set(
        re.findall(r"^(rotator_\w+?)(?:_total|_bucket|_sum|_count)?[ {]", get(url, "/metrics").text, re.MULTILINE)
    )


def test_the_counts_of_each_account_begin_at_zero(service: Service) -> None:
    """No increase is seen of a series that begins with its first one."""
    account = f'[[account]]\nname = "media"\nbase_url = "http://127.0.0.1:{free_port()}"\n'
    service.tables, service.more = account, {"HOSTUP_API_KEY_MEDIA": "k"}
    with Wire(answer(200)) as collector:
        _otlp(service, collector.url, OTEL_TRACES_EXPORTER="none")
        url = listen(service)
        service.start().wait_for("metrics.served")
        wait_until(lambda: "rotator_rotations" in numbers(collector), "metrics")
        labels = {"account": "media", "trigger": "schedule", "outcome": "failed"}
        assert numbers(collector)["rotator_rotations"][frozenset(labels.items())] == 0
        shown = 'rotations_total{account="media",outcome="failed",trigger="schedule"}'
        assert value(get(url, "/metrics").text, shown) == 0


def _differences(service: Service, text: str, collector: Wire) -> list[str]:
    target = {"account": "default", "target": service.target}
    told = numbers(collector)
    wanted: tuple[tuple[str, dict[str, str], str], ...] = (
        ("target_keys", {**target, "state": "current"}, ""),
        ("target_current_key_created_timestamp_seconds", target, ""),
        ("rotations", {"account": "default", "trigger": "manual", "outcome": "succeeded"}, "_total"),
        ("rotation_step_duration_seconds", {"account": "default", "step": "publish"}, "_count"),
        ("revocation_duration_seconds", {"account": "default"}, "_count"),
    )
    found = []
    for name, labels, end in wanted:
        shown = ",".join(f'{key}="{each}"' for key, each in labels.items())
        line = f"{name}{end}{{{shown}}}"
        sent = told.get(f"rotator_{name}", {}).get(frozenset(labels.items()))
        if sent is None or sent != value(text, line):
            found.append(line)
    return found


@pytest.mark.parametrize("trouble", [silence(), answer(401), answer(503)], ids=["hangs", "refuses", "is ill"])
def test_a_collector_in_trouble_holds_up_nothing_and_is_told_of_once(service: Service, trouble: Step) -> None:
    with Wire(trouble) as collector:
        _otlp(service, collector.url, OTEL_EXPORTER_OTLP_TIMEOUT="1")
        _sentry(service, collector.url)
        worker = service.start()
        worker.wait_for("telemetry.failed", 2)
        for _ in range(3):
            service.rotate()
        collector.script(answer(200))
        worker.wait_for("telemetry.resumed", 2)
        assert worker.stop() == 0
        kinds = sorted(line["telemetry"] for line in worker.events("telemetry.failed"))
        assert kinds == ["metrics", "traces"]
        assert "opentelemetry" not in worker.log.read_text("utf-8")


def test_a_collector_that_is_not_there_keeps_no_worker_from_ending(service: Service) -> None:
    _otlp(service, f"http://127.0.0.1:{free_port()}")
    _sentry(service, f"http://127.0.0.1:{free_port()}")
    service.watch_every = "1s"
    worker = service.start()
    worker.wait_for("telemetry.failed", 2)
    service.rotate()
    for key in service.living():
        service.sandbox.simulator.admin.remove_key(key)
    worker.wait_for("telemetry.failed", 3)
    began = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began < ENDS_WITHIN
    told = sorted(line["telemetry"] for line in worker.events("telemetry.failed"))
    assert told == ["error reports", "metrics", "traces"]
    assert "urllib3" not in worker.log.read_text("utf-8")


def test_another_protocol_is_refused_in_the_log_and_the_worker_works(service: Service) -> None:
    _otlp(service, "http://127.0.0.1:4317", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    _sentry(service, "http://")
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    told = {line["telemetry"]: line["error"] for line in worker.events("telemetry.failed")}
    assert "grpc" in told["OTLP"]
    assert set(told) == {"OTLP", "error reports"}


def test_a_value_that_the_library_cannot_use_is_told_and_the_worker_works(service: Service) -> None:
    _otlp(service, "http://127.0.0.1:4318", OTEL_METRIC_EXPORT_INTERVAL="-5")
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    (told,) = worker.events("telemetry.failed")
    assert "OTEL_" in told["error"]


def test_nothing_that_is_sent_holds_a_secret_and_nothing_of_it_is_in_the_log(service: Service) -> None:
    with Wire(answer(200)) as collector:
        _otlp(service, collector.url)
        _sentry(service, collector.url)
        service.watch_every = "1s"
        worker = service.start()
        worker.wait_for("rotation.succeeded")
        service.rotate()
        worker.wait_for("key.dead")
        (current,) = service.living()
        service.sandbox.simulator.admin.remove_key(current)
        worker.wait_for("key.died")
        wait_until(lambda: reports(collector) != [], "a report")
        worker.wait_for("rotation.succeeded", 3)
        assert worker.stop() == 0
        (died,) = [report for report in reports(collector) if report["tags"]["event"] == "key.died"]
        assert (died["level"], died["tags"]["target"]) == ("error", service.target)
        assert died["server_name"] == resource(collector)["service.instance.id"]
        said = b"".join(bodies(collector)).decode("utf-8", "replace")
        assert [each for each in service.secrets() if each in said] == []
        log = worker.log.read_text("utf-8")
        assert [each for each in (TOKEN, KEY) if each in log] == []
        sent = b"".join(bodies(collector, "/v1/")).decode("utf-8", "replace")
        assert [key for key in service.made() if key in sent] == []
