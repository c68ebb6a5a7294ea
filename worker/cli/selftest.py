"""``rotator selftest``: whether the promises are kept on this machine, whatever happens to the workers."""

from __future__ import annotations

from worker.cli.options import Options
from worker.cli.output import print_json, print_lines, print_table, say
from worker.errors import RotatorError
from worker.selftest.life import Stuck
from worker.selftest.run import run_selftest


def selftest(options: Options, seed: int | None) -> int:
    """Run it and show the table; 1 when a promise was broken. Raises RotatorError when nothing can be tried at all."""
    try:
        report = run_selftest(say, seed=seed)
    except Stuck as error:
        hint = "This machine may be too slow or too busy; try again."
        raise RotatorError(f"not even an undisturbed worker got through: {error}", hint=hint) from None
    if options.as_json:
        print_json(report.document())
        return report.exit_code
    print_table(report.columns(), list(report.lines()))
    print_lines([*report.findings, report.summary])
    return report.exit_code
