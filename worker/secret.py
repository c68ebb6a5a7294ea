"""A secret that cannot be printed by accident."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret value; its ``repr`` and ``str`` show stars, and only :meth:`reveal` hands it out."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """The value itself, for the one call that needs it."""
        return self._value

    def __str__(self) -> str:
        """Stars."""
        return "***"

    def __repr__(self) -> str:
        """Stars."""
        return "Secret(***)"


def is_one_word(text: str) -> bool:
    """Whether a text is one word of visible ASCII: what else there is cannot be sent in a header."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text
