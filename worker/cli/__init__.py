"""The command ``rotator``.

Its commands, with their arguments and help, are in :mod:`worker.cli.commands`; what each does is in a module of its own
that is imported when it is called, so that the command starts fast.
"""

from __future__ import annotations

import gc
import io
import os
import sys

from worker.cli.commands import app

OBJECTS_BETWEEN_COLLECTIONS = 20_000
"""Python's own 700 has it search for garbage hundreds of times while modules are loaded, and find none."""


def main() -> None:
    """Run the command that the arguments name, and exit: 0 ok, 1 failed, 2 usage, 75 try later, 78 configuration."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # whatever the terminal's encoding
    # there is none, and to find that out it would read the metadata of all installed packages
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    try:
        app(prog_name="rotator")
    finally:
        gc.freeze()  # the interpreter would search for garbage once more before it ends
