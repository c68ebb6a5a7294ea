"""More commands of ``rotator``: what a person does now and then; see :mod:`worker.cli.commands`."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli.arguments import Account, By, Config, EveryAccount, Json, Yes, running


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(circuit)
    app.command()(rename)
    app.command()(remove)
    app.command()(accept_endpoint)
    app.command()(roll_api_key)

    vault = typer.Typer(no_args_is_help=True, help="What the rotator needs in Vault.")
    vault.command("policy")(vault_policy)
    vault.command("setup")(vault_setup)
    app.add_typer(vault, name="vault")

    notify = typer.Typer(no_args_is_help=True, help="Notices to people and programs.")
    notify.command("test")(notify_test)
    app.add_typer(notify, name="notify")


def circuit(
    context: typer.Context,
    close: Annotated[bool, typer.Option("--close", help="Let every call through again from now on.")] = False,
    account: EveryAccount = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show which calls to HostUp are held back, why, since when and until when.

    After failures in a row no call is made for a while; what HostUp answers with 429 waits for as long as it says.
    Example: rotator circuit --close
    """
    with running(context, config, as_json) as options:
        from worker.cli.circuit import circuit as run

        raise typer.Exit(run(options, account, close=close))


def rename(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The name that the target had.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The name that the configuration has now.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say that a target has another name in the configuration, at the same path.

    Its record goes along: the current key, what is retiring, and the history but for its archived part.
    Example: rotator rename media-uploads media
    """
    with running(context, config, as_json) as options:
        from worker.cli.rename import rename as run

        raise typer.Exit(run(options, old, new))


def remove(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The name that it had in the configuration.")],
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Delete its current key, too: apps that still read it fail.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """End a target that was removed from the configuration.

    Shows what it will do, and asks. Keys in grace are still deleted; the current key is left to you.
    Example: rotator remove media-uploads --revoke
    """
    with running(context, config, as_json) as options:
        from worker.cli.remove import remove as run

        raise typer.Exit(run(options, target, revoke=revoke, yes=yes))


def accept_endpoint(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Accept it, instead of only showing it.")] = False,
    account: Account = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say that the object storage that HostUp names now is the right one.

    Shows what it names and what is accepted, and accepts it with --yes. Until then no key is made or deleted.
    Example: rotator accept-endpoint --yes
    """
    with running(context, config, as_json) as options:
        from worker.cli.accept_endpoint import accept_endpoint as run

        raise typer.Exit(run(options, account, yes=yes))


def roll_api_key(
    context: typer.Context,
    account: Annotated[
        str | None, typer.Argument(metavar="ACCOUNT", help="Whose key; else that of [hostup].", show_default=False)
    ] = None,
    settle: Annotated[
        bool, typer.Option("--settle", help="You have put a working key into Vault: prove it, and go on with it.")
    ] = False,
    yes: Yes = False,
    by: By = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Have HostUp replace the worker's own API key, where it lies in Vault (api_key_path).

    Says what will be done, and asks. The new key is in Vault before anything uses it; workers have it within seconds.
    Where the new key was lost with HostUp's answer, put another one into Vault and run it with --settle.

    Example: rotator roll-api-key --yes
    """
    with running(context, config, as_json) as options:
        from worker.cli.roll_api_key import roll_api_key as run

        raise typer.Exit(run(options, account, settled=settle, yes=yes, by=by))


def vault_policy(
    context: typer.Context,
    app: Annotated[
        str | None, typer.Option("--app", metavar="TARGET", help="For the app that reads this target's key.")
    ] = None,
    destination: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For the worker, or the app, at a destination with a login of its own."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print the policy that the worker needs in Vault for the configured targets, and no more.

    Pipe it into `vault policy write hostup-rotator -`. With --app it is that of an app: it reads its own secret and
    copies of it, and leaves receipts. Keep the lines of a target that you remove until its last key is dead.
    Example: rotator vault policy --app media-uploads
    """
    with running(context, config, as_json) as options:
        from worker.cli.vault_policy import vault_policy as run

        raise typer.Exit(run(options, app, destination))


def vault_setup(  # noqa: PLR0913, PLR0917 - each is an option of the command
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    kubernetes: Annotated[
        str | None,
        typer.Option(metavar="NAMESPACE", help="Roles for ServiceAccounts of this namespace, instead of AppRoles."),
    ] = None,
    audience: Annotated[
        str, typer.Option(help="With --kubernetes: whom pods' tokens are made for; empty for the API server's own.")
    ] = "vault",
    destination: Annotated[
        str | None, typer.Option(metavar="NAME", help="At a destination with a login of its own, for the worker alone.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make what is missing in Vault: the mount, policies and roles for the worker and for each target's app.

    Needs the token of an administrator (VAULT_TOKEN, or that of the destination). Shows first what is missing or
    differs, and asks. A new AppRole's secret_id is wrapped, and handed out this once.
    Example: rotator vault setup --yes
    """
    with running(context, config, as_json) as options:
        from worker.cli.vault_plan import Cluster
        from worker.cli.vault_setup import vault_setup as run

        cluster = None if kubernetes is None else Cluster(kubernetes, audience)
        raise typer.Exit(run(options, dry_run=dry_run, yes=yes, cluster=cluster, destination=destination))


def notify_test(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One channel; else all of them.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Send a notice by each channel of [[notify]], or by one, and say how it went.

    Nothing is tried again. Exit 1 where one was not delivered.
    Example: rotator notify test
    """
    with running(context, config, as_json) as options:
        from worker.cli.notify import notify_test as run

        raise typer.Exit(run(options, name))
