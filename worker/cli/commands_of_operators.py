"""More commands of ``rotator``: holding rotations back, and dealing with a key; see :mod:`worker.cli.commands`."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli.arguments import AnyTarget, By, Config, Json, Target, Yes, running

Every = Annotated[bool, typer.Option("--all", help="All targets of the configuration.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept in the history.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (find, pause, resume, reschedule, rollback):
        app.command()(command)
    app.command("accept-chain")(accept_chain)


def find(
    context: typer.Context,
    access_key: Annotated[str, typer.Argument(metavar="ACCESS_KEY", help="The key, as HostUp's panel shows it.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Tell whose an access key is.

    Its target, since when, and whether it lives; also of one that is long dead. `rotator trace` tells the whole story.

    Example: rotator find F2SVMOB2W4GZI4RY2K5S
    """
    with running(context, config, as_json) as options:
        from worker.cli.find import find as run

        raise typer.Exit(run(options, access_key))


def pause(  # noqa: PLR0913, PLR0917 - each is an argument or option of the command
    context: typer.Context,
    target: AnyTarget = None,
    every: Every = False,
    reason: Reason = "",
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it ends: 2026-12-01T03:00+01:00, or how long, 12h.")
    ] = None,
    by: By = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Have no new key made for a target, until it is resumed.

    What is under way is finished; keys in grace are still deleted and proven dead. A key that leaked is replaced all
    the same.

    Example: rotator pause media-uploads --until 2026-12-01T06:00+01:00 --reason "moving the shop"
    """
    with running(context, config, as_json) as options:
        from worker.cli.pausing import Which
        from worker.cli.pausing import pause as run

        raise typer.Exit(run(options, Which(target, every), reason=reason, until=until, by=by))


def resume(
    context: typer.Context,
    target: AnyTarget = None,
    every: Every = False,
    by: By = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """End the pause of a target. What was due meanwhile begins at once.

    Example: rotator resume --all
    """
    with running(context, config, as_json) as options:
        from worker.cli.pausing import Which
        from worker.cli.pausing import resume as run

        raise typer.Exit(run(options, Which(target, every), by=by))


def reschedule(
    context: typer.Context,
    target: Target,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When: 2026-12-01T03:00+01:00, or how long from now, 12h.")
    ] = None,
    as_scheduled: Annotated[
        bool, typer.Option("--as-scheduled", help="Take that back: as the configuration has it.")
    ] = False,
    by: By = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Set when a target is rotated next, once; from then on its schedule counts again.

    Example: rotator reschedule media-uploads --at 2026-12-01T03:00+01:00
    """
    with running(context, config, as_json) as options:
        from worker.cli.pausing import reschedule as run

        raise typer.Exit(run(options, target, at=at, as_scheduled=as_scheduled, by=by))


def rollback(  # noqa: PLR0913, PLR0917 - each is an argument or option of the command
    context: typer.Context,
    target: Target,
    access_key: Annotated[
        str | None, typer.Option("--access-key", metavar="KEY", help="Which key; else the one before the current one.")
    ] = None,
    reason: Reason = "",
    yes: Yes = False,
    by: By = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make the key before the current one current again, while it lives.

    Shows what it will do, and asks. The key that is current now gets its grace period.

    Example: rotator rollback media-uploads --reason "the new key lacks a bucket"
    """
    with running(context, config, as_json) as options:
        from worker.cli.rollback import rollback as run
        from worker.rotation.steps.rollback import Wanted

        raise typer.Exit(run(options, target, Wanted(access_key, reason, by), yes=yes))


def accept_chain(
    context: typer.Context,
    target: Target,
    reason: Reason = "",
    yes: Yes = False,
    by: By = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Accept breaks of a history's chain that you looked into.

    Shows them, and asks. It is on record in the chain itself, and accepts these breaks as they stand.

    Example: rotator accept-chain media-uploads --reason "a restore, ticket 4711"
    """
    with running(context, config, as_json) as options:
        from worker.cli.accept_chain import accept_chain as run

        raise typer.Exit(run(options, target, reason=reason, by=by, yes=yes))
