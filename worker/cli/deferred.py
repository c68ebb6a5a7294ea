"""requests, not loaded before it is used, and by us it never is.

hvac imports it at its top for the session of its own adapter; ours takes its place
(:mod:`worker.adapters.vault.adapter`). With urllib3 and charset_normalizer it is a fifth of the time that ``rotator
status TARGET`` takes.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

_STOOD_FOR = ("requests", "requests.exceptions")


def defer_requests() -> None:
    """Stand something in its place that loads it at its first use; does nothing once it is loaded."""
    for name in _STOOD_FOR:
        sys.modules.setdefault(name, _Deferred(name))


class _Deferred(ModuleType):
    """A module until something of it is asked for."""

    def __getattr__(self, name: str) -> object:
        if name == "Response":
            return object  # hvac names it in an annotation
        if name.startswith("__") and name != "__path__":  # the import system asks for __path__ to load a part of it
            raise AttributeError(name)
        for each in _STOOD_FOR:
            if isinstance(sys.modules.get(each), _Deferred):
                del sys.modules[each]
        return getattr(importlib.import_module(self.__name__), name)
