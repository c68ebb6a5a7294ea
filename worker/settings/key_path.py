"""Whether the path of an API key in Vault is one of its own: nobody but the worker may come by what lies there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from worker.settings.environment import WHERE
from worker.settings.hostup import BOOTSTRAP_KEY, AccountSettings, HostUpSettings
from worker.settings.problems import Problems, show_text
from worker.targets.account import hostup_table
from worker.targets.location import HOME, Location, location


def key_in_vault(document: Mapping[str, object] | None) -> bool:
    """Whether the file says that the default account's API key lies in Vault, right or wrong."""
    table = (document or {}).get("hostup")
    return isinstance(table, dict) and "api_key_path" in table


def check_bootstrap(
    file: str, first: HostUpSettings, others: Mapping[str, AccountSettings], problems: Problems
) -> None:
    """See that a bootstrap key stands only where the API key lies in Vault: ``first`` is ``[hostup]``."""
    if first.has_bootstrap and not first.api_key_path:
        why = "is set without api_key_path under [hostup], and serves nothing"
        problems.note(f"{WHERE}: {BOOTSTRAP_KEY}", why)
    for name, account in others.items():
        if account.hostup.has_bootstrap and not account.hostup.api_key_path:
            why = "its bootstrap key is given without api_key_path, and serves nothing"
            problems.note(f"{file}: {hostup_table(name)}", why)


def check_key_paths(
    file: str,
    accounts: Mapping[str, AccountSettings],
    own_paths: tuple[str, str],
    roots: Mapping[str, str],
    targets: object,
    problems: Problems,
) -> None:
    """See that none is the worker's own place, an app's, or that of another account's key.

    ``own_paths`` are those of records and receipts, ``roots`` the mounts by the names of their destinations.
    """
    state, receipts = own_paths
    others = [(f"{roots[HOME]}/{state}", state, "state_path, where the worker keeps its records")]
    others += [(f"{roots[HOME]}/{receipts}", receipts, "receipts_path, where apps may write")]
    others += _of_targets(targets, roots)
    taken: dict[str, str] = {}
    for account, path in ((name, each.hostup.api_key_path) for name, each in accounts.items()):
        if path is None:
            continue
        where = f"{file}: {hostup_table(account)} api_key_path"
        for full, other, what in others:
            if _touch(f"{roots[HOME]}/{path}", full):
                why = f"{path} and {other} lie in each other, and the second is {what}"
                problems.note(where, f"{why}; give the API key a path of its own")
        if path in taken:
            problems.note(where, f"{path} is that of account {taken[path]} already; each account needs its own")
        taken.setdefault(path, account)


def _of_targets(targets: object, roots: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Where apps read: the whole place, how it is written, and whose it is. What is wrong elsewhere is passed over."""
    for entry in targets if isinstance(targets, list) else ():
        if not isinstance(entry, dict):
            continue
        path, also = entry.get("path"), entry.get("also")
        places = [Location(path)] if isinstance(path, str) else []
        places += [location(text) for text in also if isinstance(text, str)] if isinstance(also, list) else []
        for place in places:
            root = roots.get(place.destination)
            if root is not None:
                inner, name = place.path.strip("/"), show_text(str(entry.get("name")))
                yield f"{root}/{inner}", inner, f"the path of the target {name}, for its app"


def _touch(path: str, other: str) -> bool:
    return f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/")
