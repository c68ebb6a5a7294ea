"""A shell that a reader of the pages might have: commands go in one after another, what they print comes out.

Ids, times and numbers differ from run to run. So they are left out of a comparison; and an id that a page shows stands,
in the commands that follow, for the id that came out in its place.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.pages import Code

PATIENCE = 300.0
"""Seconds that all commands of a session may take together."""

GOODBYE = 60.0
"""Seconds that what runs in the background may take to end."""

ELLIPSIS = "..."
"""A line that says: lines are left out in this block."""

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[A-Z0-9]{20}\b")
_VARYING = (
    (_ID, "ID"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HASH"),
    (re.compile(r"\btx[0-9a-f]+-"), "tx-"),
    (re.compile(r"\((?:in [^)]*|[^)]* ago)\)"), "(T)"),
    (re.compile(r"\d+"), "N"),
    (re.compile(r"[\s─━═┃│]+"), " "),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a page, and what the page shows of its output; None: it shows nothing."""

    where: str
    command: str
    shown: tuple[str, ...] | None = None


def steps(code: Code) -> Iterator[Step]:
    """The commands of a block: a console's one by one, any other as a whole."""
    where = f"{code.page}:{code.line}"
    if code.language == "python":
        yield Step(where, f"python - <<'PYTHON'\n{code.text}PYTHON")
    elif code.language == "console":
        for part in re.split(r"^\$ ", code.text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield Step(where, command, tuple(shown.splitlines()))
    else:
        yield Step(where, code.text)


@dataclass(slots=True)
class Session:
    """One shell; ``ids`` are those of the pages, with those of this run."""

    process: subprocess.Popen[str]
    ids: dict[str, str] = field(default_factory=dict)

    def run(self, step: Step) -> None:
        """Run one step. Fails when the command does, or when it prints something else than the page shows."""
        command = _ID.sub(lambda found: self.ids.get(found[0], found[0]), step.command)
        said, status = self._say(command)
        assert status == "0", f"{step.where}: {step.command}\nended with {status}:\n{said}"
        if step.shown is not None:
            self._compare(step, said.splitlines())

    def _say(self, command: str) -> tuple[str, str]:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin
        assert stdout
        # with -e a block ends at its first command that fails, and with it the shell
        stdin.write(f"set -e\n{command}\nprintf '\\n@@ %s\\n' $?; set +e\n")
        stdin.flush()
        said: list[str] = []
        for line in stdout:
            if line.startswith("@@ "):
                return "".join(said).removesuffix("\n"), line.removeprefix("@@ ").strip()
            said.append(line)
        return "".join(said), "the end of the shell"

    def _compare(self, step: Step, said: list[str]) -> None:
        """A block that leaves lines out has to show the others in their order."""
        assert step.shown is not None
        real = iter(said)
        exact = ELLIPSIS not in step.shown
        for shown in step.shown:
            if shown == ELLIPSIS:
                continue
            line = next((each for each in real if exact or _common(each) == _common(shown)), "")
            heard = "\n".join(said)
            assert _common(line) == _common(shown), f"{step.where}: {step.command}\nshown: {shown}\nreal:\n{heard}"
            self.ids.update(zip(_ID.findall(shown), _ID.findall(line), strict=True))
        left = [line for line in real if line.strip()]
        assert not exact or not left, f"{step.where}: {step.command}\nnot shown: {left}"


@contextmanager
def shell(folder: Path, environment: Mapping[str, str]) -> Iterator[Session]:
    """A shell in ``folder``; what it started in the background ends with it."""
    process = subprocess.Popen(
        ["bash", "--norc"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(PATIENCE, _end, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        yield Session(process)
    finally:
        watchdog.cancel()
        _end(process.pid, signal.SIGTERM)
        try:
            process.communicate(timeout=GOODBYE)  # until the last of the group has closed its output
        finally:
            _end(process.pid, signal.SIGKILL)


def _end(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _common(line: str) -> str:
    """A line without what differs from run to run."""
    for pattern, instead in _VARYING:
        line = pattern.sub(instead, line)
    return line.strip()
