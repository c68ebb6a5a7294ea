"""Whether a whole JSON object has arrived, whatever else is wrong with the response; pure."""

from __future__ import annotations

import re

from worker.adapters.hostup.head import read_head
from worker.adapters.hostup.lenient import Ending, read_object
from worker.adapters.hostup.unwrap import texts, unwrapped

_BEGINS = re.compile(r'\{\s*+(?=["}])')


def holds_whole_object(raw: bytes) -> bool:
    """Whether the body in all that was received so far holds an object from its first brace to its last.

    Only the first brace counts that can begin an object: one further inside would be whole before the document is. A
    header may hold JSON, too, and is not looked at. Never fails; the time is linear.
    """
    head = read_head(raw)
    for body in unwrapped(raw, head):
        text, _ = next(texts(body))
        begins = _BEGINS.search(text)
        if begins and read_object(text, begins.start()).ending is Ending.WHOLE:
            return True
    return False
