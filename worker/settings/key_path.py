"""Whether the path of an API key in Vault is one of its own: nobody but the worker may come by what lies there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from worker.settings.problems import Problems, show_text
from worker.settings.vault import VaultSettings


def key_in_vault(document: Mapping[str, object] | None) -> bool:
    """Whether the file says that the API key lies in Vault, right or wrong."""
    table = (document or {}).get("hostup")
    return isinstance(table, dict) and "api_key_path" in table


def check_key_path(where: str, path: str | None, vault: VaultSettings, targets: object, problems: Problems) -> None:
    """See that it is neither the worker's own place nor an app's; ``where`` is what problems are noted under."""
    if path is None:
        return
    others = [(vault.state_path, "state_path, where the worker keeps its records")]
    others += [(vault.receipts_path, "receipts_path, where apps may write")]
    others += [(each, f"the path of the target {show_text(name)}, for its app") for name, each in _of(targets)]
    for other, what in others:
        if _touch(path, other):
            why = f"{path} and {other} lie in each other, and the second is {what}"
            problems.note(where, f"{why}; give the API key a path of its own")


def _of(targets: object) -> Iterator[tuple[str, str]]:
    for entry in targets if isinstance(targets, list) else ():
        if isinstance(entry, dict) and isinstance(path := entry.get("path"), str):
            yield str(entry.get("name")), path.strip("/")


def _touch(path: str, other: str) -> bool:
    return f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/")
