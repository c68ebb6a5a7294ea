"""A target: one secret of one app whose key is rotated."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from worker.targets.fields import FieldMap
from worker.targets.freeze import Freeze
from worker.targets.readers import Reader
from worker.targets.schedule import Schedule

DEFAULT_ACCOUNT = "default"
"""The account that ``[hostup]`` describes."""


@dataclass(frozen=True, slots=True)
class Target:
    """One secret of one app whose key is rotated.

    ``label`` is the template of the label sent to HostUp, ``path`` lies in the mount, ``grace`` is how long the key
    before goes on working after the new one is published. ``watch_every`` is how often what the app reads is looked
    at, None: as often as that of other targets. ``extra`` is published beside the key. ``readers`` and ``presign_ttl``
    (how long links live that the app signs) say what ``grace`` has to last. ``retire_cap`` is how long the key before
    is kept at most while receipts say that it is in use; None: it goes when ``grace`` is over. ``freezes`` are those of
    the whole configuration. ``owner`` is who is told of it.
    """

    name: str
    label: str
    path: str
    schedule: Schedule
    grace: timedelta
    fields: FieldMap
    watch_every: timedelta | None = None
    extra: tuple[tuple[str, str], ...] = ()
    readers: tuple[Reader, ...] = ()
    presign_ttl: timedelta | None = None
    retire_cap: timedelta | None = None
    freezes: tuple[Freeze, ...] = ()
    owner: str | None = None

    def plan(self) -> str:
        """A digest of when its key is rotated, how long the old one is kept and where it is published.

        The same in every process, and another one after a change of the configuration that a look has to see.
        """
        text = f"{self.schedule}/{self.grace}/{self.path}"
        text += f"/{self.retire_cap}" if self.retire_cap else ""
        text += f"/{self.freezes}" if self.freezes else ""
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def render_label(self, rotation_id: str, now: datetime) -> str:
        """The label as it is sent to HostUp; the date is that of UTC."""
        date = now.astimezone(UTC).date().isoformat()
        return render_label(self.label, rotation_id, date, self.name)


def render_label(template: str, rotation_id: str, date: str, target: str) -> str:
    """Fill a template whose placeholders are known to be right: the settings see to that."""
    return template.format(rotation_id=rotation_id, date=date, target=target)
