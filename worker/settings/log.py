"""``[log]``: how much a worker logs, and in which form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel

from worker.settings.problems import show_text
from worker.settings.values import STRICT

Level = Literal["debug", "info", "warning", "error"]
Form = Literal["auto", "json", "text"]


def _one_of(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value in allowed:
            return value
        raise ValueError(f"{show_text(value)} is not known; allowed are {', '.join(allowed)}")

    return check


class LogSettings(BaseModel):
    """``[log]``. ``level``: what is less grave is left out. ``format``: auto is text on a terminal, else JSON."""

    model_config = STRICT

    level: Annotated[str, AfterValidator(_one_of(get_args(Level)))] = "info"
    format: Annotated[str, AfterValidator(_one_of(get_args(Form)))] = "auto"
