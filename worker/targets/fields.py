"""Under which names an app finds the parts of its secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SOURCES = (
    "access_key",
    "secret_key",
    "endpoint",
    "region",
    "label",
    "request_id",
    "rotation_id",
    "created_at",
    "grace_seconds",
    "next_rotation_at",
)
"""Our own names for what an app's secret holds (docs/apps.md)."""

_MAY_LACK = "next_rotation_at"
"""Releases before did not write it, and what they wrote is as much of a map as what this one writes."""


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Pairs of one of our names and the names it goes by in the app's secret (the first is the one read back)."""

    pairs: tuple[tuple[str, tuple[str, ...]], ...]

    def to_secret(self, values: Mapping[str, object]) -> dict[str, object]:
        """The app's secret: every value, given under our names, under the app's names. KeyError when one lacks."""
        return {name: values[source] for source, names in self.pairs for name in names}

    @property
    def names(self) -> frozenset[str]:
        """All of the app's names."""
        return frozenset(name for _, names in self.pairs for name in names)

    def added(self, secret: Mapping[str, object]) -> dict[str, object]:
        """What somebody added to an app's secret that was written with this map.

        Nothing where it was written with another one: then what looks added may be a key under its old name.
        """
        if not self.names - {self.name_of(_MAY_LACK)} <= secret.keys():
            return {}
        ours = self.names.union(*(preset.names for preset in PRESETS.values()))
        return {name: value for name, value in secret.items() if name not in ours}

    def name_of(self, source: str) -> str:
        """The app's name for one of ours. Raises KeyError when ``source`` is none of :data:`SOURCES`."""
        return dict(self.pairs)[source][0]

    def read(self, secret: Mapping[str, object], source: str) -> str | None:
        """What an app's secret holds for one of our names; None when that is missing or not a text."""
        value = secret.get(self.name_of(source))
        return value if isinstance(value, str) else None


def field_map(names: Mapping[str, str | tuple[str, ...]]) -> FieldMap:
    """A map from some of our names; those left out keep their own."""
    pairs = []
    for source in SOURCES:
        name = names.get(source, source)
        pairs.append((source, (name,) if isinstance(name, str) else name))
    return FieldMap(tuple(pairs))


PRESETS: Mapping[str, FieldMap] = {
    "plain": field_map({}),
    # boto3 knows AWS_DEFAULT_REGION only, the SDKs for Go, Java and JavaScript AWS_REGION only
    "aws-env": field_map(
        {
            "access_key": "AWS_ACCESS_KEY_ID",
            "secret_key": "AWS_SECRET_ACCESS_KEY",
            "endpoint": "AWS_ENDPOINT_URL_S3",
            "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
        }
    ),
    "rclone": field_map({"access_key": "access_key_id", "secret_key": "secret_access_key"}),
}
"""The names that apps of a kind expect (docs/apps.md)."""
