"""An address of Redis behind Sentinels: ``sentinel://LOGIN@HOST:26379/DB;sentinel://HOST:26379?master_name=NAME``.

The form is Celery's, one address for each Sentinel; Celery has the name of the set, and the login to the Sentinels
themselves, in its settings, and here they are options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from worker.secret import Secret

SCHEME = "sentinel"
DEFAULT_PORT = 26379
OPTIONS = ("master_name", "sentinel_username", "sentinel_password")

_FORM = (
    "must be sentinel://HOST:26379;sentinel://HOST:26379?master_name=NAME; in a user or password write ; as %3B, / as "
    "%2F, ? as %3F and # as %23"
)


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Where to ask for the primary of a set, which set it is, and the login that the Sentinels themselves ask for."""

    places: tuple[tuple[str, int], ...]
    master: str
    username: str = ""
    password: Secret = field(default=Secret(""), repr=False)


class SentinelProblem(ValueError):
    """What is wrong with an address of Sentinels, in words that follow the setting's name and quote nothing secret."""


def is_sentinel(url: str) -> bool:
    """Whether this is an address of Sentinels."""
    return url[: len(SCHEME) + 3].lower() == f"{SCHEME}://"


def split(url: str) -> SplitResult:
    """An address in its parts; that of several Sentinels as if there were one, as each says only what others leave out.

    Raises SentinelProblem, and ValueError where it is no URL at all.
    """
    if not is_sentinel(url):
        return urlsplit(url)
    parts = _each(url)
    logins = _said(part.netloc.rpartition("@")[0] for part in parts)
    paths = _said(part.path.strip("/") for part in parts)
    if len(logins) > 1:
        raise SentinelProblem("names two logins before its hosts; leave one of them out")
    if len(paths) > 1:
        raise SentinelProblem("names two databases; leave one of them out")
    host = parts[0].netloc.rpartition("@")[2]
    return SplitResult(
        SCHEME,
        f"{logins[0]}@{host}" if logins else host,
        f"/{paths[0]}" if paths else "",
        "&".join(_said(part.query for part in parts)),
        "".join(part.fragment for part in parts),
    )


def sentinels(url: str, query: Mapping[str, str], host: Callable[[SplitResult, int | None], str]) -> Sentinels | None:
    """The Sentinels of an address; None where it is another one. ``host`` judges each. Raises ValueError."""
    if not is_sentinel(url):
        given = [name for name in OPTIONS if name in query]
        if given:
            raise ValueError(f"has the option {given[0]}, which is for sentinel:// only")
        return None
    places = tuple((host(part, part.port), part.port or DEFAULT_PORT) for part in _each(url))
    master, username, password = (query.get(name, "") for name in OPTIONS)
    if not master:
        raise ValueError("names no set: add master_name=NAME, as the Sentinels call it")
    return Sentinels(places, master, username, Secret(password))


def _each(url: str) -> list[SplitResult]:
    pieces = url.split(";")
    try:
        parts = [urlsplit(piece) for piece in pieces]
        readable = all(map(is_sentinel, pieces)) and all(part.port != 0 for part in parts)
    except ValueError:  # its words would quote what may be a part of a password
        readable = False
    if not readable:
        raise SentinelProblem(_FORM)
    return parts


def _said(texts: Iterable[str]) -> list[str]:
    """What is said at all, each once."""
    return [text for text in dict.fromkeys(texts) if text]
