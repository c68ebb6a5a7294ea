"""The index: what was last seen of each target, and which target an id belongs to. Made from the records; no secrets.

It answers quickly what Vault could answer, too: ``rotator status`` of all targets, and where ``rotator trace`` looks
first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import redis

from worker.adapters.redis.client import batches, guard, raw
from worker.adapters.redis.documents import Documents
from worker.adapters.redis.keys import DUE, IDS, IDS_OF, PLANS, SUMMARY, VERSIONS, lock, woken
from worker.adapters.redis.locks import Hold, as_seen, seen_text
from worker.adapters.redis.reading import Summary, as_written, checked
from worker.rotation.ports import NOTHING_SEEN, Seen

IDS_OF_A_TARGET = 12
"""The bound on ids: so many for each configured target, those of its newest two or three rotations.

With 100,000 targets all of Redis then takes 215 MB (measured in November 2026 with Valkey 9.1.2), and the compose file
allows 256. Older ids are found in Vault, only not as quickly.
"""

LONGEST_ID = 128
"""HostUp's and Celery's ids are a third of that; one that is longer is not indexed."""

_IDS_OF = """
local function ids_of(target)
  local read, ids = pcall(cjson.decode, redis.call('HGET', KEYS[3], target) or '[]')
  local found = {}
  for _, id in ipairs(read and type(ids) == 'table' and ids or {}) do
    if type(id) == 'string' then found[#found + 1] = id end
  end
  return found
end
"""
"""The ids that are kept of a target; none where something else than a list of them was written there."""

_KEEP = (
    _IDS_OF
    + """
local function keep(target, summary, added)
  redis.call('HSET', KEYS[1], target, summary)
  if #added == 0 then return end
  local kept, is_kept, fields = {}, {}, {}
  for i, id in ipairs(added) do
    kept[i], is_kept[id] = id, true
    fields[2 * i - 1], fields[2 * i] = id, target
  end
  redis.call('HSET', KEYS[2], unpack(fields))
  for _, id in ipairs(ids_of(target)) do
    if not is_kept[id] then
      if #kept < tonumber(ARGV[1]) then
        kept[#kept + 1], is_kept[id] = id, true
      elseif redis.call('HGET', KEYS[2], id) == target then
        redis.call('HDEL', KEYS[2], id)
      end
    end
  end
  redis.call('HSET', KEYS[3], target, cjson.encode(kept))
end
"""
)
"""Keep a summary, and the newest ids: those that are added (newest first), then those that were there."""

_FINISH_LOOK = (
    _KEEP
    + """
keep(ARGV[2], ARGV[3], cjson.decode(ARGV[4]))
local last = redis.call('TYPE', KEYS[5]).ok == 'string' and redis.call('GET', KEYS[5]) or ''
redis.call('ZADD', KEYS[4], last == ARGV[5] and ARGV[6] or 0, ARGV[2])
redis.call('HSET', KEYS[7], ARGV[2], ARGV[8])
if redis.call('TYPE', KEYS[6]).ok == 'string' and redis.call('GET', KEYS[6]) == ARGV[7] then
  redis.call('DEL', KEYS[6])
end
redis.call('HSET', KEYS[8], ARGV[2], ARGV[9])
"""
)

_REFRESH = (
    _KEEP
    + """
local changed = 0
for i = 2, #ARGV, 3 do
  local target, summary, added = ARGV[i], ARGV[i + 1], cjson.decode(ARGV[i + 2])
  local differs = redis.call('HGET', KEYS[1], target) ~= summary
  differs = differs or #added > 0 and redis.call('HEXISTS', KEYS[3], target) == 0
  if not differs and #added > 0 then
    for _, known in ipairs(redis.call('HMGET', KEYS[2], unpack(added))) do differs = differs or not known end
  end
  if differs then
    keep(target, summary, added)
    changed = changed + 1
  end
end
return changed
"""
)
"""Keep what is missing or has changed; compared there, so that nothing that was written there has to be read."""

_FORGET = (
    _IDS_OF
    + """
for _, target in ipairs(ARGV) do
  for _, id in ipairs(ids_of(target)) do
    if redis.call('HGET', KEYS[2], id) == target then redis.call('HDEL', KEYS[2], id) end
  end
  redis.call('HDEL', KEYS[3], target)
  redis.call('HDEL', KEYS[1], target)
  redis.call('HDEL', KEYS[4], target)
  redis.call('HDEL', KEYS[5], target)
end
"""
)

_KEYS = [SUMMARY, IDS, IDS_OF]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """What the index keeps of a target: a summary for ``rotator status``, ids (oldest first) for ``rotator trace``.

    ``plan`` is the digest of the configuration that a look went by (:meth:`worker.targets.target.Target.plan`).
    """

    target: str
    summary: Mapping[str, object]
    ids: Sequence[str]
    plan: str = ""


class Index:
    """Summaries and ids. All methods raise QueueUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._finish_look = client.register_script(_FINISH_LOOK)
        self._refresh = client.register_script(_REFRESH)
        self._forget = client.register_script(_FORGET)
        self._summaries = Documents(client, SUMMARY)

    @guard()
    def finish_look(self, entry: IndexEntry, next_look: datetime, hold: Hold, seen: Seen = NOTHING_SEEN) -> None:
        """Keep what a look found, note when the next one is due, and release the hold: in one call.

        A target that was woken since the hold began is due before all else. ``seen`` is kept of the record.
        """
        self._finish_look(
            keys=[*_KEYS, DUE, woken(entry.target), lock(entry.target), PLANS, VERSIONS],
            args=[
                IDS_OF_A_TARGET,
                *_arguments(entry),
                hold.woken,
                next_look.timestamp(),
                hold.token,
                entry.plan,
                seen_text(seen),
            ],
        )

    @guard()
    def refresh(self, entries: Iterable[IndexEntry]) -> int:
        """Write those entries that are missing or have changed; how many. A call for each batch."""
        changed = 0
        for batch in batches(entries):
            arguments = [argument for entry in batch for argument in _arguments(entry)]
            changed += int(self._refresh(keys=_KEYS, args=[IDS_OF_A_TARGET, *arguments]))
        return changed

    @guard()
    def forget(self, targets: Iterable[str]) -> None:
        """Drop all that is kept of targets that are no longer configured."""
        for batch in batches(targets):
            self._forget(keys=[*_KEYS, PLANS, VERSIONS], args=[*map(raw, batch)])

    @guard()
    def parts(self) -> int:
        """How many of the keys are there that :meth:`refresh` fills."""
        return int(str(self._client.exists(*_KEYS)))

    @guard()
    def changed_plans(self, plans: Mapping[str, str]) -> list[str]:
        """The targets whose last look went by another plan than this; none that was never looked at."""
        changed = []
        for batch in batches(plans.items()):
            known = self._client.hmget(PLANS, [name for name, _ in batch])
            changed += [name for (name, plan), last in zip(batch, known, strict=True) if last and last != plan]
        return changed

    @guard()
    def forget_version(self, target: str) -> None:
        """Drop the highest version that was seen of a target's record: a person had it made anew."""
        self._client.hdel(VERSIONS, target)

    def seen_version(self, target: str) -> int:
        """The version of a target's record that a worker saw last; 0 where that is not known."""
        try:
            return as_seen(self._client.hget(VERSIONS, target)).version
        except (redis.RedisError, OSError):
            return 0

    @guard()
    def target_of(self, identifier: str) -> str | None:
        """The target that a requestId, a rotation id or an access key belongs to, if the index knows."""
        if not identifier.isascii():
            return None
        found = self._client.hget(IDS, identifier)
        return found if isinstance(found, str) and found.isascii() and found.isprintable() else None

    @guard()
    def ids_of(self, targets: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The ids that are kept of each target, of any kind, newest first."""
        found: dict[str, tuple[str, ...]] = {}
        for batch in batches(targets):
            kept = self._client.hmget(IDS_OF, list(map(raw, batch)))
            found |= {name: _ids(text) for name, text in zip(batch, kept, strict=True)}
        return found

    @guard()
    def summary(self, target: str) -> dict[str, object] | None:
        """One target's summary; None where there is none, or one of another form."""
        return next((as_written(found) for _, found in _checked(self._summaries.of([target]))), None)

    @guard()
    def summaries_of(self, targets: Iterable[str]) -> dict[str, Summary]:
        """The summaries of these targets that have our form. A call for each batch."""
        return dict(_checked(self._summaries.of(targets)))

    @guard()
    def summaries(self) -> dict[str, dict[str, object]]:
        """All summaries that have our form."""
        return {name: as_written(found) for name, found in _checked(self._summaries.all())}


def _ids(text: object) -> tuple[str, ...]:
    """The ids that are kept of a target; none where something else than a list of them was written there."""
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return ()
    known = found if isinstance(found, list) else []
    return tuple(each for each in known if isinstance(each, str) and each.isascii() and each.isprintable())


def _checked(texts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Summary]]:
    """Of these those that have our form, and are of the target by whose name they lie there."""
    for name, text in texts:
        summary = checked(Summary, text)
        if summary and summary.target == name:
            yield name, summary


def _arguments(entry: IndexEntry) -> tuple[str, str, str]:
    """An entry as the scripts take it."""
    return entry.target, json.dumps(entry.summary), json.dumps(_newest(entry.ids))


def _newest(ids: Sequence[str]) -> list[str]:
    """The newest ids that are kept, newest first."""
    usable = (each for each in reversed(ids) if len(each) <= LONGEST_ID and each.isascii())
    return list(dict.fromkeys(usable))[:IDS_OF_A_TARGET]
