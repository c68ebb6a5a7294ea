"""Values of the HostUp API are checked where they enter; each problem is a sentence of its own.

No sentence quotes the value: it may be a secret that stands at the wrong place.
"""

from __future__ import annotations

LONGEST_NAME = 128
"""Characters of an access key or a requestId; S3 access keys have 16 to 128, a requestId is a UUID."""

SHORTEST_SECRET = 16
LONGEST_SECRET = 256
"""Characters; S3 secrets have 40."""

LARGEST_COUNT = 10**9

ONCE = ("data", "key", "accessKey", "secretKey", "label")
"""The names that may stand once only: with two of them nobody can say which counts."""

SHORTEST_PART = 8
"""Characters of a secret that say something of it when they stand elsewhere."""


def key_name_problem(value: object) -> str | None:
    """Why the value cannot be an access key; None when it can."""
    return _name_problem("access key", value)


def request_id_problem(value: object) -> str | None:
    """Why the value cannot be a requestId; None when it can, and for None: errors may come without one."""
    return None if value is None else _name_problem("requestId", value)


def secret_problem(value: object) -> str | None:
    """Why the value cannot be a secret key; None when it can."""
    problem = _text_problem("secret key", value)
    if problem or not isinstance(value, str):
        return problem
    if len(value) < SHORTEST_SECRET:
        return f"The secret key has fewer than {SHORTEST_SECRET} characters."
    if len(value) > LONGEST_SECRET:
        return f"The secret key has more than {LONGEST_SECRET} characters."
    return None


def count_problem(value: object) -> str | None:
    """Why the value cannot be a number of keys; None when it can, and for None: the field may be missing."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        return "The keyCount is not a whole number."
    if value < 0:
        return "The keyCount is negative."
    if value > LARGEST_COUNT:
        return f"The keyCount is above {LARGEST_COUNT}."
    return None


def _name_problem(what: str, value: object) -> str | None:
    problem = _text_problem(what, value)
    if problem or not isinstance(value, str):
        return problem
    if value in (".", ".."):
        return f"The {what} is a dot or two, which a path takes for another page."
    if len(value) > LONGEST_NAME:
        return f"The {what} has more than {LONGEST_NAME} characters."
    return None


def _text_problem(what: str, value: object) -> str | None:
    if not isinstance(value, str):
        return f"The {what} is not a text."
    if not value:
        return f"The {what} is empty."
    if any(char.isspace() for char in value):
        return f"The {what} holds blanks or line ends."
    if not value.isprintable():
        return f"The {what} holds control characters."
    return None
