"""Each alert fires for what it is about, alone, and stays silent otherwise: promtool evaluates the real file."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.monitoring.files import ALERTS, alerts

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")

HOUR, DAY = 3600, 86400
ID = 'account="default",target="media"'
OTHER = 'account="default",target="other"'
BOTH = ("a", "b")

WELL: Mapping[str, str] = {
    'build_info{version="1"}': "1+0x2000",
    # what is shared is read at each scrape, a minute apart here
    "last_tick_timestamp_seconds": "0+60x2000",
    'account_last_audit_timestamp_seconds{account="default"}': "0+60x2000",
    'account_circuit_open{account="default"}': "0+0x2000",
    'account_keys{account="default",kind="counted"}': "5+0x2000",
    'account_keys{account="default",kind="explained"}': "3+0x2000",
    'account_keys{account="default",kind="foreign"}': "2+0x2000",
    "vault_token_expiration_timestamp_seconds": "3600+60x2000",
    **{
        f"{name}{{{each}{more}}}": values
        for each in (ID, OTHER)
        for name, more, values in (
            ("target_current_key_created_timestamp_seconds", "", "0+0x2000"),
            ("target_max_age_seconds", "", f"{30 * DAY}+0x2000"),
            ("target_next_rotation_timestamp_seconds", "", f"{30 * DAY}+0x2000"),
            ("target_unconfirmed_creates", "", "0+0x2000"),
            ("target_condition", ',condition="Ready"', "1+0x2000"),
            ("target_condition", ',condition="Failing"', "0+0x2000"),
            ("target_condition", ',condition="Conflict"', "0+0x2000"),
            ("target_condition", ',condition="WaitsForPerson"', "0+0x2000"),
            ("target_condition", ',condition="Paused"', "1+0x2000"),
            ("target_condition", ',condition="Unreadable"', "0+0x2000"),
            ("target_keys", ',state="current"', "1+0x2000"),
            ("target_keys", ',state="deleted"', "1+0x2000"),
        )
    },
    'rotations_total{account="default",outcome="failed",trigger="schedule"}': "0+1x2000",
    'account_findings{account="default",kind="count"}': "1+0x2000",
    'account_api_key_waits_for_person{account="default"}': "0+0x2000",
    'account_api_key_waits_for_person{account="media"}': "0+0x2000",
    'api_requests_total{account="default",code="200",operation="status",service="hostup"}': "0+60x2000",
    'api_requests_total{account="default",code="500",operation="status",service="hostup"}': "0+1x2000",
    'api_requests_total{code="200",operation="read",service="vault"}': "0+60x2000",
    'notices_total{channel="mail",outcome="sent"}': "0+5x2000",
}


@dataclass(frozen=True, slots=True)
class Case:
    """What is otherwise than it should be, and the seconds after which that fires, and before which it is silent."""

    changed: Mapping[str, str]
    fires_at: int
    silent_at: int
    labels: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()


FIRING = 'ALERTS{alertstate="firing"}'
OF_MEDIA = {"account": "default", "target": "media"}
OF_ACCOUNT = {"account": "default"}

CASES: Mapping[str, Case] = {
    "RotatorAbsent": Case({}, 6 * 60, 4 * 60, without=tuple(WELL)),
    "RotatorStalled": Case({"last_tick_timestamp_seconds": "0+0x2000"}, 9 * 60, 6 * 60),
    "RotatorTargetOverdue": Case(
        {f"target_next_rotation_timestamp_seconds{{{ID}}}": "0+0x2000"}, 80 * 60, 70 * 60, OF_MEDIA
    ),
    "RotatorKeyTooOld": Case({f"target_max_age_seconds{{{ID}}}": f"{HOUR}+0x2000"}, 90 * 60, 80 * 60, OF_MEDIA),
    "RotatorTargetFailing": Case(
        {f'target_condition{{{ID},condition="Failing"}}': "1+0x2000"}, 61 * 60, 58 * 60, OF_MEDIA
    ),
    "RotatorNeedsPerson": Case(
        {f'target_condition{{{ID},condition="Conflict"}}': "1+0x2000"},
        6 * 60,
        4 * 60,
        {**OF_MEDIA, "condition": "Conflict"},
    ),
    "RotatorAccountNeedsPerson": Case(
        {'account_findings{account="default",kind="endpoint"}': "1+0x2000"},
        6 * 60,
        4 * 60,
        {**OF_ACCOUNT, "kind": "endpoint"},
    ),
    "RotatorApiKeyWaits": Case(
        {'account_api_key_waits_for_person{account="media"}': "1+0x2000"}, 6 * 60, 4 * 60, {"account": "media"}
    ),
    "RotatorKeyOverdue": Case({f'target_keys{{{ID},state="overdue"}}': "1+0x2000"}, 6 * 60, 4 * 60, OF_MEDIA),
    "RotatorCurrentKeyDead": Case(
        {f'target_trouble{{{ID},kind="key refused"}}': "1+0x2000"}, 6 * 60, 4 * 60, {**OF_MEDIA, "kind": "key refused"}
    ),
    "RotatorUnconfirmedCreate": Case({f"target_unconfirmed_creates{{{ID}}}": "1+0x2000"}, 16 * 60, 14 * 60, OF_MEDIA),
    "RotatorDrift": Case({'account_keys{account="default",kind="counted"}': "4+0x2000"}, 6 * 60, 4 * 60, OF_ACCOUNT),
    "RotatorCircuitOpen": Case({'account_circuit_open{account="default"}': "1+0x2000"}, 31 * 60, 29 * 60, OF_ACCOUNT),
    "RotatorRateLimited": Case(
        {'api_requests_total{account="media",code="429",operation="create_key",service="hostup"}': "0+1x2000"},
        40 * 60,
        10 * 60,
        {"account": "media", "service": "hostup", "operation": "create_key"},
    ),
    "RotatorVaultTokenSoon": Case(
        {"vault_token_expiration_timestamp_seconds": "3600+0x2000"}, 58 * 60, 55 * 60, {"instance": "a"}
    ),
    "RotatorAuditStale": Case(
        {'account_last_audit_timestamp_seconds{account="default"}': "0+0x2000"}, 200 * 60, 185 * 60, OF_ACCOUNT
    ),
    "RotatorNoticesFailing": Case(
        {'notices_total{channel="mail",outcome="failed"}': "0+1x2000"}, 20 * 60, 10 * 60, {"channel": "mail"}
    ),
}


def _series(changed: Mapping[str, str], without: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """What two workers export: both the same."""
    told = {name: values for name, values in {**WELL, **changed}.items() if name not in without}
    return [
        {"series": f"rotator_{_with(name, worker)}", "values": values}
        for name, values in told.items()
        for worker in BOTH
    ]


def _with(name: str, worker: str) -> str:
    label = f'instance="{worker}"'
    return name.replace("{", f"{{{label},", 1) if "{" in name else f"{name}{{{label}}}"


def _firing(expected: list[Mapping[str, str]], at: int) -> dict[str, object]:
    """These alerts fire then, and no others."""
    samples = [
        {"labels": "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}", "value": 1}
        for labels in expected
    ]
    return {"expr": f"sum without (alertstate, severity) ({FIRING})", "eval_time": f"{at}s", "exp_samples": samples}


def _promtool(folder: Path, tests: list[dict[str, object]]) -> None:
    file = folder / "test.yaml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_a_case_for_each_alert() -> None:
    assert set(CASES) == {alert.name for alert in alerts()}


@needs_promtool
def test_where_all_is_well_nothing_fires(tmp_path: Path) -> None:
    times = (0, 10 * 60, HOUR, DAY)
    _promtool(
        tmp_path,
        [{"interval": "1m", "input_series": _series({}), "promql_expr_test": [_firing([], at) for at in times]}],
    )


@needs_promtool
@pytest.mark.parametrize("name", CASES)
def test_each_alert_fires_alone_when_it_is_time(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    workers = BOTH if "instance" in case.labels else ("",)
    expected: list[Mapping[str, str]] = [
        {"alertname": name, **case.labels, **({"instance": worker} if worker else {})} for worker in workers
    ]
    tests = [_firing([], case.silent_at), _firing(expected, case.fires_at)]
    _promtool(
        tmp_path,
        [{"interval": "1m", "input_series": _series(case.changed, case.without), "promql_expr_test": tests}],
    )


@needs_promtool
@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("RotatorStalled", "last_tick_timestamp_seconds"),
        ("RotatorAuditStale", 'account_last_audit_timestamp_seconds{account="default"}'),
    ],
)
def test_what_was_never_done_is_told_too(tmp_path: Path, name: str, missing: str) -> None:
    tests = [_firing([], 60), _firing([{"alertname": name}], 200 * 60)]
    _promtool(
        tmp_path,
        [{"interval": "1m", "input_series": _series({}, (missing,)), "promql_expr_test": tests}],
    )


EVERY_75_MINUTES = " ".join(f"{count}+0x74" for count in range(12))
"""As far apart as the tries of a notice are at last."""


@needs_promtool
@pytest.mark.parametrize("outcome", ["failed", "dropped"])
def test_a_channel_that_fails_seldom_is_one_alert_without_a_gap(tmp_path: Path, outcome: str) -> None:
    changed = {f'notices_total{{channel="mail",outcome="{outcome}"}}': EVERY_75_MINUTES}
    fires: list[Mapping[str, str]] = [{"alertname": "RotatorNoticesFailing", "channel": "mail"}]
    tests = [_firing(fires, at) for at in range(2 * HOUR, 12 * HOUR, 15 * 60)]
    _promtool(tmp_path, [{"interval": "1m", "input_series": _series(changed), "promql_expr_test": tests}])


SAID = {
    "RotatorCurrentKeyDead": ("critical", "Apps of media cannot work: key refused"),
    "RotatorRateLimited": ("warning", "hostup turns calls away as too many (create_key, account media)"),
    "RotatorApiKeyWaits": ("critical", "The worker's own API key of account media waits for a person"),
    "RotatorCircuitOpen": ("warning", "Calls to HostUp are held back for half an hour (account default)"),
}


@needs_promtool
@pytest.mark.parametrize("name", SAID)
def test_what_an_alert_says_is_a_sentence_with_the_target_or_the_account_in_it(tmp_path: Path, name: str) -> None:
    case, (severity, summary) = CASES[name], SAID[name]
    (alert,) = (alert for alert in alerts() if alert.name == name)
    said = {**alert.annotations, "summary": summary}
    wanted = {"exp_labels": {**case.labels, "severity": severity}, "exp_annotations": said}
    test = {"eval_time": f"{case.fires_at}s", "alertname": name, "exp_alerts": [wanted]}
    _promtool(tmp_path, [{"interval": "1m", "input_series": _series(case.changed), "alert_rule_test": [test]}])


@needs_promtool
def test_a_rule_that_says_nothing_would_be_noticed(tmp_path: Path) -> None:
    silent = [_firing([{"alertname": "RotatorDrift"}], HOUR)]
    with pytest.raises(AssertionError, match="FAILED"):
        _promtool(tmp_path, [{"interval": "1m", "input_series": _series({}), "promql_expr_test": silent}])
