"""The arguments of the commands ``render`` and ``run``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from worker.targets.durations import parse_duration

ON_CHANGE = ("restart", "signal", "nothing")
RESTART, SIGNAL, NOTHING = ON_CHANGE
"""What ``rotator run`` does with the program after a rotation."""

_KILL_AFTER, _JITTER = timedelta(seconds=30), timedelta(minutes=1)


def duration(text: str) -> timedelta:
    """A duration, for argparse."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:32]!r} {error}") from None


def add_render(made: argparse.ArgumentParser) -> None:
    """Those of ``rotator render``."""
    _add_secret(made)
    made.add_argument("--format", default="aws", help="aws, env, json, mc, rclone, s3cmd, or pair; default: aws")
    made.add_argument("--to", default="", metavar="PATH", help="the file; for the format pair the folder of two files")
    made.add_argument("--mode", default="0600", help="who may read it; default: 0600")
    made.add_argument("--owner", default="", metavar="USER[:GROUP]", help="whose it is; default: who runs this")
    made.add_argument("--signal", default="", metavar="NAME", help="sent after a change to the process of --pid-file")
    made.add_argument("--pid-file", default="", metavar="FILE", help="holds the number of that process")
    made.add_argument("--exec", default="", metavar="COMMAND", help="run after a change instead, without a shell")
    made.add_argument("--once", action="store_true", help="write once and end, with an error where it cannot")
    add_receipt(made)
    made.add_argument("--from", dest="source", type=Path, metavar="FILE", help="a TOML file with several of all this")


def add_receipt(made: argparse.ArgumentParser) -> None:
    """Those of commands that can say which key is in use."""
    made.add_argument("--receipt", action="store_true", help="say in Vault which key is in use here, and since when")
    made.add_argument("--receipts-path", default="", metavar="PATH", help="where, for --path; see docs/apps.md")


def add_run(made: argparse.ArgumentParser) -> None:
    """Those of ``rotator run``; the command itself is split off before."""
    _add_secret(made)
    made.add_argument("--on-change", choices=ON_CHANGE, default=RESTART, help="after a rotation; default: restart")
    made.add_argument("--signal", default="HUP", metavar="NAME", help="for --on-change signal; default: HUP")
    made.add_argument(
        "--kill-after", type=duration, default=_KILL_AFTER, metavar="TIME", help="from SIGTERM to SIGKILL; default: 30s"
    )
    made.add_argument(
        "--jitter",
        type=duration,
        default=_JITTER,
        metavar="TIME",
        help="a fleet's restarts are so far apart; default: 1m",
    )
    made.add_argument("--no-cache", action="store_true", help="keep nothing; do not start while Vault is away")


def split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Our own arguments, and the command of ``run`` that stands after ``--``."""
    at = arguments.index("--") if "--" in arguments and arguments[0] == "run" else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def _add_secret(made: argparse.ArgumentParser) -> None:
    made.add_argument("target", nargs="?", metavar="TARGET", help="a target of rotator.toml")
    made.add_argument("--path", metavar="PATH", help="the secret's path instead: apps/media/object-storage")


def texts_of(given: argparse.Namespace) -> Mapping[str, str]:
    """What :func:`worker.credentials.jobs.job` takes."""
    return {name: getattr(given, name) for name in ("format", "to", "mode", "owner", "signal", "pid_file", "exec")}
