"""The address of Redis: whether it may be used, and which password is in it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from worker.secret import Secret

_SCHEMES = ("redis", "rediss", "unix")


def redis_problem(url: Secret) -> str | None:
    """What is wrong with an address of Redis, in words that follow its name; None when nothing is.

    ``rediss://`` without ``ssl_cert_reqs=required`` would accept any certificate (docs/facts.md, "Celery on Redis").
    """
    try:
        parts = urlsplit(url.reveal())
        _ = parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in _SCHEMES:
        return "must begin with redis://, rediss:// or unix://"
    if parts.fragment:
        return "must not hold a #; in a password write it %23"
    if parts.scheme == "unix":
        return None if parts.path.strip("/") else "names no socket"
    return _host_problem(parts) or (_tls_problem(parse_qs(parts.query)) if parts.scheme == "rediss" else None)


def redis_passwords(url: Secret) -> tuple[Secret, ...]:
    """The password in an address of Redis, as written and as meant; for redaction."""
    parts = urlsplit(url.reveal())
    written = [parts.password or "", *parse_qs(parts.query).get("password", [])]
    return tuple(Secret(value) for value in dict.fromkeys((*written, *map(unquote, written))) if value)


def for_celery(url: Secret) -> Secret:
    """The same address in Celery's words: it knows a socket as ``redis+socket://``, and a database by another name."""
    parts = urlsplit(url.reveal())
    if parts.scheme != "unix":
        return url
    query = parse_qs(parts.query)
    password = parts.password or quote(query.get("password", [""])[0], safe="")
    login = f"{parts.username or ''}:{password}@" if password else ""
    return Secret(f"redis+socket://{login}{parts.path}?virtual_host={query.get('db', ['0'])[0]}")


def _host_problem(parts: SplitResult) -> str | None:
    if not parts.hostname:
        return "names no host"
    database = parts.path.strip("/")
    if database and not database.isdecimal():
        return "must have the number of a database behind the host, such as /0, or nothing"
    return None


def _tls_problem(query: Mapping[str, list[str]]) -> str | None:
    if query.get("ssl_cert_reqs") != ["required"]:
        return "must check the server's certificate: add ssl_cert_reqs=required to it"
    if query.get("ssl_check_hostname", ["true"])[0].lower() != "true":
        return "must check the server's name: leave ssl_check_hostname out"
    return None
