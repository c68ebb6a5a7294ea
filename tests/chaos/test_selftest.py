from __future__ import annotations

from pathlib import Path

from worker.selftest.run import BLOWS, KINDS, LANES, run_selftest


def test_the_self_test_runs_and_finds_nothing(tmp_path: Path) -> None:
    """Its first trials: one in each lane, of the gravest kind."""
    said: list[str] = []
    report = run_selftest(said.append, seed=1, folder=tmp_path, within=0.0)

    assert report.findings == ()
    assert report.exit_code == 0
    assert len(report.cells) == LANES
    assert {cell.kind for cell in report.cells} == {kind for kind, *_ in KINDS[: -(-LANES // len(BLOWS))]}
    assert report.steps > 50, "the rehearsal came to all steps"
    assert len(said) == 2
