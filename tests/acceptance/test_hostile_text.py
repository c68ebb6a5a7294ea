"""Text from outside that would move a terminal's cursor, forge a line or turn it round: no command shows it raw."""

from __future__ import annotations

import json
import re

import pytest

from tests.acceptance.service import Service

HOSTILE = "leaked\x1b[2J\x9b31m\u202eevil\u2028\nrotator: all is well\r\u200b"
FORGED = re.compile(r"^rotator: all is well", re.MULTILINE)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_hostile_reason_is_shown_spelled_out(service: Service, form: tuple[str, ...]) -> None:
    asked = service.rotator("rotate", service.target, "--reason", HOSTILE, *form)
    name = service.target
    commands = (["status", "--fresh"], ["status", name], ["history", name, "--events"], ["audit"], ["check"])
    said = [asked, *(service.rotator(*command, *form) for command in commands)]
    said += [service.rotator("trace", HOSTILE, *form), service.rotator("rotate", HOSTILE, *form)]

    for done in said:
        for line in (done.stdout + done.stderr).split("\n"):
            assert line.isprintable(), done.args
        assert not FORGED.search(done.stdout + done.stderr), done.args
        if form and done.stdout:
            json.loads(done.stdout)
    assert any("leaked" in done.stdout for done in said[1:]), "the reason was shown at all"
