"""Whether what is set of single documents in Vault lets records or apps' secrets go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from worker.adapters.vault.kv import VaultStore
from worker.cli.check_vault import lacking
from worker.cli.output import progress
from worker.cli.verdicts import Verdict, failed
from worker.errors import VaultError
from worker.rotation.fresh import lasting
from worker.rotation.ports import DocumentSettings
from worker.rotation.survey import read_all
from worker.service.assemble import Runtime
from worker.settings.settings import Settings
from worker.targets.location import HOME


@dataclass(frozen=True, slots=True)
class _Place:
    """Documents of one mount, by path: which target's each is, and whether apps read it."""

    vault: VaultStore
    mount: str
    paths: Mapping[str, tuple[str, bool]]


def look(runtime: Runtime) -> Iterator[Verdict]:
    """Of every record, every app's secret and every copy; the mount's own settings are looked at with the mount."""
    for place in _places(runtime):
        yield from _look_at(place)


def _places(runtime: Runtime) -> Iterator[_Place]:
    settings, store = runtime.settings, runtime.services.store
    records = {store.path(name): (f"target {name}", False) for name in settings.targets}
    apps = {target.path: (f"target {target.name}", True) for target in settings.targets.values()}
    yield _Place(runtime.vault, settings.vault.mount, records | apps | _copies(settings, HOME))
    for name, vault in runtime.elsewhere.items():
        given, copies = settings.destinations[name].vault, _copies(settings, name)
        if copies and not given.secret_id_is_scarce:
            yield _Place(vault, given.mount, copies)


def _copies(settings: Settings, destination: str) -> dict[str, tuple[str, bool]]:
    copies = [(copy, target) for target in settings.targets.values() for copy in target.also]
    return {copy.path: (f"target {target.name}", True) for copy, target in copies if copy.destination == destination}


def _look_at(place: _Place) -> Iterator[Verdict]:
    vault, mount = place.vault, place.mount
    try:
        missing = vault.missing_capabilities({f"{mount}/metadata/{path}": ("read",) for path in place.paths})
        known = [path for path in place.paths if f"{mount}/metadata/{path}" not in missing]
        found = list(read_all(known, vault.settings_of, progress("reading settings of documents")))
    except VaultError as error:
        yield failed("Vault documents", error)
        return
    if missing:
        hint = "Nobody is told then that one is set to expire, before it has. `rotator vault policy` has these rights."
        yield Verdict("Vault documents", "warning", lacking(missing), hint)
    for path, settings in found:
        check, is_apps = place.paths[path]
        verdict = _of(settings, mount, path, check, is_apps=is_apps) if settings else None
        if verdict:
            yield verdict


def _of(settings: DocumentSettings, mount: str, path: str, check: str, *, is_apps: bool) -> Verdict | None:
    if settings.delete_version_after:
        what = f"{mount}/{path} is set to lose every version after {settings.delete_version_after}"
        hint = f"Turn it off: `{lasting(mount, path)}`; a version that is there keeps its end until the next rotation."
        return Verdict(check, "failed", what, hint)
    if is_apps and settings.max_versions == 1:
        what = f"{mount}/{path} keeps one version: nobody can go back, and a replaced key's secret proves no death"
        hint = f"Let more be kept: `vault kv metadata put -mount={mount} -max-versions=10 {path}`."
        return Verdict(check, "warning", what, hint)
    return None
