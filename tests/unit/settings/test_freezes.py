"""Freezes, targets that are rotated only when asked for, and whether messages may end a grace: as they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.settings.configuring import TARGET, problems, read
from worker.settings.freezes import MOST
from worker.targets.freeze import Freeze

FREEZE = """
[[freeze]]
from = 2026-11-27T00:00:00+01:00
to = "2026-11-30T12:00:00Z"
reason = "Black Friday"
"""
MANUAL = TARGET.replace('"30d"', '"never"')


def test_a_freeze_holds_for_every_target_and_changes_its_plan(tmp_path: Path) -> None:
    frozen, plain = read(tmp_path, TARGET + FREEZE).targets["media"], read(tmp_path).targets["media"]
    begins, ends = datetime(2026, 11, 26, 23, tzinfo=UTC), datetime(2026, 11, 30, 12, tzinfo=UTC)
    assert frozen.freezes == (Freeze(begins, ends, "Black Friday"),)
    assert plain.freezes == ()
    assert frozen.plan() != plain.plan(), "a look has to see it"


@pytest.mark.parametrize(
    ("line", "instead", "problem"),
    [
        ('reason = "Black Friday"', "", "FILE: freeze[1]: reason must say why"),
        ('reason = "Black Friday"', 'reason = "a\\u001bb"', "FILE: freeze[1]: reason must say why"),
        ("from = 2026-11-27T00:00:00+01:00", "", "FILE: freeze[1]: from is missing"),
        ("from = 2026-11-27T00:00:00+01:00", "from = 2026-11-27T00:00:00", "from: what stands there is no moment"),
        ("from = 2026-11-27T00:00:00+01:00", "from = 5", "no moment with an offset"),
        ("from = 2026-11-27T00:00:00+01:00", 'from = "soon"', '"soon" is no moment'),
        ("from = 2026-11-27T00:00:00+01:00", "from = 2026-12-27T00:00:00Z", "must end after it begins"),
        ("from = 2026-11-27T00:00:00+01:00", "until = 1", "until: is an unknown name"),
    ],
)
def test_what_is_wrong_with_a_freeze_is_named(tmp_path: Path, line: str, instead: str, problem: str) -> None:
    found = "\n".join(problems(tmp_path, TARGET + FREEZE.replace(line, instead))).replace(": from is", ": from is")
    assert problem.replace("reason must", "reason: must").replace("from is missing", "from: is missing") in found


def test_a_freeze_that_is_no_list_and_too_many(tmp_path: Path) -> None:
    assert problems(tmp_path, TARGET + '[freeze]\nreason = "x"\n') == [
        "FILE: freeze: must be written [[freeze]], once for each"
    ]
    assert "at most" in problems(tmp_path, TARGET + FREEZE * (MOST + 1))[0]


def test_never_is_a_manual_target(tmp_path: Path) -> None:
    target = read(tmp_path, MANUAL).targets["media"]
    assert target.schedule.is_manual
    assert target.grace == timedelta(hours=24)
    assert not read(tmp_path).targets["media"].schedule.is_manual


def test_a_window_beside_never_and_another_word_are_refused(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, MANUAL + 'window = "02:00-05:00"\n')
    assert 'has no meaning beside every = "never"' in problem
    assert "is not a duration" in problems(tmp_path, MANUAL.replace("never", "seldom"))[0]


def test_messages_may_not_end_a_grace_unless_that_is_set(tmp_path: Path) -> None:
    assert read(tmp_path).worker.leaked_by_message is False
    assert read(tmp_path, TARGET + "[worker]\nleaked_by_message = true\n").worker.leaked_by_message is True
    assert problems(tmp_path, TARGET + '[worker]\nleaked_by_message = "yes"\n')
