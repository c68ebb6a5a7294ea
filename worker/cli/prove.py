"""``rotator prove``: the life of one key as evidence that can be checked offline, and that check."""

from __future__ import annotations

import sys
from pathlib import Path

from worker.adapters.vault.opening import open_vault
from worker.cli.options import Options
from worker.cli.output import print_document, print_facts, print_lines, result
from worker.cli.proof import Checked, accepted_breaks, check_proof, make_proof, rendered, unlinked
from worker.clock import SystemClock
from worker.errors import RecordDeleted, RotatorError, UsageError
from worker.rotation.records import RecordStore
from worker.rotation.trace import trace
from worker.rotation.whole import whole_history
from worker.settings.environment import Need

LONGEST_FILE = 64 * 1024 * 1024


def prove(options: Options, access_key: str | None, file: Path | None) -> int:
    """Print the proof of a key, or check one; 1 where it does not hold. Raises UsageError, RotatorError."""
    if (access_key is None) == (file is None):
        raise UsageError(
            "name a key, or a file to check", hint="`rotator prove ACCESS_KEY > proof.json`, or --check proof.json."
        )
    if file is not None:
        return _check(options, file)
    _print_proof(options, str(access_key))
    return 0


def _print_proof(options: Options, access_key: str) -> None:
    settings, clock = options.settings(Need.VAULT, only=()), SystemClock()
    store = RecordStore(open_vault(settings, clock), settings.vault.state_path, clock, settings.vault.mount)
    found = trace(store, access_key, _owner(store, access_key))
    if found is None or not any(access_key == entry.access_key for entry in found.events):
        raise RotatorError(
            f"nothing is on record of an access key {access_key[:128]!r}",
            hint="Name it in full; see `rotator history`.",
        )
    document = make_proof(found.target, access_key, whole_history(store, found.target).texts, clock.now())
    print_document(rendered(document).split("\n"))


def _owner(store: RecordStore, access_key: str) -> str | None:
    try:
        owner = store.claims.owner(access_key)
    except RecordDeleted:
        return None
    return owner.target if owner else None


def _check(options: Options, file: Path) -> int:
    checked = check_proof(_read(file))
    document = {
        "holds": checked.holds,
        "problems": list(checked.problems),
        "target": checked.document.get("target"),
        "access_key": checked.document.get("access_key"),
        "facts": checked.document.get("facts"),
        "head": checked.document["chain"]["head"] if checked.holds else None,
        "accepted": accepted_breaks(checked.document) if checked.holds else [],
    }
    result(options, document, lambda: _say(checked))
    return 0 if checked.holds else 1


def _read(file: Path) -> str:
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(LONGEST_FILE).decode()
        with file.open("rb") as opened:
            return opened.read(LONGEST_FILE).decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"{file} cannot be read: {why}", hint="Name a file that `rotator prove` wrote.") from None


def _say(checked: Checked) -> None:
    if not checked.holds:
        print_lines(["The proof does NOT hold:", *(f"  {problem}" for problem in checked.problems)])
        return
    facts, head = checked.document["facts"], checked.document["chain"]["head"]
    print_lines(["The proof holds together: nothing in it was changed since it was made."])
    print_facts(
        [
            ("access key", facts["access_key"]),
            ("target", facts["target"]),
            ("state", facts["state"]),
            ("created", f"{facts['born_at']} by requestId {facts['create_request_id']}" if facts["born_at"] else ""),
            ("published", facts["published_at"] or ""),
            ("grace ended", facts["grace_end"] or ""),
            (
                "deleted",
                f"{facts['deleted_at']} by requestId {facts['delete_request_id']}" if facts["deleted_at"] else "",
            ),
            ("refused", f"{facts['dead_at']} with {facts['refused_by']}" if facts["dead_at"] else ""),
            ("ends at entry", f"{head['n']}, hash {head['hash']}"),
        ]
    )
    print_lines(accepted_breaks(checked.document))
    print_lines(["That it was not made up is shown by your logs: look there for this hash as `entry_hash`."])
    bare = unlinked(checked.document)
    if bare:
        print_lines([f"Entries {', '.join(map(str, bare))} carry no hash: an earlier release wrote them."])
