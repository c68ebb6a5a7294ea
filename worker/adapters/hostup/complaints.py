"""What an answer of HostUp, or of a gateway in front of it, complains of, in whatever shape it says so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from worker.adapters.http.messages import Response

MOST = 5
"""Complaints of one answer that are shown."""

_TEXTS = ("message", "detail", "title", "description", "error_description", "reason", "msg")
_LISTS = ("error", "errors", "violations", "invalid-params")
_FIELDS = ("field", "name", "path", "property", "param")
_RAY = re.compile(r"[A-Za-z0-9-]{6,64}")


def complaints(document: Mapping[str, object] | None) -> list[str]:
    """The texts of an error: first what is documented (``message``, ``detail``, ``title``), else any usual shape.

    Those are ``error`` as a text or an object, and ``errors`` as a list of either or as texts by the fields' names.
    """
    if not document:
        return []
    said = _text_of(document)
    shown = [document.get(name) for name in _LISTS]
    # the documented form has a short "error" beside its message, which says nothing more
    nested = [text for value in shown if not (said and isinstance(value, str)) for text in _of_value(value)]
    return list(dict.fromkeys([*([said] if said else []), *nested]))[:MOST]


def _of_value(value: object) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield value
    elif isinstance(value, list):
        for each in value[:MOST]:
            yield from _of_value(each)
    elif isinstance(value, dict):
        yield from _of_object(value)


def _of_object(value: Mapping[str, object]) -> Iterator[str]:
    said = _text_of(value)
    if said:
        field = next((str(value[name]) for name in _FIELDS if isinstance(value.get(name), str)), "")
        yield f"{field}: {said}" if field else said
        return
    for name, inner in list(value.items())[:MOST]:
        texts = [inner] if isinstance(inner, str) else inner if isinstance(inner, list) else []
        yield from (f"{name}: {text}" for text in texts[:MOST] if isinstance(text, str) and text.strip())


def _text_of(value: Mapping[str, object]) -> str:
    found = (value.get(name) for name in _TEXTS)
    return next((text for text in found if isinstance(text, str) and text.strip()), "")


def is_page(response: Response) -> bool:
    """Whether this is a web page, which the API never answers: a gateway, a challenge, a maintenance page."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().casefold()
    return kind in ("text/html", "application/xhtml+xml") or response.body.lstrip()[:1] == b"<"


def gateway_of(response: Response) -> str:
    """What names the answer to the gateway's operator: ``cf-ray``, where there is one; empty otherwise."""
    ray = response.headers.get("cf-ray", "").strip()
    return f"cf-ray {ray}" if _RAY.fullmatch(ray) else ""


def blocked_by_gateway(response: Response) -> str:
    """What to do about a page in the place of an answer."""
    gateway = gateway_of(response)
    named = f" Its operator finds the call by {gateway}." if gateway else ""
    return f"A gateway in front of HostUp blocked the call: see that this machine's address is let through.{named}"
