"""The alerts and the board, as files; and which series there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.service.metrics.own import COUNTERS, HISTOGRAMS
from worker.service.metrics.series import PREFIX, SHARED, TARGETS
from worker.service.pages import OWN

CONFIG = Path(__file__).parents[2] / "config"
ALERTS = CONFIG / "prometheus" / "alerts.yaml"
BOARD = CONFIG / "grafana" / "rotator.json"

_ALERT = re.compile(r"^ +- alert: (\w+)\n +expr: (.+)\n +for: (\w+)\n((?: {8}.*\n)+)", re.MULTILINE)
_ANNOTATION = re.compile(r'^ +(summary|description|runbook_url): "?(.*?)"?$', re.MULTILINE)
_NAME = re.compile(rf"\b{PREFIX}\w+")
_HISTOGRAM = re.compile(r"_(?:bucket|sum|count)$")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; its file has one line for each expression, so that no reader of YAML is needed."""

    name: str
    expression: str
    annotations: dict[str, str]


def alerts() -> tuple[Alert, ...]:
    found = _ALERT.findall(ALERTS.read_text("utf-8"))
    return tuple(Alert(name, expression, dict(_ANNOTATION.findall(rest))) for name, expression, _, rest in found)


def queries() -> Iterator[tuple[str, str]]:
    """Every query of the board, with its panel's title."""
    board = json.loads(BOARD.read_text("utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield str(panel["title"]), str(target["expr"])


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(BOARD.read_text("utf-8"))["panels"]
    return found


def exported() -> set[str]:
    """The names of all series that a worker exports; of a histogram the one that its three series begin with."""
    return {
        *(PREFIX + name for name in (*SHARED, *TARGETS, *OWN, *HISTOGRAMS)),
        *(f"{PREFIX}{name}_total" for name in COUNTERS),
    }


def named(text: str) -> set[str]:
    """The names of series in a text."""
    histograms = {PREFIX + name for name in HISTOGRAMS}
    return {short if (short := _HISTOGRAM.sub("", name)) in histograms else name for name in _NAME.findall(text)}
