"""A target's keys as bars from birth to death, in as many lanes as lived at once. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.cli.report_html import Html, tag, text
from worker.cli.report_tables import stamp
from worker.rotation.evidence.keys import KeyLife
from worker.rotation.evidence.report import Period

WIDTH = 1000.0
LANE = 16
BAR = 12
THINNEST = 1.5
"""Of a bar, so that a short life is seen at all."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One part of a key's life, from one moment to another."""

    kind: str
    since: datetime
    until: datetime


def timeline(keys: Sequence[KeyLife], period: Period) -> Html:
    """The drawing, with the period's ends below it."""
    placed, lanes = _placed(keys, period)
    bars = (_drawn(key, lane, period) for key, lane in placed)
    height = max(1, lanes) * LANE + 4
    drawing = tag(
        "svg",
        *bars,
        viewBox=f"0 0 {WIDTH:.0f} {height}",
        height=height,
        preserveAspectRatio="none",
        role="img",
        aria_label=f"the lives of {len(keys)} keys",
    )
    middle = period.since + (period.until - period.since) / 2
    ends = (tag("span", text(_short(each))) for each in (period.since, middle, period.until))
    return Html(drawing + tag("div", *ends, class_="axis"))


def parts(key: KeyLife, until: datetime) -> Iterator[Bar]:
    """What a key was, one after another, up to a moment."""
    end = min(key.ended_at or until, until)
    gone, replaced = min(key.deleted_at or end, end), min(key.replaced_at or key.deleted_at or end, end)
    published = min(key.published_at or replaced, replaced)
    born = min(key.first_seen or published, published)
    for kind, since, later in (
        ("waiting", born, published),
        ("current", published, replaced),
        ("grace", replaced, gone),
        ("dying", gone, end),
    ):
        if since < later:
            yield Bar(kind, since, later)


def _placed(keys: Sequence[KeyLife], period: Period) -> tuple[list[tuple[KeyLife, int]], int]:
    """Each key in the first lane that is free when it is born."""
    free: list[datetime] = []
    placed = []
    for key in sorted(keys, key=lambda each: each.first_seen or period.since):
        born = key.first_seen or period.since
        lane = next((place for place, since in enumerate(free) if since <= born), len(free))
        free[lane : lane + 1] = [key.ended_at or period.until]
        placed.append((key, lane))
    return placed, len(free)


def _drawn(key: KeyLife, lane: int, period: Period) -> Html:
    inside = [bar for bar in parts(key, period.until) if bar.until > period.since]
    rects = (_rect(bar, lane, period) for bar in inside)
    return tag("g", tag("title", text(_title(key))), *rects)


def _rect(bar: Bar, lane: int, period: Period) -> Html:
    since = _place(max(bar.since, period.since), period)
    width = max(_place(bar.until, period) - since, THINNEST)
    left = min(since, WIDTH - width)
    return tag(
        "rect",
        class_=bar.kind,
        x=f"{left:.2f}",
        y=lane * LANE + (LANE - BAR) // 2 + 2,
        width=f"{width:.2f}",
        height=BAR,
    )


def _place(at: datetime, period: Period) -> float:
    whole = (period.until - period.since) / timedelta(seconds=1)
    return (at - period.since) / timedelta(seconds=1) / whole * WIDTH if whole else 0.0


def _title(key: KeyLife) -> str:
    said = [f"{key.access_key}: {key.state}"]
    said += [f"{what} {stamp(at)}" for what, at in _moments(key) if at]
    return ", ".join(said)


def _moments(key: KeyLife) -> tuple[tuple[str, datetime | None], ...]:
    return (
        ("born", key.born_at),
        ("published", key.published_at),
        ("replaced", key.replaced_at),
        ("deleted", key.deleted_at),
        ("dead", key.dead_at),
    )


def _short(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
