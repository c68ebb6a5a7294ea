"""Texts from outside, as they may be shown: nothing in them moves a cursor, begins a line or turns one round."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text with everything spelled out that is no letter, sign or space: ``\n``, ``\x1b``, ``\u202e``.

    That is what Unicode calls control, format (which turns the direction of writing, or has no width), surrogate,
    private, unassigned, and separators other than the space.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def printable_json(text: str) -> str:
    r"""A JSON text with the same spelled out as JSON does (``\u009b``), but for the ends of its own lines."""
    return "\n".join(map(_line, text.split("\n")))


def _line(line: str) -> str:
    return line if line.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in line)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place] << 8 | units[place + 1]:04x}" for place in range(0, len(units), 2))
