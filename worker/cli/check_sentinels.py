"""Whether the Sentinels that REDIS_URL names answer, and know the set."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from worker.adapters.redis.errors import unavailable
from worker.adapters.redis.sentinels import each_sentinel
from worker.cli.verdicts import Verdict
from worker.settings.redis_url import RedisAddress


def look(address: RedisAddress) -> Iterator[Verdict]:
    """One verdict on all of them; nothing where Redis is named itself. Whether the primary answers is judged apart."""
    behind = address.sentinels
    if behind is None:
        return
    found = [(place, _problem(client, behind.master)) for place, client in each_sentinel(address)]
    wrong = [f"{place}: {problem}" for place, problem in found if problem]
    there = len(behind.places) - len(wrong)
    if wrong:
        hint = "See that they run, and that REDIS_URL names them as they are." if there else "None is left to ask."
        yield Verdict("Sentinels", "warning" if there else "failed", "; ".join(wrong), hint)
    else:
        yield Verdict("Sentinels", "ok", f"{there} answer and know {behind.master}")


def _problem(client: redis.Redis, master: str) -> str:
    """What is wrong with one; empty when nothing is."""
    with client:
        try:
            known = client.sentinel_get_master_addr_by_name(master)
        except (redis.RedisError, OSError) as error:
            return unavailable(error).what.partition(": ")[2]
    return "" if known else f"knows no set {master}"
