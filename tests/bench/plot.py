"""The plot: bars for rotations per second and for CPU per rotation, as an SVG that needs nothing but a browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

WIDTH, HEIGHT = 460, 260
LEFT, TOP, BOTTOM = 56, 48, 40
COLOURS = ("#1f6f8b", "#e07a3f", "#8a8a8a", "#b9b9b9")
TEXT = {"font-family": "sans-serif", "font-size": "12", "fill": "#222"}
GRID_LINES = 4


@dataclass(frozen=True, slots=True)
class Chart:
    """Groups of bars: for each group as many values as there are ``series``; None leaves a bar out."""

    title: str
    unit: str
    groups: Sequence[str]
    series: Sequence[str]
    values: Sequence[Sequence[float | None]]


def draw(charts: Sequence[Chart], file: Path, columns: int = 2) -> None:
    """Write all charts into one picture, two beside each other, with one legend above."""
    rows = -(-len(charts) // columns)
    root = ET.Element("svg", _size(columns * WIDTH, rows * HEIGHT + TOP) | {"xmlns": "http://www.w3.org/2000/svg"})
    ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": "white"})
    _legend(root, charts[0].series if charts else ())
    for place, chart in enumerate(charts):
        x, y = place % columns * WIDTH, place // columns * HEIGHT + TOP // 2
        _chart(ET.SubElement(root, "g", {"transform": f"translate({x} {y})"}), chart)
    ET.indent(root)
    ET.ElementTree(root).write(file, encoding="unicode")


def _size(width: float, height: float) -> dict[str, str]:
    return {"width": f"{width:g}", "height": f"{height:g}"}


def _legend(parent: ET.Element, series: Sequence[str]) -> None:
    for number, name in enumerate(series):
        x = LEFT + number * 160
        ET.SubElement(parent, "rect", {"x": str(x), "y": "10", "fill": COLOURS[number], **_size(12, 12)})
        _text(parent, x + 18, 20, name)


def _chart(parent: ET.Element, chart: Chart) -> None:
    _text(parent, LEFT, 34, f"{chart.title} ({chart.unit})", weight="bold")
    height, width = HEIGHT - TOP - BOTTOM, WIDTH - LEFT - 20
    top = max((value for group in chart.values for value in group if value), default=1.0)
    for line in range(GRID_LINES + 1):
        y = TOP + height * (1 - line / GRID_LINES)
        ends = {"x1": str(LEFT), "x2": str(LEFT + width), "y1": f"{y:g}", "y2": f"{y:g}"}
        ET.SubElement(parent, "line", {**ends, "stroke": "#ddd"})
        _text(parent, LEFT - 6, y + 4, f"{top * line / GRID_LINES:.3g}", anchor="end")
    slot = width / max(len(chart.groups), 1)
    for place, (name, values) in enumerate(zip(chart.groups, chart.values, strict=True)):
        x = LEFT + place * slot
        _bars(parent, values, (x + slot * 0.1, TOP + height), (slot * 0.8, height / top))
        _text(parent, x + slot / 2, HEIGHT - BOTTOM + 16, name, anchor="middle")


def _bars(
    parent: ET.Element, values: Sequence[float | None], corner: tuple[float, float], scale: tuple[float, float]
) -> None:
    (x, y), (whole, factor) = corner, scale
    width = whole / max(len(values), 1)
    for number, value in enumerate(values):
        if value is None:
            continue
        height, left = value * factor, x + number * width
        bar = {"x": f"{left:.1f}", "y": f"{y - height:.1f}", "fill": COLOURS[number], **_size(width - 2, height)}
        ET.SubElement(parent, "rect", bar)
        _text(parent, left + width / 2 - 1, y - height - 3, f"{value:.3g}", anchor="middle", size="9")


def _text(
    parent: ET.Element,
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    weight: str = "normal",
    size: str = "",
) -> None:
    look = {**TEXT, "text-anchor": anchor, "font-weight": weight, "x": f"{x:.1f}", "y": f"{y:.1f}"}
    ET.SubElement(parent, "text", look | ({"font-size": size} if size else {})).text = text
