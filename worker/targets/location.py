"""Where a secret lies: a path, in the mount of ``[vault]`` or in that of a ``[[destination]]``."""

from __future__ import annotations

from dataclasses import dataclass

HOME = ""
"""The destination that ``[vault]`` describes, where the records are, too."""


@dataclass(frozen=True, slots=True)
class Location:
    """A ``path`` in the mount of a destination, named as in ``also``: ``PATH``, or ``NAME:PATH``."""

    path: str
    destination: str = HOME

    @property
    def name(self) -> str:
        """As it stands in ``also``, in the record and in messages."""
        return f"{self.destination}:{self.path}" if self.destination else self.path


def location(name: str) -> Location:
    """The location of this name."""
    destination, separator, path = name.partition(":")
    return Location(path, destination) if separator and "/" not in destination else Location(name)
