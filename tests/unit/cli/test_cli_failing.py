"""Errors become messages and exit codes, and never carry a secret or a traceback."""

from __future__ import annotations

import json

import pytest

from tests.records import NOW
from worker.cli.failing import tell
from worker.errors import (
    CircuitOpen,
    ConfigurationError,
    Conflict,
    HostUpCall,
    HostUpRefused,
    QueueUnavailable,
    RecordTooNew,
    RotatorError,
    UsageError,
    VaultDenied,
    VaultSealed,
    VaultStandby,
    VaultUnavailable,
)

CANARY = "canary-secret-9f3"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError(("a.toml: x",)), 78),
        (UsageError("no such target"), 2),
        (QueueUnavailable("Redis is away"), 75),
        (CircuitOpen(NOW), 75),
        (VaultUnavailable("Vault is away"), 75),
        (VaultSealed("Vault is sealed"), 75),
        (VaultStandby("not the active node"), 75),
        (VaultDenied("no right"), 1),
        (HostUpRefused("no", HostUpCall("create", 403)), 1),
        (RecordTooNew("newer"), 1),
        (Conflict("somebody else's"), 1),
        (ValueError("whatever"), 1),
    ],
)
def test_exit_codes(error: Exception, code: int) -> None:
    assert tell(error, as_json=False) == code


def test_an_error_says_what_to_whom_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    tell(RotatorError("it broke", hint="Mend it.", target="media", request_id="request-1"), as_json=False)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "rotator: it broke (target media, requestId request-1)\n  Mend it.\n"


def test_all_problems_of_the_configuration_are_told_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    tell(ConfigurationError(("a.toml: grace is wrong", "environment: VAULT_ADDR is missing")), as_json=False)
    assert capsys.readouterr().err.splitlines()[1:3] == [
        "  a.toml: grace is wrong",
        "  environment: VAULT_ADDR is missing",
    ]


def test_with_json_the_error_is_an_object_on_stdout_too(capsys: pytest.CaptureFixture[str]) -> None:
    tell(RotatorError("it broke", hint="Mend it.", target="media", request_id="request-1"), as_json=True)
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "error": {
            "what": "it broke",
            "hint": "Mend it.",
            "target": "media",
            "request_id": "request-1",
            "kind": "RotatorError",
        }
    }
    assert told.err.startswith("rotator: it broke")


@pytest.mark.parametrize("debug", ["", "1"])
@pytest.mark.parametrize("as_json", [False, True])
def test_what_nobody_foresaw_is_told_without_its_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, debug: str, *, as_json: bool
) -> None:
    monkeypatch.setenv("ROTATOR_DEBUG", debug)

    def broken(secret: str) -> None:
        raise ValueError(f"cannot read {secret}")

    with pytest.raises(ValueError, match=CANARY) as caught:
        broken(CANARY)
    assert tell(caught.value, as_json=as_json) == 1
    told = capsys.readouterr()
    assert "ValueError" in told.err
    assert CANARY not in told.err + told.out
    assert ("in broken" in told.err) == (debug == "1")
    assert bool(told.out) == as_json
