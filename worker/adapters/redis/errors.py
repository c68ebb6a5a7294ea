"""What an error of Redis means: why it cannot be used, in words, with Redis' own first word, and what to do.

The rest of its text is not passed on: it may quote a command, a key or a user.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping

import redis
from redis.sentinel import MasterNotFoundError

from worker.adapters.redis.replies import ReplyTooLong
from worker.errors import QueueOverlong, QueueUnavailable

NOTHING_LOST = "Nothing is lost; work goes on by itself when it can be used again."

CLUSTER = "it is a cluster, which spreads over several nodes what has to be changed as one"
NO_CLUSTER = "Let REDIS_URL name a server that is no cluster; replicas beside it do no harm."

NEEDED_RIGHTS = "~rotator:* ~hostup-rotator* ~celery* ~_kombu.*"
"""Of a queue with the name that it has where `[redis] queue` says nothing."""

_QUEUE = "With a `[redis] queue` of your own, its name takes the place of hostup-rotator."

_MEANINGS: Mapping[str, tuple[str, str]] = {
    "READONLY": ("it is a replica, which takes no writes", "Let REDIS_URL name the primary."),
    "OOM": ("it is out of memory, and takes no writes", "Raise maxmemory, and see what else fills it."),
    "MISCONF": ("it cannot save to its disk, and takes no writes", "Look at its log and at the space on its disk."),
    "NOREPLICAS": ("it takes no writes with so few replicas", "See its replicas, and min-replicas-to-write."),
    "NOPERM": (
        "its user may not do this",
        f"The user that REDIS_URL names needs the keys {NEEDED_RIGHTS} and commands (`ACL LOG` tells). {_QUEUE}",
    ),
    "NOAUTH": ("it wants a password", "Put user and password into REDIS_URL."),
    "WRONGPASS": ("it refuses this user or password", "Put the right ones into REDIS_URL."),
    "DENIED": ("it runs in protected mode and takes no connection from here", "Give it a password, and REDIS_URL too."),
    "LOADING": ("it is still loading its data", "Wait a moment."),
    "BUSY": ("a script of somebody else's keeps it busy", "See `SLOWLOG` and end the script with `SCRIPT KILL`."),
    "MASTERDOWN": ("it is a replica that has lost its primary", "Let REDIS_URL name the primary."),
    "CROSSSLOT": (CLUSTER, NO_CLUSTER),
    "MOVED": (CLUSTER, NO_CLUSTER),
    "ASK": (CLUSTER, NO_CLUSTER),
    "CLUSTERDOWN": (CLUSTER, NO_CLUSTER),
    "WRONGTYPE": (
        "a key there is of another type than ours",
        "The worker makes its own keys anew by itself; see that no other program uses this database.",
    ),
}
"""By the first word of what Redis answers."""

_WORDS = re.compile(rf"\b({'|'.join(_MEANINGS)})\b")
NO_DATABASE = "it has no database of that number"
NEVER = (CLUSTER, NO_DATABASE)
"""What no waiting helps against."""

_TEXTS: Mapping[str, tuple[str, str]] = {
    "DB index is out of range": (
        NO_DATABASE,
        "Put another one into REDIS_URL, or raise `databases`; many a cluster has 0 alone.",
    ),
    "not allowed in cluster mode": (CLUSTER, NO_CLUSTER),  # of a database other than 0, before anything can be asked
    "max number of clients reached": ("it takes no more clients", "See who holds so many connections, and maxclients."),
    "unknown command": (
        "it does not know a command",
        "See that REDIS_URL names no Sentinel (that is sentinel://), and that no command is switched off there.",
    ),
}
"""By a part of the text, where there is no first word of its own."""

_OVERLONG = "something that lies there is longer than anything that a worker writes"
_WHO_WRITES = "A worker drops it. See who else can write to this Redis."
_DEMOTED = "previous master is now a slave"
"""What redis-py makes of READONLY where Sentinels name the primary."""


def unavailable(error: Exception) -> QueueUnavailable:
    """What to say of an error of Redis."""
    if isinstance(error, ReplyTooLong):
        return QueueOverlong(f"Redis cannot be used: {_OVERLONG}", hint=f"{_WHO_WRITES} {NOTHING_LOST}")
    why, hint = _meaning(error)
    return QueueUnavailable(f"Redis cannot be used: {why}", hint=f"{hint} {NOTHING_LOST}")


def first_word(error: Exception) -> str:
    """Redis' own word for an error, such as READONLY; empty where it has none that is known here.

    It need not stand first: redis-py and scripts put their own words before it.
    """
    found = _WORDS.search(str(error)) if isinstance(error, redis.RedisError) else None
    status = getattr(error, "status_code", None)
    return str(status) if status in _MEANINGS else found[1] if found else ""


def _meaning(error: Exception) -> tuple[str, str]:
    word = first_word(error)
    if word:
        why, hint = _MEANINGS[word]
        return f"{why} ({word})", hint
    text = str(error)
    if isinstance(error, MasterNotFoundError):
        return "no Sentinel names a primary that runs", "See that the Sentinels answer, and that master_name is theirs."
    if isinstance(error, redis.ConnectionError) and _DEMOTED in text:
        return _MEANINGS["READONLY"]
    if isinstance(error, redis.RedisError):
        for part, meaning in _TEXTS.items():
            if part in text:
                return meaning
    return _of_connection(error), "See that Redis runs, takes writes and is reached by REDIS_URL."


def _of_connection(error: Exception) -> str:
    """Why there is no answer; the system's own words quote nothing."""
    kind = type(error).__name__
    cause = error if isinstance(error, OSError) else error.__cause__ or error.__context__
    if isinstance(error, redis.TimeoutError | TimeoutError) or isinstance(cause, TimeoutError):
        return f"it does not answer in time ({kind})"
    if isinstance(cause, socket.gaierror):
        return f"the name of its machine is not known here ({kind})"
    text = getattr(cause, "verify_message", "") or (cause.strerror if isinstance(cause, OSError) else "")
    return f"{text} ({kind})" if text else kind
