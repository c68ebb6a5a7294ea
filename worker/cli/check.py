"""``rotator check``: whether all is there that a rotation needs.

Looks at everything, also after something was found, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from worker.cli.options import Options
from worker.cli.output import print_lines, result
from worker.cli.verdicts import Verdict
from worker.errors import ConfigurationError
from worker.settings.environment import Need

MARKS = {"ok": "ok     ", "warning": "warning", "failed": "FAILED "}


def check(options: Options, *, keys: bool) -> int:
    """Print one line for each thing looked at; 0 only if nothing failed, 78 when the configuration has."""
    try:
        verdicts = list(_look(options, keys=keys))
        exit_code = 1 if any(verdict.state == "failed" for verdict in verdicts) else 0
    except ConfigurationError as error:
        *problems, last = error.problems
        verdicts = [Verdict("configuration", "failed", problem) for problem in problems]
        verdicts.append(Verdict("configuration", "failed", last, error.hint))
        exit_code = error.exit_code
    document = [verdict.document() for verdict in verdicts]
    result(options, document, lambda: print_lines(line for verdict in verdicts for line in _lines(verdict)))
    return exit_code


def _look(options: Options, *, keys: bool) -> Iterator[Verdict]:
    """Raises ConfigurationError: then there is nothing else that could be looked at."""
    runtime = options.runtime(Need.HOSTUP | Need.VAULT | Need.NOTICES)
    from worker.cli import (
        check_destinations,
        check_hostup,
        check_neighbours,
        check_redis,
        check_settings,
        check_targets,
        check_vault,
    )

    targets = len(runtime.settings.targets)
    yield Verdict("configuration", "ok", f"{runtime.settings.file}: {targets} target{'' if targets == 1 else 's'}")
    yield from check_redis.look(runtime)
    yield from check_neighbours.look(runtime)
    yield from check_vault.look(runtime)
    yield from check_destinations.look(runtime)
    yield from check_vault.look_at_clock(runtime)
    yield from check_hostup.look(runtime)
    if not runtime.settings.vault.secret_id_is_scarce:
        yield from check_targets.look(runtime, keys=keys)
        if keys:
            yield from check_settings.look(runtime)


def _lines(verdict: Verdict) -> Iterator[str]:
    yield f"{MARKS[verdict.state]}  {verdict.check}: {verdict.detail}"
    if verdict.hint and verdict.state != "ok":
        yield f"           {verdict.hint}"
