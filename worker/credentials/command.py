"""The commands for apps: ``credentials``, ``serve-credentials``, ``render`` and ``run``, also as ``rotator-app.pyz``.

They are started by programs, for every key that those ask for, on machines that have nothing else of this project: the
standard library has to do, and each loads what it needs when it is called.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

from worker import __version__
from worker.credentials.arguments import add_receipt, add_render, add_run, duration, split, texts_of
from worker.credentials.cache import Cache, folder_for, own_folder
from worker.credentials.environment import (
    DEFAULT_MOUNT,
    Given,
    Place,
    Server,
    login_from,
    place_at,
    places_named,
    server_from,
)
from worker.credentials.formats import FORMATS
from worker.credentials.helper import REFRESH, Helper
from worker.errors import ConfigurationError, CredentialsUnusable, RotatorError, UsageError
from worker.printable import printable

SUMMARIES = {
    "credentials": "Print an app's key once: for credential_process, a shell, or a file.",
    "serve-credentials": "Serve apps' keys on loopback, to the AWS SDKs of any language.",
    "render": "Write apps' keys as files, and keep them fresh.",
    "run": "Run a program with its key in the environment, and restart it after a rotation.",
}
"""The commands that :func:`main` knows; ``rotator`` hands these on before it loads anything else."""

_USAGE_EXAMPLES = {
    "credentials": "as credential_process:\n  rotator credentials --path apps/media/object-storage",
    "serve-credentials": "for the AWS SDKs:\n  rotator serve-credentials --path apps/media/object-storage",
    "render": "for programs that read a file:\n"
    "  rotator render --path apps/media/object-storage --format rclone --to ~/.config/rclone/rclone.conf",
    "run": "for programs that read environment variables:\n"
    "  rotator run --path apps/media/object-storage -- /usr/local/bin/media --port 8080",
}


def main(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """Run one of :data:`SUMMARIES`; the exit code: 0 ok, 1 failed, 2 usage, 75 try again later, 78 configuration."""
    try:
        own, command = split(arguments)
        given = _parser(*arguments[:1] or [""]).parse_args(own, argparse.Namespace(words=command))
        _become_undumpable()
        return _COMMANDS[given.command](given, env)
    except ConfigurationError as error:
        for problem in error.problems:
            say(problem)
        return error.exit_code
    except RotatorError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1


def _become_undumpable() -> None:
    """As :mod:`worker.service.undumpable`, which is not on these machines. What `run` starts is as it would be."""
    if sys.platform == "linux":
        with suppress(ImportError, OSError, AttributeError):  # a Python that cannot call the C library
            import ctypes  # noqa: PLC0415 - --help does without

            ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)


def say(text: str) -> None:
    """One line on stderr, with everything that is not printable spelled out. Never a secret: SDKs log it.

    A reader that is gone stops nobody: apps need their keys more than this line. It goes past Python's buffer, as a
    thread that is in there while the process ends makes the interpreter abort.
    """
    if sys.stderr:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
            os.write(sys.stderr.fileno(), f"rotator: {printable(text)}\n".encode())


def _parser(wanted: str) -> argparse.ArgumentParser:
    """Only the ``wanted`` command gets its arguments: to make those of all takes longer than to read a kept key."""
    parser = argparse.ArgumentParser(
        "rotator", description="Hand an app's key from Vault to the programs that need it."
    )
    parser.add_argument("--version", action="version", version=f"rotator {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in SUMMARIES.items():
        made = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=_USAGE_EXAMPLES[name],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == wanted:
            _add_common(made)
            _ARGUMENTS[name](made)
    return parser


def _add_common(made: argparse.ArgumentParser) -> None:
    made.add_argument("--config", type=Path, metavar="FILE", help="the rotator.toml; else ROTATOR_CONFIG names it")
    made.add_argument("--mount", default=DEFAULT_MOUNT, help=f"the mount of --path; default: {DEFAULT_MOUNT}")
    made.add_argument("--auth-mount", default="", help="where the way to log in is enabled; default: as it is called")
    made.add_argument("--fields", default="", help="the names in the secret, where they are names of your own")
    made.add_argument("--refresh", type=duration, default=REFRESH, help="how often to look at Vault; default: 30s")


def _add_credentials(one: argparse.ArgumentParser) -> None:
    one.add_argument("target", nargs="?", metavar="TARGET", help="a target of rotator.toml")
    one.add_argument("--path", metavar="PATH", help="the secret's path instead: apps/media/object-storage")
    one.add_argument("--format", choices=sorted(FORMATS), default="process", help="default: process")
    one.add_argument("--no-cache", action="store_true", help="keep nothing; fail while Vault is away")


def _add_serve(many: argparse.ArgumentParser) -> None:
    many.add_argument("target", nargs="*", metavar="TARGET", help="targets of rotator.toml, each at /TARGET")
    many.add_argument("--path", action="append", default=[], metavar="PATH", help="a secret by its path, at /PATH")
    many.add_argument(
        "--listen", default="127.0.0.1:8911", metavar="ADDRESS", help="or unix:/PATH; default: 127.0.0.1:8911"
    )
    add_receipt(many)
    many.add_argument("--token-file", type=Path, metavar="FILE", help="what callers have to show; made where missing")


_ARGUMENTS = {"credentials": _add_credentials, "serve-credentials": _add_serve, "render": add_render, "run": add_run}


def _places(
    given: argparse.Namespace, env: Mapping[str, str], names: list[str], paths: list[str]
) -> tuple[list[Place], Given]:
    """The secrets that a command is about, and how to log in for them."""
    if not names and not paths:
        raise UsageError("no secret is named", hint="Name a target of rotator.toml, or a path in Vault by --path.")
    named, mounts = places_named(names, _configuration(given, env)) if names else ([], {})
    receipts = getattr(given, "receipts_path", "").strip("/")
    places = named + [replace(place_at(path, given.mount, given.fields), receipts=receipts) for path in paths]
    return places, login_from(env, given.auth_mount, mounts)


def _place(given: argparse.Namespace, env: Mapping[str, str]) -> tuple[Place, Given]:
    """The one secret of a command that takes one, and how to log in."""
    names, paths = [[each] if each else [] for each in (given.target, given.path)]
    if names and paths:
        raise UsageError("a target and --path are two ways to name one secret", hint="Leave out one of them.")
    (place,), login = _places(given, env, names, paths)
    return place, login


def _configuration(given: argparse.Namespace, env: Mapping[str, str]) -> Path:
    found = given.config or env.get("ROTATOR_CONFIG")
    if not found:
        raise UsageError(
            "which rotator.toml the target is in is not known",
            hint="Name it by --config or ROTATOR_CONFIG, or use --path.",
        )
    return Path(found)


def _credentials(given: argparse.Namespace, env: Mapping[str, str]) -> int:
    place, login = _place(given, env)
    server = server_from(env)
    now = datetime.now(UTC)
    read = partial(_read, server, login)
    key = Helper(read, _cache(given, env, server), say, given.refresh).key(place, now)
    say_result(FORMATS[given.format](key, now))
    return 0


def _cache(given: argparse.Namespace, env: Mapping[str, str], server: Server) -> Cache | None:
    return None if given.no_cache else Cache(folder_for(env, os.geteuid()), f"{server.address}\n{server.namespace}")


def _read(server: Server, login: Given, mount: str, path: str) -> tuple[dict[str, object], int]:
    from worker.credentials.login import Session  # noqa: PLC0415 - TLS alone takes as long to load as all else
    from worker.credentials.vault import Vault  # noqa: PLC0415

    session = Session(Vault(server), login)
    try:
        return session.read(mount, path)
    finally:
        session.end()


def _serve(given: argparse.Namespace, env: Mapping[str, str]) -> int:
    from worker.credentials.serve import serve  # noqa: PLC0415 - of this command only

    places, login = _places(given, env, given.target, given.path)
    server = server_from(env)
    token_file = given.token_file or own_folder(folder_for(env, os.geteuid())) / "endpoint-token"
    return serve(places, given.listen, token_file, given.refresh, server, login, receipt=given.receipt)


def _render(given: argparse.Namespace, env: Mapping[str, str]) -> int:
    from worker.credentials.jobs import job, jobs_in  # noqa: PLC0415 - of this command only
    from worker.credentials.render import render  # noqa: PLC0415

    if given.source and (given.to or given.target or given.path):
        raise UsageError("--from names secrets and files already", hint="Leave out what names one besides.")
    if given.source:
        jobs, login = jobs_in(given.source), login_from(env, given.auth_mount)
    else:
        place, login = _place(given, env)
        jobs = [job(place, texts_of(given))]
    if given.once and given.receipt:
        raise UsageError("--once cannot leave a receipt, which has to be renewed", hint="Leave out one of them.")
    receipts = given.receipts_path.strip("/")
    if receipts:
        jobs = [replace(each, place=replace(each.place, receipts=receipts)) for each in jobs]
    return render(jobs, given.refresh, server_from(env), login, say, once=given.once, receipt=given.receipt)


def _run(given: argparse.Namespace, env: Mapping[str, str]) -> int:
    from worker.credentials.run import Wanted, run  # noqa: PLC0415 - of this command only
    from worker.credentials.supervision import Policy  # noqa: PLC0415
    from worker.credentials.telling import signal_named  # noqa: PLC0415

    if not given.words:
        raise UsageError("what to run is not named", hint="Write it after --: rotator run TARGET -- COMMAND.")
    (place, login), server = _place(given, env), server_from(env)
    who = f"{os.uname().nodename}\n{os.getpid()}"
    kill_after, jitter = given.kill_after.total_seconds(), given.jitter.total_seconds()
    policy = Policy(given.on_change, signal_named(given.signal), kill_after, jitter, who)
    wanted = Wanted(given.words, place, policy, given.refresh, _cache(given, env, server))
    return run(wanted, env, server, login, say)


def say_result(text: str) -> None:
    """One result on stdout. Raises CredentialsUnusable: who gets half a key must see that the helper failed."""
    if not sys.stdout:
        raise CredentialsUnusable("the output could not be written: stdout is closed")
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CredentialsUnusable(f"the output could not be written: {error.strerror}") from None


_COMMANDS = {"credentials": _credentials, "serve-credentials": _serve, "render": _render, "run": _run}


def run() -> None:
    """The entry of ``rotator-app.pyz``. Ends the process."""
    leave(main(sys.argv[1:], os.environ))


def leave(code: int) -> NoReturn:
    """End the process without the interpreter's own end, which can abort while threads still wait for Vault."""
    for stream in (sys.stdout, sys.stderr):
        if stream:
            with suppress(OSError, ValueError):
                stream.flush()
    os._exit(code)
