"""What Redis keeps of a target after a look, to answer quickly. Made from the record; holds no secret."""

from __future__ import annotations

from worker.adapters.redis.queue import IndexEntry
from worker.rotation.reconcile import LookResult
from worker.rotation.status import summarize


def entry(looked: LookResult) -> IndexEntry:
    """What the index keeps after a look."""
    return IndexEntry(looked.record.target, summarize(looked.record, looked.due), looked.touched, looked.next_look)
