"""``rotator top``: what is under way, what comes next and what is in trouble, renewed every second.

On a terminal until q or Ctrl-C; elsewhere one plain picture of now.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from worker.adapters.redis.circuit import HeldCalls
from worker.cli.held import held_text
from worker.cli.options import Options
from worker.cli.output import print_lines, result
from worker.cli.texts import span
from worker.errors import QueueUnavailable, VaultError
from worker.printable import printable
from worker.rotation.status import summary_of, unusable
from worker.rotation.survey import survey
from worker.settings.environment import Need
from worker.targets.account import at_account
from worker.targets.receipts import receipts_in

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from worker.service.assemble import Runtime

Summary = Mapping[str, Any]
Rows = tuple[tuple[str, str, str], ...]

UNDER_WAY = ("creating", "staged", "verified")
SECONDS = 1.0
REST = 10
"""Reading takes a tenth of the time at most: where Redis is away, every record is read from Vault."""

MOST_ASKED = 50
"""Targets whose readers are looked for: each is a read of Vault."""

LONGEST_CELL = 24
"""Of a target's name and of a moment, which are not shortened before what is between them."""

OTHER_LINES = 17
"""Of the screen: headings, and what stands between the parts."""


@dataclass(frozen=True, slots=True)
class Screen:
    """What is shown: each row is a target, what there is of it, and when."""

    at: datetime
    targets: int
    under_way: Rows
    trouble: Rows
    next: Rows
    old_keys: Rows
    readers: Rows = ()

    def parts(self) -> tuple[tuple[str, Rows], ...]:
        """With their headings, the most urgent first."""
        return (
            ("In trouble", self.trouble),
            ("Under way", self.under_way),
            ("Old keys that still work", self.old_keys),
            ("Who says that he still uses one", self.readers),
            ("Next", self.next),
        )

    def document(self) -> dict[str, Any]:
        """As JSON."""
        named = {
            "in_trouble": self.trouble,
            "under_way": self.under_way,
            "old_keys": self.old_keys,
            "old_key_readers": self.readers,
            "next": self.next,
        }
        rows = {
            name: [dict(zip(("target", "what", "when"), row, strict=True)) for row in found]
            for name, found in named.items()
        }
        return {"at": self.at.isoformat(timespec="milliseconds"), "targets": self.targets, **rows}


def top(options: Options) -> int:
    """Show it until somebody ends it, or once where nobody watches. Raises VaultError."""
    runtime = options.runtime(Need.VAULT)
    if options.as_json or not (sys.stdout.isatty() and sys.stdin.isatty()):
        now = look(runtime)
        result(options, now.document(), lambda: print_lines(_plain(now)))
        return 0
    _live(runtime)
    return 0


def look(runtime: Runtime) -> Screen:
    """What is to be shown now. Raises VaultError."""
    found, now = summaries(runtime), runtime.clock.now()
    try:
        held = runtime.shared.held(now)
    except QueueUnavailable:
        held = ()
    return screen(found, now, held, tuple(_readers(runtime, found, now)))


def _readers(runtime: Runtime, found: Sequence[Summary], now: datetime) -> Iterator[tuple[str, str, str]]:
    """Who says by a receipt that he uses a key which is to be deleted."""
    old = {
        each["target"]: {key["access_key"] for key in each["retiring"] if key["state"] == "waiting"} for each in found
    }
    asked = [name for name, keys in old.items() if keys and name in runtime.settings.targets]
    for name in asked[:MOST_ASKED]:
        path = f"{runtime.settings.vault.receipts_path}/{runtime.settings.targets[name].path}"
        try:
            said = receipts_in(runtime.vault.read(path).data or {}).known
        except VaultError as error:
            yield name, f"not known: {error.what}", ""
            return  # it is the same with the others, and each would take its time
        for each in said:
            if each.access_key in old[name] and not each.is_gone(now):
                yield name, f"{each.reader} uses {each.access_key}", _far(each.seen.isoformat(), now)


def screen(found: Sequence[Summary], now: datetime, held: Iterable[HeldCalls] = (), readers: Rows = ()) -> Screen:
    """What the targets' summaries come to, the calls that are held back, and who uses keys of before. Pure."""
    waiting = tuple((f"HostUp{at_account(each.account)}", held_text(each, now), "") for each in held)
    soon = sorted((each for each in found if each["next_rotation_at"]), key=lambda each: each["next_rotation_at"])
    old = sorted((key["retire_after"], each["target"], key) for each in found for key in each["retiring"])
    return Screen(
        now,
        len(found),
        tuple((each["target"], _doing(each), "") for each in found if each["phase"] in UNDER_WAY),
        waiting + tuple((each["target"], what, since) for each in found for what, since in _troubles(each, now)),
        tuple(
            (each["target"], each["access_key"] or "no key yet", _far(each["next_rotation_at"], now)) for each in soon
        ),
        tuple((name, f"{key['access_key']} {key['state']}", _far(at, now)) for at, name, key in old),
        readers,
    )


def summaries(runtime: Runtime) -> list[Summary]:
    """Of all targets: as Redis remembers them, else from Vault. Raises VaultError."""
    targets = runtime.settings.targets
    try:
        known: Mapping[str, Summary] = runtime.shared.index.summaries()
    except QueueUnavailable:
        known = {}
    if all(name in known for name in targets):
        return [known[name] for name in sorted(targets)]
    seen, now = survey(runtime.services, targets), runtime.clock.now()
    return [
        unusable(error, name) if (error := seen.unreadable.get(name)) else summary_of(seen.records[name], target, now)
        for name, target in sorted(targets.items())
    ]


def _far(at: str | None, now: datetime) -> str:
    """How far away a moment is."""
    if not at:
        return ""
    far = datetime.fromisoformat(at) - now
    return f"in {span(far)}" if far > timedelta(0) else f"{span(far)} ago"


def _doing(summary: Summary) -> str:
    key = summary.get("staged_access_key")
    return f"{summary['phase']}, {key}" if key else str(summary["phase"])


def _troubles(summary: Summary, now: datetime) -> Iterator[tuple[str, str]]:
    trouble, error = summary["trouble"], summary["last_error"]
    if trouble:
        yield trouble["what"], _far(trouble["since"], now)
    if error:
        yield error["what"], _far(error.get("since"), now)
    for create in summary["unconfirmed_creates"]:
        yield f"unconfirmed create of rotation {create['rotation_id']}", _far(create["at"], now)
    if summary["deletes_held"]:
        yield "Vault was set back: nothing is deleted", ""


def _plain(shown: Screen) -> Iterator[str]:
    yield f"{shown.targets} targets at {shown.at:%Y-%m-%d %H:%M:%S} UTC"
    for heading, rows in shown.parts():
        yield ""
        yield f"{heading}: {len(rows) or 'none'}"
        yield from (f"  {'  '.join(part for part in row if part)}" for row in rows)


def _live(runtime: Runtime) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(file=sys.stdout)
    with _keys_at_once(), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            began = runtime.clock.monotonic()
            shown = look(runtime)
            took = runtime.clock.monotonic() - began
            live.update(_drawn(shown, console), refresh=True)
            if _pressed(max(SECONDS, took * REST)) in ("q", "Q"):
                return


def _drawn(shown: Screen, console: Console) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    room = max(4, console.height - OTHER_LINES)
    drawn: list[RenderableType] = [Text(f"{shown.targets} targets, {shown.at:%H:%M:%S} UTC; q ends", style="dim")]
    for place, (heading, rows) in enumerate(shown.parts()):
        share = max(1, room // (len(shown.parts()) - place))
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        for column in range(3):
            longest = max((len(row[column]) for row in rows[:share]), default=0)
            table.add_column(
                overflow="ellipsis", no_wrap=True, min_width=None if column == 1 else min(longest, LONGEST_CELL)
            )
        for row in rows[:share]:
            table.add_row(*(Text(printable(part)) for part in row))
        room -= min(len(rows), share)
        more = f", {len(rows) - share} more" if len(rows) > share else ""
        style = "bold red" if heading == "In trouble" and rows else "bold"
        drawn += [Text(""), Text(f"{heading}: {len(rows) or 'none'}{more}", style=style), table]
    return Group(*drawn)


@contextmanager
def _keys_at_once() -> Iterator[None]:
    """Read keys without Enter, and unseen; the terminal is afterwards as it was."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _pressed(seconds: float) -> str:
    """The key that is pressed within so long; q where the terminal is gone."""
    import select

    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return (sys.stdin.read(1) or "q") if ready else ""
