"""The commands that apps' programs start, as they stand in ``rotator --help``; see :mod:`worker.credentials.command`.

They have a parser of their own, because they also run where typer is not; :func:`worker.cli.main` calls it without
loading this module where the command stands first.
"""

from __future__ import annotations

import os

import typer

from worker.cli.options import Options
from worker.credentials.command import SUMMARIES, main

_HANDED_ON = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "allow_interspersed_args": False,  # else the -- before the command of `run` would be taken away
    "help_option_names": [],
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, summary in SUMMARIES.items():
        app.command(name, help=summary, context_settings=_HANDED_ON)(_hand_on)


def _hand_on(context: typer.Context) -> None:
    options = context.find_object(Options) or Options()
    config = ["--config", str(options.config)] if options.config else []
    raise typer.Exit(main([str(context.info_name), *config, *context.args], os.environ))
