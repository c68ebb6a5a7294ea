"""What the programs in Python share: calls in turn until stdin ends, and one line of JSON for each."""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections.abc import Callable, Sequence


def run(calls: Sequence[Callable[[], str]], milliseconds: str) -> None:
    """A call gives what went wrong, or nothing."""
    ended = threading.Event()
    threading.Thread(target=_wait_for_the_end, args=[ended], daemon=True).start()
    for call in itertools.cycle(calls):
        sys.stdout.write(json.dumps({"error": call()}) + "\n")
        sys.stdout.flush()
        if ended.wait(int(milliseconds) / 1000):
            return


def _wait_for_the_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()
