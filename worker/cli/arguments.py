"""The options that all commands share, and the one way that commands are run in. Imports nothing but typer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from worker import __version__
from worker.cli.options import Options


@contextmanager
def running(context: typer.Context, config: Path | None, as_json: bool) -> Iterator[Options]:
    """The options, also those before the command's name; whatever error comes out is told, and ends the command."""
    before = context.find_object(Options) or Options()
    options = Options(config or before.config, as_json or before.as_json)
    try:
        yield options
    except typer.Exit:
        raise
    except BrokenPipeError:
        from worker.cli.failing import reader_gone

        raise typer.Exit(reader_gone()) from None
    except KeyboardInterrupt:
        from worker.cli.failing import interrupted

        raise typer.Exit(interrupted()) from None
    except Exception as error:  # noqa: BLE001 - nobody should ever see a traceback
        from worker.cli.failing import tell

        raise typer.Exit(tell(error, as_json=options.as_json)) from None


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rotator {__version__}")
        raise typer.Exit


def _complete_target(context: typer.Context) -> list[str]:
    from worker.cli.completion import target_names

    return target_names(context)


Config = Annotated[
    Path | None, typer.Option("--config", metavar="PATH", help="The configuration; else ROTATOR_CONFIG names it.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Version = Annotated[
    bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
By = Annotated[
    str, typer.Option("--as", metavar="NAME", help="Who asks, as it goes on record; else your user and host.")
]
Account = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="An account of [[account]]; else the one of [hostup].")
]
EveryAccount = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="Of this account only; else of all of them.")
]
Target = Annotated[str, typer.Argument(metavar="TARGET", help="A target's name.", autocompletion=_complete_target)]
AnyTarget = Annotated[
    str | None, typer.Argument(metavar="TARGET", help="A target's name.", autocompletion=_complete_target)
]
