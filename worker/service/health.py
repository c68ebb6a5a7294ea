"""``python -m worker.service.health``: exit 0 while the worker in this container shows signs of life.

It looks at the age of one file and imports nothing else, so it may run every few seconds. (Remote control, which
`celery inspect ping` needs, is off.) The worker touches the file named by ``ROTATOR_HEALTH_FILE``.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

OLDEST_SECONDS = 60.0


def main() -> int:
    """Look, and say in one line what was seen; 0 is well."""
    name = os.environ.get("ROTATOR_HEALTH_FILE")
    if not name:
        print("ROTATOR_HEALTH_FILE is not set", file=sys.stderr)  # noqa: T201 - a command's own output
        return 78
    try:
        age = time.time() - Path(name).stat().st_mtime
    except OSError as error:
        print(f"no sign of life: {error.strerror}", file=sys.stderr)  # noqa: T201 - a command's own output
        return 1
    print(f"last sign of life {age:.0f} s ago")  # noqa: T201 - a command's own output
    return 0 if age < OLDEST_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
