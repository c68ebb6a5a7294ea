"""``python -m worker.service.health``: exit 0 while the worker in this container shows signs of life.

Where ``ROTATOR_METRICS_LISTEN`` says at which port, the worker is asked itself (`/livez`). One that does not answer,
because it is about to end or another one has the port, is judged by the age of the file that it touches
(``ROTATOR_HEALTH_FILE``): the same rule, without the HTTP server. Imports next to nothing, so it may run every few
seconds. (Remote control, which `celery inspect ping` needs, is off.)
"""

from __future__ import annotations

import os
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

OLDEST_SECONDS = 60.0
ANSWER_SECONDS = 5.0
_ANY = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}  # noqa: S104 - where to ask a worker that listens everywhere


def main() -> int:
    """Look, and say in one line what was seen; 0 is well."""
    asked = _asked(os.environ.get("ROTATOR_METRICS_LISTEN", ""))
    if asked is not None:
        print("it answers" if asked else "it answers that its pulse has stopped")  # noqa: T201 - a command's own output
        return 0 if asked else 1
    return _by_file(os.environ.get("ROTATOR_HEALTH_FILE"))


def _asked(listen: str) -> bool | None:
    """What the worker says of itself; None where it is not to be asked, or does not answer."""
    host, _, port = listen.rpartition(":")
    if not port.isdecimal():
        return None
    connection = HTTPConnection(_ANY.get(host, host.strip("[]")), int(port), timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200  # noqa: PLR2004 - HTTP's own number
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def _by_file(name: str | None) -> int:
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
