from __future__ import annotations

from dataclasses import replace

from worker.selftest.checker import BrokenPromise
from worker.selftest.run import Cell, SelfTestReport
from worker.selftest.script import Moment, Step
from worker.selftest.trials import Row, TrialResult

CREATE = Row(Step("hostup", "POST", "/api/object-storage/keys", 2), Moment.AFTER)
SOUND = TrialResult(CREATE, (), 6.04)
BROKEN = replace(SOUND, findings=(BrokenPromise(3, "AK1", "is nowhere on record"),))


def report(*results: TrialResult) -> SelfTestReport:
    return SelfTestReport(7, 90, tuple(Cell("HostUp: create a key", "killed after", each) for each in results), 41.2)


def test_a_sound_report() -> None:
    sound = report(SOUND, SOUND)
    assert sound.exit_code == 0
    assert sound.findings == ()
    assert sound.summary == "2 trials at 90 steps in 41 s: every promise was kept (seed 7)"
    lines = [dict(zip(sound.columns(), line, strict=True)) for line in sound.lines()]
    assert lines[0][""] == "HostUp: create a key"
    assert lines[0]["killed after"] == "2 ok"
    assert {value for line in lines[1:] for name, value in line.items() if name} == {"-"}


def test_a_finding_is_shown_everywhere_and_fails() -> None:
    broken = report(SOUND, BROKEN)
    told = "killed after, after hostup POST /api/object-storage/keys #2: promise 3: AK1: is nowhere on record"
    assert broken.exit_code == 1
    assert broken.findings == (told,)
    assert broken.summary.endswith("1 findings (seed 7)")
    assert next(broken.lines())[2] == "1 of 2 BROKEN"
    document = broken.document()
    assert document["findings"] == [told]
    assert [trial["findings"] for trial in document["trials"]] == [[], ["promise 3: AK1: is nowhere on record"]]
