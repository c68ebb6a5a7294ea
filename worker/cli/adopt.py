"""``rotator adopt``: take over, by name, a key that this project did not make."""

from __future__ import annotations

from dataclasses import replace

from worker.cli.in_use import see_that_nobody_uses
from worker.cli.messenger import wake_or_say
from worker.cli.options import Options, account_named, target_named
from worker.cli.output import print_lines, result
from worker.errors import UsageError
from worker.rotation.changes.settlement import Found, adopted_key, found_in
from worker.rotation.status import moved, summary_of
from worker.service.assemble import Runtime
from worker.settings.environment import Need
from worker.targets.target import Target


def adopt(options: Options, name: str, access_key: str, account: str | None = None) -> int:
    """Make the key at the app's path, which must be the one that is named, the target's current one.

    It lies on ``account``, None: on the target's.
    """
    runtime = options.runtime(Need.VAULT)
    target = target_named(runtime.settings, name)
    loaded = runtime.services.store.load(target.name, target.path)
    conflict = moved(loaded.record, target)
    if conflict:
        raise conflict
    found = replace(
        _found(runtime, target, access_key), account=account_named(runtime.settings, account or target.account)
    )
    see_that_nobody_uses(runtime.services, runtime.settings.targets, access_key, apart_from=name)
    runtime.services.store.claims.hand_over(access_key, name, found.account)
    now = runtime.clock.now()
    record = runtime.services.store.change(loaded, lambda known: adopted_key(known, found, now, target.grace)).record
    wake_or_say(runtime, name)
    summary = summary_of(record, target, now)
    lines = [
        f"{name}: access key {access_key}, version {found.version} of {target.path}, is now the current key",
        "  It is replaced at the next rotation, and deleted at HostUp after the grace period that follows.",
    ]
    result(options, summary, lambda: print_lines(lines))
    return 0


def _found(runtime: Runtime, target: Target, access_key: str) -> Found:
    document = runtime.services.vault.read(target.path)
    if document.data is None:
        raise UsageError(
            f"there is nothing to adopt at {target.path}",
            target=target.name,
            hint="Write the app's secret there first, or let the worker make a new key: `rotator rotate`.",
        )
    found = found_in(target.fields, document)
    if found is None or found.access_key != access_key:
        raise UsageError(
            f"version {document.version} of {target.path} does not hold access key {access_key} "
            f"under {target.fields.name_of('access_key')!r}",
            target=target.name,
            hint="Look at what is there (vault kv get), and name exactly that key; a wrong one would be deleted later.",
        )
    return found
