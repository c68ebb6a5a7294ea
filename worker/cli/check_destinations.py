"""Whether copies of apps' secrets can be written at every destination that a target names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from worker.adapters.vault.kv import VaultStore
from worker.cli.check_vault import APP, DESTROY, lacking
from worker.cli.verdicts import Verdict, by_way_of, failed
from worker.errors import VaultError
from worker.rotation.copies import left_alone
from worker.rotation.record import Record
from worker.service.assemble import Runtime
from worker.settings.settings import Settings
from worker.targets.target import Target


def look(runtime: Runtime) -> Iterator[Verdict]:
    """One line for each destination that a target names, and one for those that none does."""
    used = {copy.destination for target in runtime.settings.targets.values() for copy in target.also}
    for name, vault in runtime.elsewhere.items():
        if name in used:
            yield by_way_of(vault.proxy, _of(runtime, name, vault))
    idle = ", ".join(name for name in runtime.elsewhere if name not in used)
    if idle:
        yield Verdict("destinations", "warning", f"no target names {idle} in also", "Leave out what is not used.")


def of_left_alone(records: Mapping[str, Record], targets: Mapping[str, Target]) -> Iterator[Verdict]:
    """Copies that were taken out of ``also`` and still hold the current key, which will be deleted after the next."""
    for name, record in records.items():
        for place in left_alone(record, targets[name]):
            what = f"the copy at {place} is not in also any more: it keeps the key, which dies after the next rotation"
            hint = "Have no app read there any more, and delete it; or put it back into also."
            yield Verdict(f"target {name}", "warning", what, hint)


def needed_at(settings: Settings, name: str) -> dict[str, tuple[str, ...]]:
    """What the worker needs by path at a destination."""
    mount = settings.destinations[name].vault.mount
    wanted: dict[str, tuple[str, ...]] = {}
    for target in settings.targets.values():
        for copy in target.also:
            if copy.destination == name:
                wanted[f"{mount}/data/{copy.path}"] = APP
                wanted[f"{mount}/destroy/{copy.path}"] = DESTROY
    return wanted


def _of(runtime: Runtime, name: str, vault: VaultStore) -> Verdict:
    check, settings = f"destination {name}", runtime.settings.destinations[name]
    given = settings.vault
    if given.secret_id_is_scarce:
        return Verdict(check, "warning", "not looked at: its secret_id is good for few logins, and none is spent")
    where = f"{given.mount} in namespace {given.namespace}" if given.namespace else given.mount
    try:
        health = vault.health()
        if health.sealed or not health.initialized:
            return Verdict(check, "failed", f"{given.address} is sealed or not initialised", "Unseal it.")
        facts = vault.check()
        wanted = needed_at(runtime.settings, name)
        missing = vault.missing_capabilities(wanted)
    except VaultError as error:
        return failed(check, error)
    if missing:
        return Verdict(check, "failed", lacking(missing), f"See `rotator vault policy --destination {name}`.")
    login = "the login of [vault]" if settings.shares_login else f"a login of its own ({facts.method})"
    return Verdict(
        check, "ok", f"{where} at {given.address} is KV version 2; by {login} all {len(wanted)} paths can be used"
    )
