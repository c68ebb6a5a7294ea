"""More commands of ``rotator``: evidence, what waits for a person, what comes next; see :mod:`worker.cli.commands`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.arguments import AnyTarget, Config, Json, running
from worker.cli.options import Options

INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(report)
    app.command()(prove)
    app.command()(inbox)
    app.command()(top)
    app.command()(plan)
    app.command()(rehearse)


@contextmanager
def looking(context: typer.Context, config: Path | None, as_json: bool) -> Iterator[Options]:
    """As :func:`running`, for commands that change nothing: Ctrl-C ends them at once, and that is said."""
    with running(context, config, as_json) as options:
        try:
            yield options
        except KeyboardInterrupt:  # here: running would say that what is on record goes on
            from worker.cli.output import say

            say("rotator: interrupted; nothing was changed")
            raise typer.Exit(INTERRUPTED) from None


def report(
    context: typer.Context,
    since: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="The first day (UTC), or a moment; else all there is.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="The day after the last one, or a moment; else now.")
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar="FORM", help="html, csv or json.")] = "html",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print evidence for auditors: every rotation, every key's end, every exception.

    From the histories in Vault. Example: rotator report --from 2026-01-01 --to 2026-04-01 > report.html
    """
    with looking(context, config, as_json) as options:
        from worker.cli.report import make_report

        raise typer.Exit(make_report(options, since, until, form))


def prove(
    context: typer.Context,
    access_key: Annotated[str | None, typer.Argument(metavar="ACCESS_KEY", help="The key, written in full.")] = None,
    check: Annotated[
        Path | None, typer.Option("--check", metavar="FILE", help="Check a proof, offline; - is stdin.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Prove when a key was made, deleted and refused, as JSON that can be checked offline.

    Example: rotator prove ABCDEFGHIJKLMNOPQRST > proof.json, later rotator prove --check proof.json
    """
    with looking(context, config, as_json) as options:
        from worker.cli.prove import prove as run

        raise typer.Exit(run(options, access_key, check))


def inbox(context: typer.Context, config: Config = None, as_json: Json = False) -> None:
    """List what waits for a person, with the command that settles each.

    Exit 1 while there is something. Example: rotator inbox --json
    """
    with looking(context, config, as_json) as options:
        from worker.cli.inbox import inbox as run

        raise typer.Exit(run(options))


def top(context: typer.Context, config: Config = None, as_json: Json = False) -> None:
    """Watch what is under way, what comes next and what is in trouble.

    Renewed every second, until q or Ctrl-C. Where it is no terminal, what there is now. Example: rotator top | less
    """
    with looking(context, config, as_json) as options:
        from worker.cli.top import top as run

        raise typer.Exit(run(options))


def plan(
    context: typer.Context,
    target: AnyTarget = None,
    days: Annotated[int, typer.Option("--days", min=1, max=400, metavar="N", help="How far to look ahead.")] = 30,
    ics: Annotated[bool, typer.Option("--ics", help="Print the calendar for calendar programs.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what comes next and what stands in its way; changes nothing.

    With TARGET also the exact calls of its next rotation. Exit 1 when something stands in the way.
    Example: rotator plan --days 90 --ics > rotations.ics
    """
    with looking(context, config, as_json) as options:
        from worker.cli.plan import plan as run

        raise typer.Exit(run(options, target, days, ics=ics))


def rehearse(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="CMD", help="Your app, after --, with its arguments.")],
    way: Annotated[
        str, typer.Option("--way", metavar="WAY", help="How it gets its key: endpoint, environment or vault.")
    ] = "endpoint",
    rotations: Annotated[int, typer.Option("--rotations", min=1, max=100, metavar="N", help="How many.")] = 3,
    grace: Annotated[
        str, typer.Option("--grace", metavar="DURATION", help="How long the key before lives on.")
    ] = "10s",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Try whether your app goes on working while its key is rotated; on a sandbox of its own.

    Failed calls are counted by the simulated object storage. Exit 1 when it does not survive.
    Example: rotator rehearse --rotations 5 -- python app.py
    """
    with looking(context, config, as_json) as options:
        from worker.cli.rehearse import Rehearsal
        from worker.cli.rehearse import rehearse as run

        raise typer.Exit(run(options, Rehearsal(command, way, rotations, grace)))
