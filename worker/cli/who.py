"""Who runs a command: what goes on record with what he asks for."""

from __future__ import annotations

import os
import socket

from worker.errors import UsageError
from worker.rotation.texts import LONGEST_NAME, short_name


def asker(given: str) -> str:
    """The name that was ``given`` (``--as``), else the user and the host of this process. Raises UsageError.

    The user is the one that the kernel knows, whatever the environment says.
    """
    if len(given) > LONGEST_NAME:
        raise UsageError(f"--as: the name is longer than {LONGEST_NAME} characters", hint="Give a shorter one.")
    return short_name(given) or short_name(f"{_user()}@{socket.gethostname()}")


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under any number
        return f"uid {os.getuid()}"
