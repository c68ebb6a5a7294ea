"""What a process counts is of an account each, alike at /metrics and by OTLP."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource

from tests.scrape import value
from worker.meter import Meter
from worker.service.metrics.own import OwnMetrics
from worker.service.telemetry.numbers import OtlpNumbers

ACCOUNTS = ("default", "media")

Count = Callable[[Meter], None]


class Kept(MetricExporter):
    """What was exported last: of a counter how much, of a histogram how many, by name and labels."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[tuple[str, frozenset[tuple[str, object]]], float] = {}

    def export(self, metrics_data: MetricsData, timeout_millis: float = 0, **_: object) -> MetricExportResult:
        del timeout_millis
        for resource in metrics_data.resource_metrics:
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                for point in metric.data.data_points:
                    labels = frozenset((point.attributes or {}).items())
                    number = point.value if hasattr(point, "value") else point.count
                    self.found[metric.name, labels] = number
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:
        del timeout_millis
        return True

    def shutdown(self, timeout_millis: float = 0, **_: object) -> None:
        del timeout_millis


def _by_otlp(count: Count) -> Kept:
    kept = Kept()
    with closing(OtlpNumbers(Resource({}), kept, ACCOUNTS)) as numbers:
        count(numbers)
    return kept


COUNTS: dict[str, tuple[Count, str, str, dict[str, str]]] = {
    "call": (
        lambda meter: meter.called("hostup", "status", "429", 0.1, "media"),
        "api_requests",
        "_total",
        {"account": "media", "code": "429", "operation": "status", "service": "hostup"},
    ),
    "time of a call": (
        lambda meter: meter.called("storage", "probe", "403", 0.1, "media"),
        "api_request_duration_seconds",
        "_count",
        {"account": "media", "operation": "probe", "service": "storage"},
    ),
    "step": (
        lambda meter: meter.stepped("publish", 0.1, "media"),
        "rotation_step_duration_seconds",
        "_count",
        {"account": "media", "step": "publish"},
    ),
    "death": (
        lambda meter: meter.died(1.0, "media"),
        "revocation_duration_seconds",
        "_count",
        {"account": "media"},
    ),
    "rotation": (
        lambda meter: meter.rotated("schedule", "failed", "media"),
        "rotations",
        "_total",
        {"account": "media", "outcome": "failed", "trigger": "schedule"},
    ),
}


@pytest.mark.parametrize(("count", "name", "end", "labels"), COUNTS.values(), ids=COUNTS)
def test_what_is_counted_of_one_account_is_told_apart(
    count: Count, name: str, end: str, labels: dict[str, str]
) -> None:
    own = OwnMetrics(ACCOUNTS)
    count(own)
    shown = ",".join(f'{key}="{each}"' for key, each in labels.items())
    other = shown.replace('"media"', '"default"')
    assert value(own.text(), f"{name}{end}{{{shown}}}") == 1
    assert not value(own.text(), f"{name}{end}{{{other}}}")
    sent = _by_otlp(count).found
    assert sent[f"rotator_{name}", frozenset(labels.items())] == 1
    assert not sent.get((f"rotator_{name}", frozenset({**labels, "account": "default"}.items())))


@pytest.mark.parametrize("account", ACCOUNTS)
def test_rotations_of_each_account_begin_at_zero(account: str) -> None:
    labels = {"account": account, "outcome": "failed", "trigger": "schedule"}
    shown = ",".join(f'{key}="{each}"' for key, each in labels.items())
    assert value(OwnMetrics(ACCOUNTS).text(), f"rotations_total{{{shown}}}") == 0
    assert _by_otlp(lambda _: None).found["rotator_rotations", frozenset(labels.items())] == 0


def test_a_call_to_vault_is_of_no_account() -> None:
    own = OwnMetrics(ACCOUNTS)
    own.called("vault", "read", "200", 0.1)
    assert value(own.text(), 'api_requests_total{account="",code="200",operation="read",service="vault"}') == 1
    sent = _by_otlp(lambda meter: meter.called("vault", "read", "200", 0.1)).found
    assert (
        sent["rotator_api_requests", frozenset({"code": "200", "operation": "read", "service": "vault"}.items())] == 1
    )
