"""What ``rotator check`` found of one thing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from worker.errors import RotatorError
from worker.settings.proxies import Proxy


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line: what was looked at, how it is, and what to do. A warning does not stop rotations."""

    check: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    hint: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        ok = self.state != "failed"
        return {"check": self.check, "ok": ok, "state": self.state, "detail": self.detail, "hint": self.hint}


def failed(check: str, error: RotatorError) -> Verdict:
    """What an error says of the thing that was looked at."""
    suffix = f" (requestId {error.request_id})" if error.request_id else ""
    return Verdict(check, "failed", f"{error.what}{suffix}", error.hint)


def by_way_of(proxy: Proxy | None, verdict: Verdict) -> Verdict:
    """The same, with the proxy that led to it named, if there is one."""
    return replace(verdict, detail=f"{verdict.detail}; by way of the proxy {proxy}") if proxy else verdict
