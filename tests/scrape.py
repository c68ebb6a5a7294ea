"""What a scrape says, by prometheus-client's own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


def value(text: str, line: str) -> float | None:
    """The value of one series, as a line of a scrape names it (without the prefix); None where it is not there.

    In whatever order its labels stand.
    """
    wanted = _samples(f"rotator_{line} 0\n").popitem()[0]
    return _samples(text).get(wanted)


def _samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
