"""``rotator accept-chain``: breaks of a history's chain that somebody looked into are no finding any more."""

from __future__ import annotations

from typing import Any

from worker.adapters.vault.opening import open_vault
from worker.cli.asking import agreed, reason_of
from worker.cli.options import Options
from worker.cli.output import print_lines, result, say
from worker.cli.who import asker
from worker.clock import SystemClock
from worker.errors import UsageError
from worker.rotation.chain import ChainState
from worker.rotation.changes.acceptance import breaks_accepted
from worker.rotation.records import RecordStore
from worker.rotation.whole import whole_history
from worker.settings.environment import Need


def accept_chain(options: Options, name: str, *, reason: str, by: str, yes: bool) -> int:
    """Show the breaks that nobody accepted, ask, and accept them. Raises UsageError, RecordError, VaultError."""
    by, reason = asker(by), reason_of(reason)
    settings, clock = options.settings(Need.VAULT, only=()), SystemClock()
    store = RecordStore(open_vault(settings, clock), settings.vault.state_path, clock, settings.vault.mount)
    if name not in store.targets():
        raise UsageError(f"nothing is on record of a target {name[:64]!r}", hint="See `rotator status`.")
    loaded = store.load(name, "")
    chain = whole_history(store, name).chain
    if chain.holds:
        words = f"{name}: there is nothing to accept: its history is {chain.words}"
        result(options, _document(name, chain, chain), lambda: print_lines([words]))
        return 0
    if not reason.strip():
        raise UsageError("a reason is wanted", hint="Say with --reason what you found out. Nothing was changed.")
    for each in chain.breaks:
        say(f"{name}: entry {each.number}: {each.what}")
    if not (yes or agreed("Accept that? It is on record, with your name and your reason.")):
        return 1
    now = clock.now()
    store.change(loaded, lambda record: breaks_accepted(record, chain, by, reason, now))
    after = whole_history(store, name).chain
    result(options, _document(name, chain, after), lambda: print_lines([f"{name}: its history is {after.words}"]))
    return 0 if after.holds else 1


def _document(name: str, before: ChainState, after: ChainState) -> dict[str, Any]:
    return {
        "target": name,
        "done": bool(before.breaks) and after.holds,
        "breaks": [{"number": each.number, "what": each.what} for each in before.breaks],
        "history": after.words,
    }
