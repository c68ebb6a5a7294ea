"""``rotator sandbox``: everything one needs to try the rotator on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

from worker.cli.options import Options
from worker.cli.output import print_document, print_json, say
from worker.sandbox.run import run_sandbox


def sandbox(options: Options, folder: Path) -> int:
    """Run until Ctrl-C or SIGTERM. Raises ConfigurationError when the servers are not installed, RotatorError."""
    run_sandbox(folder, _Announcer(options, folder.absolute()).tell)
    return 0


class _Announcer:
    """Prints what the sandbox says; with ``--json`` where its files are, as soon as it says that everything runs."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._as_json = options.as_json
        self._files = {"folder": str(folder), "config": str(folder / "rotator.toml"), "env": str(folder / "env")}
        self._told = False

    def tell(self, line: str) -> None:
        if not self._as_json:
            print_document([line])
        else:
            if not self._told:
                print_json(self._files)
            say(line)
        self._told = True
        sys.stdout.flush()
