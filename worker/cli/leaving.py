"""Targets that are on record and not in the configuration: found by name, for what a person decides about them."""

from __future__ import annotations

from worker.cli.messenger import wake_or_say
from worker.cli.options import target_named
from worker.errors import UsageError
from worker.rotation.leftover import leftover
from worker.rotation.steps.session import Session
from worker.service.assemble import Runtime
from worker.targets.target import Target


def on_record(runtime: Runtime, name: str) -> Target:
    """The target of this name: as configured, or as far as its record tells where it was removed.

    Raises UsageError, RecordError, VaultError.
    """
    if name in runtime.settings.targets or name not in runtime.services.store.targets():
        return target_named(runtime.settings, name)
    return leftover(runtime.services, name).target


def removed(runtime: Runtime, name: str) -> Session:
    """The record of a target that was removed from the configuration, in hand.

    Raises UsageError where it is still configured, had another name only, or was never there; RecordError, VaultError.
    """
    settings, services = runtime.settings, runtime.services
    if name in settings.targets:
        hint = "Nothing was changed. Take it out there, restart the workers, then run this again."
        raise UsageError(f"{name} is still in {settings.file}", target=name, hint=hint)
    if name not in services.store.targets():
        raise UsageError(f"nothing is on record of a target {name[:64]!r}", hint="`rotator audit` names what there is.")
    session = leftover(services, name)
    for target in settings.targets.values():
        if target.path == session.record.path:
            hint = f"Nothing was changed. If it was renamed: `rotator rename {name} {target.name}`."
            raise UsageError(f"its path {target.path} is that of the target {target.name} now", target=name, hint=hint)
    return session


def wake(runtime: Runtime, target: Target) -> None:
    """Wake a target after its record was changed; of one that is not configured an audit takes care."""
    if target.name in runtime.settings.targets:
        wake_or_say(runtime, target.name)
