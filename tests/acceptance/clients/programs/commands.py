"""``commands.py MILLISECONDS COMMANDS``: a JSON list of commands, one after the other, each a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

from tests.acceptance.clients.programs import loop


def main(milliseconds: str, commands: str) -> None:
    loop.run([partial(problem_of, command) for command in json.loads(commands)], milliseconds)


def problem_of(command: list[str]) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return f"exit {done.returncode}: {done.stderr.strip()[-300:]}" if done.returncode else ""


main(*sys.argv[1:])
