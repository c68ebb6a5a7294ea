"""The arguments of the commands that stay: ``render``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path


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
    made.add_argument("--from", dest="source", type=Path, metavar="FILE", help="a TOML file with several of all this")


def _add_secret(made: argparse.ArgumentParser) -> None:
    made.add_argument("target", nargs="?", metavar="TARGET", help="a target of rotator.toml")
    made.add_argument("--path", metavar="PATH", help="the secret's path instead: apps/media/object-storage")


def texts_of(given: argparse.Namespace) -> Mapping[str, str]:
    """What :func:`worker.credentials.jobs.job` takes."""
    return {name: getattr(given, name) for name in ("format", "to", "mode", "owner", "signal", "pid_file", "exec")}
