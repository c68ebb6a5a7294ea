"""The command ``rotator``.

Its commands, with their arguments and help, are in :mod:`worker.cli.commands`; what each does is in a module of its own
that is imported when it is called, so that the command starts fast.
"""

from __future__ import annotations

import gc
import io
import os
import sys

OBJECTS_BETWEEN_COLLECTIONS = 20_000
"""Python's own 700 has it search for garbage hundreds of times while modules are loaded, and find none."""


def main() -> None:
    """Run the command that the arguments name, and exit: 0 ok, 1 failed, 2 usage, 75 try later, 78 configuration."""
    _see_to_closed_streams()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    from worker.credentials.command import SUMMARIES, leave
    from worker.credentials.command import main as for_apps

    wanted = config_behind(sys.argv[1:])
    if wanted and wanted[0] in SUMMARIES:  # started for every key that a program asks for
        leave(for_apps(wanted, os.environ))
    from worker.cli.commands import app

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # whatever the terminal's encoding
    # there is none, and to find that out it would read the metadata of all installed packages
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        app(prog_name="rotator")
    except OSError as error:  # help and usage are written by typer
        _say_unwritable(error)
    finally:
        gc.freeze()  # the interpreter would search for garbage once more before it ends


def config_behind(arguments: list[str]) -> list[str]:
    """The arguments with ``--config`` behind the command: typer would take the ``--`` of ``run`` away."""
    count = 1 if arguments and arguments[0].startswith("--config=") else 2 if arguments[:1] == ["--config"] else 0
    return [*arguments[count : count + 1], *arguments[:count], *arguments[count + 1 :]]


def _see_to_closed_streams() -> None:
    """Have no connection take the number of a stream that was closed before we began.

    What is written to stdout then fails, also what typer writes, and is told; of stderr all goes nowhere.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # it gets the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - open until the process ends
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - open until the process ends


def _say_unwritable(error: OSError) -> None:
    from worker.cli.output import give_up, say, why_unwritable

    if sys.stdout:
        give_up(sys.stdout)
    say(f"rotator: the output could not be written: {why_unwritable(error)}")
    sys.exit(1)
