"""Whether what is set of single documents in Vault lets records or apps' secrets go."""

from __future__ import annotations

from collections.abc import Iterator

from worker.cli.check_vault import lacking
from worker.cli.output import progress
from worker.cli.verdicts import Verdict, failed
from worker.errors import VaultError
from worker.rotation.fresh import lasting
from worker.rotation.ports import DocumentSettings
from worker.rotation.survey import read_all
from worker.service.assemble import Runtime


def look(runtime: Runtime) -> Iterator[Verdict]:
    """Of every record and every app's secret; the mount's own settings are looked at with the mount."""
    vault, mount, store = runtime.vault, runtime.settings.vault.mount, runtime.services.store
    targets = runtime.settings.targets.values()
    paths = {path: f"target {target.name}" for target in targets for path in (store.path(target.name), target.path)}
    try:
        missing = vault.missing_capabilities({f"{mount}/metadata/{path}": ("read",) for path in paths})
        known = [path for path in paths if f"{mount}/metadata/{path}" not in missing]
        found = list(read_all(known, vault.settings_of, progress("reading settings of documents")))
    except VaultError as error:
        yield failed("Vault documents", error)
        return
    if missing:
        hint = "Nobody is told then that one is set to expire, before it has. `rotator vault policy` has these rights."
        yield Verdict("Vault documents", "warning", lacking(missing), hint)
    apps = {target.path for target in targets}
    for path, settings in found:
        verdict = _of(settings, mount, path, paths[path], is_apps=path in apps) if settings else None
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
