"""More commands of ``rotator``: evidence, what waits for a person, what comes next; see :mod:`worker.cli.commands`."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli.arguments import Config, Json, running


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(report)


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
    with running(context, config, as_json) as options:
        from worker.cli.report import make_report

        raise typer.Exit(make_report(options, since, until, form))
