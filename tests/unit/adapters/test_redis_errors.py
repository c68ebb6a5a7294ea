"""What Redis says no with is told in words, with its own first word; and nothing of what was asked."""

from __future__ import annotations

import socket
import ssl

import pytest
import redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from worker.adapters.redis.errors import unavailable


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "told", "advice"),
    [
        (ReadOnlyError("You can't write against a read only replica.", status_code="READONLY"), "replica", "primary"),
        (OutOfMemoryError("command not allowed", status_code="OOM"), "out of memory", "maxmemory"),
        (ResponseError("MISCONF Redis is configured to save RDB snapshots"), "(MISCONF)", "disk"),
        (NoPermissionError("CANARY has no permissions", status_code="NOPERM"), "(NOPERM)", "~rotator:*"),
        (AuthenticationError("invalid", status_code="WRONGPASS"), "refuses this user or password", "REDIS_URL"),
        (AuthenticationError("Authentication required.", status_code="NOAUTH"), "wants a password", "REDIS_URL"),
        (BusyLoadingError("loading", status_code="LOADING"), "loading", "Wait"),
        (ClusterCrossSlotError("Keys don't hash", status_code="CROSSSLOT"), "it is a cluster", "no cluster"),
        (MovedError("3999 127.0.0.1:6381", status_code="MOVED"), "it is a cluster", "no cluster"),
        (ResponseError("WRONGTYPE Operation against CANARY"), "another type", "anew"),
        (ResponseError("NOREPLICAS Not enough good replicas"), "(NOREPLICAS)", "min-replicas"),
        (ResponseError("Command # 1 (ZADD CANARY) of pipeline caused error: MISCONF Redis"), "(MISCONF)", "disk"),
        (ResponseError("Error running script CANARY: @user_script:1: -READONLY You can't"), "(READONLY)", "primary"),
        (ResponseError("DB index is out of range"), "no database of that number", "databases"),
        (redis.ConnectionError("max number of clients reached"), "no more clients", "maxclients"),
        (redis.TimeoutError("Timeout reading from CANARY"), "does not answer in time", "REDIS_URL"),
        (caused(redis.ConnectionError("CANARY"), ConnectionRefusedError(111, "Connection refused")), "refused", "runs"),
        (caused(redis.ConnectionError("CANARY"), socket.gaierror(-2, "Name or service not known")), "name", "REDIS"),
        (caused(redis.ConnectionError("CANARY"), ssl.SSLError(1, "WRONG_VERSION_NUMBER")), "WRONG_VERSION", "REDIS"),
        (ResponseError("unknown command 'CANARY'"), "does not know a command", "sentinel://"),
        (ResponseError("SELECT is not allowed in cluster mode"), "it is a cluster", "no cluster"),
        (ResponseError("CANARY"), "ResponseError", "REDIS_URL"),
        (OSError(113, "No route to host"), "No route to host", "REDIS_URL"),
        (redis.ConnectionError("CANARY"), "ConnectionError", "REDIS_URL"),
    ],
)
def test_an_error_of_redis_says_what_it_is_and_what_to_do(error: Exception, told: str, advice: str) -> None:
    found = unavailable(error)
    assert found.what.startswith("Redis cannot be used: ")
    assert told in found.what
    assert advice in found.hint
    assert "Nothing is lost" in found.hint
    assert "CANARY" not in f"{found.what} {found.hint}"
