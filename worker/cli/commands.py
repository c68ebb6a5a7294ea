"""Every command of ``rotator``: its arguments and its help.

``rotator --help`` loads this module, :mod:`worker.cli.arguments` and typer, and nothing else; the body of a command is
imported when it is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worker.cli import commands_by_hand, commands_for_apps, commands_for_auditors, commands_of_operators
from worker.cli.arguments import Account, AnyTarget, By, Config, EveryAccount, Json, Target, Version, Yes, running
from worker.cli.options import Options

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,  # laying help out with rich would take as long again as everything else together
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def rotator(context: typer.Context, config: Config = None, as_json: Json = False, version: Version = False) -> None:  # noqa: ARG001
    """Rotate the object-storage keys of HostUp: create, publish in Vault, retire, trace.

    Results go to stdout, progress and errors to stderr. Exit codes: 0 ok, 1 failed, 2 usage, 75 try again later,
    78 configuration.
    """
    context.obj = Options(config, as_json)


@app.command()
def worker(
    context: typer.Context,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=256, metavar="N", help="Targets at once; else the configuration's number.")
    ] = None,
    no_beat: Annotated[bool, typer.Option("--no-beat", help="Leave the schedule to other workers.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Run the service, until SIGTERM or Ctrl-C.

    It rotates keys on schedule and on demand. Any number may run. With --json it logs JSON on a terminal, too.
    Example: rotator worker --concurrency 8
    """
    with running(context, config, as_json) as options:
        from worker.cli.worker import worker as run

        raise typer.Exit(run(options, concurrency, beat=not no_beat))


@app.command()
def rotate(  # noqa: PLR0913, PLR0917 - each is an argument or option of the command
    context: typer.Context,
    target: Target,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the outcome, and show how far it is.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept in the history.")] = "",
    timeout: Annotated[str, typer.Option(metavar="DURATION", help="How long to wait at most.")] = "5m",
    now_anyway: Annotated[
        bool,
        typer.Option(
            "--now-anyway", help="Try at once, also where a failure or HostUp's own request asks for a pause."
        ),
    ] = False,
    leaked: Annotated[
        bool, typer.Option("--leaked", help="The key leaked: delete the old one at once, without grace.")
    ] = False,
    even_without: Annotated[
        bool,
        typer.Option(
            "--even-without-a-new-one", help="With --leaked: delete the old key even if no new one can be made."
        ),
    ] = False,
    yes: Yes = False,
    by: By = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Rotate a target's key now, or join the rotation under way.

    The request is put on record in Vault at once, and is not lost whatever happens next. With --leaked it says who may
    fail, and asks; with --wait it tells the seconds until the old keys were dead.

    Example: rotator rotate media-uploads --leaked --wait --reason "pushed to a public repository"
    """
    with running(context, config, as_json) as options:
        from worker.cli.leak import Leak, see_that_options_fit
        from worker.cli.rotate import Wish
        from worker.cli.rotate import rotate as run

        see_that_options_fit(leaked=leaked, even_without=even_without, yes=yes)
        wish = Wish(reason, by, now_anyway, Leak(yes, even_without) if leaked else None)
        raise typer.Exit(run(options, target, wish, wait=wait, timeout=timeout))


@app.command()
def status(
    context: typer.Context,
    target: AnyTarget = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Read every record from Vault.")] = False,
    account: EveryAccount = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show where targets stand.

    Their current keys, what is retiring, what went wrong, and when it is tried again.
    Example: rotator status media-uploads
    """
    with running(context, config, as_json) as options:
        from worker.cli.status import status as run

        raise typer.Exit(run(options, target, fresh=fresh, account=account))


@app.command()
def history(
    context: typer.Context,
    target: Target,
    events: Annotated[bool, typer.Option("--events", help="Every event, also those of no rotation.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show all rotations of a target, with every requestId.

    Example: rotator history media-uploads --events --json
    """
    with running(context, config, as_json) as options:
        from worker.cli.trace import history as run

        raise typer.Exit(run(options, target, events=events))


@app.command()
def trace(
    context: typer.Context,
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="The requestId of a create or a delete, a rotation id or an access key.")
    ],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Find out what happened around an id.

    When it was, why, and which other ids belong to it; from Vault alone.
    Example: rotator trace F2SVMOB2W4GZI4RY2K5S
    """
    with running(context, config, as_json) as options:
        from worker.cli.trace import trace as run

        raise typer.Exit(run(options, identifier))


@app.command()
def check(
    context: typer.Context,
    keys: Annotated[bool, typer.Option(help="Ask the object storage about every current key.")] = True,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """See whether all is there that a rotation needs.

    Changes nothing. Exit 0 only if all is well; a warning does not count.
    Example: rotator check && systemctl restart rotator
    """
    with running(context, config, as_json) as options:
        from worker.cli.check import check as run

        raise typer.Exit(run(options, keys=keys))


@app.command()
def audit(context: typer.Context, config: Config = None, as_json: Json = False) -> None:
    """Compare HostUp, the records and the calendar.

    Keys that nobody has on record, rotations that are late, keys that should be dead. Exit 1 when it finds something.
    Example: rotator audit --json
    """
    with running(context, config, as_json) as options:
        from worker.cli.audit import audit as run

        raise typer.Exit(run(options))


@app.command()
def settle(  # noqa: PLR0913, PLR0917 - each is an argument or option of the command
    context: typer.Context,
    target: AnyTarget = None,
    rotation_id: Annotated[
        str | None,
        typer.Argument(metavar="ROTATION_ID", help="Needed only where several unconfirmed creates are open."),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="There is no key with that label.")] = False,
    deleted: Annotated[bool, typer.Option("--deleted", help="You have deleted the key in HostUp's panel.")] = False,
    revoke: Annotated[
        str | None, typer.Option(metavar="ACCESS_KEY", help="The worker is to delete this key.", show_default=False)
    ] = None,
    restored: Annotated[
        bool, typer.Option("--restored", help="Vault was set back; you have looked, and keys may be deleted again.")
    ] = False,
    foreign: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="So many keys of the account are somebody else's.")
    ] = None,
    account: Account = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say what became of a create call that got no answer.

    Without --none, --deleted or --revoke it lists what is open. Where none is open, --revoke has a key deleted that was
    forgotten because Vault was set back. With --foreign it notes how many keys are not ours.
    Example: rotator settle media-uploads ROTATION_ID --revoke F2SVMOB2W4GZI4RY2K5S
    """
    with running(context, config, as_json) as options:
        from worker.cli.settle import Answers, Foreign, settle_or_note

        answers, noted = Answers(none, deleted, revoke, restored), Foreign(foreign, account)
        raise typer.Exit(settle_or_note(options, target, rotation_id, answers, noted))


@app.command()
def adopt(
    context: typer.Context,
    target: Target,
    access_key: Annotated[
        str, typer.Option("--access-key", metavar="KEY", help="The key that stands in the app's secret.")
    ],
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="Where the key lies; else the target's account.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take over the key that stands in the app's secret.

    From then on it is rotated, and later deleted, like our own.
    Example: rotator adopt media-uploads --access-key F2SVMOB2W4GZI4RY2K5S
    """
    with running(context, config, as_json) as options:
        from worker.cli.adopt import adopt as run

        raise typer.Exit(run(options, target, access_key, account))


@app.command()
def repair(
    context: typer.Context,
    target: Target,
    yes: Annotated[bool, typer.Option("--yes", help="Do it, instead of only showing it.")] = False,
    retire: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Have this left-over key deleted; may be repeated.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make a record anew that cannot be read.

    Shows what it would do, and does it with --yes. Deletes nothing at HostUp by itself.
    Example: rotator repair media-uploads --yes
    """
    with running(context, config, as_json) as options:
        from worker.cli.repair import repair as run

        raise typer.Exit(run(options, target, retire or [], yes=yes))


@app.command()
def sandbox(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write; it must be yours alone.")] = Path(
        "~/rotator-sandbox"
    ),
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Try it out on this machine, until Ctrl-C.

    A simulated HostUp, a real Vault and a real Valkey, with a configuration to go with them.
    Example: rotator sandbox
    """
    with running(context, config, as_json) as options:
        from worker.cli.sandbox import sandbox as run

        raise typer.Exit(run(options, folder.expanduser()))


@app.command()
def selftest(
    context: typer.Context,
    seed: Annotated[int | None, typer.Option("--seed", help="Make the same trials again.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Try on this machine whether the promises hold, in under a minute.

    Real workers on a sandbox of their own are killed, frozen and disturbed at their steps; needs no configuration.
    Example: rotator selftest --seed 7
    """
    with running(context, config, as_json) as options:
        from worker.cli.selftest import selftest as run

        raise typer.Exit(run(options, seed))


commands_of_operators.register(app)
commands_by_hand.register(app)
commands_for_auditors.register(app)
commands_for_apps.register(app)
