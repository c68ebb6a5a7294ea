"""What systemd is told of this process (``sd_notify(3)``): one datagram to the socket in ``NOTIFY_SOCKET``.

Fifteen lines of our own: the protocol is one ``sendto``, and a library for it would be one more thing to keep.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"


def notify(state: str) -> None:
    """Tell systemd; nothing where it is not listening, or is away for a moment: it does not wait for an answer."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        # a name that begins with @ is one of the abstract namespace, which begins with a zero byte
        out.settimeout(0)
        out.sendto(state.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)
