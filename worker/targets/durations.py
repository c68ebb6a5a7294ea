"""Durations as people write them: ``30d``, ``12h``, ``1h30m``."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(days=400)

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SUM = re.compile("".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS))
_ALLOWED = 'allowed are "1s" to "400d" in the units w, d, h, m, s, such as "30d", "12h" or "1h30m"'


@lru_cache(maxsize=1024)
def parse_duration(text: str) -> timedelta:
    """Read a duration: whole numbers with their units, the larger unit first, each at most once.

    Raises ValueError, in words that follow the setting's name.
    """
    found = _SUM.fullmatch(text)
    if found is None or not text:
        raise ValueError(f"is not a duration; {_ALLOWED}")
    parts = zip(found.groups(default="0"), _UNITS.values(), strict=True)
    seconds = sum(int(number) * unit for number, unit in parts)
    if not SHORTEST.total_seconds() <= seconds <= LONGEST.total_seconds():
        raise ValueError(f"is out of range; {_ALLOWED}")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Write a duration of whole seconds the way :func:`parse_duration` reads it: ``1h30m``; ``0s`` for none."""
    left = int(duration.total_seconds())
    text = ""
    for unit, seconds in _UNITS.items():
        if unit == "w":
            continue  # 30d says more than 4w2d
        number, left = divmod(left, seconds)
        text += f"{number}{unit}" if number else ""
    return text or "0s"
