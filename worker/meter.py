"""What a worker counts and times of itself, as a port: nothing here knows who collects it, or whether anybody does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

NO_ANSWER = "none"
"""The code of a call that got no answer."""


class Meter(Protocol):
    """Takes what happens; every method returns at once and never raises. No argument is an id or a secret."""

    def called(self, service: str, operation: str, code: str, seconds: float, account: str = "") -> None:
        """One HTTP call ended: with a status, or :data:`NO_ANSWER`; ``account`` is empty for one to Vault."""
        ...

    def stepped(self, step: str, seconds: float, account: str) -> None:
        """One step of a target of this account took so long, whatever came of it."""
        ...

    def rotated(self, trigger: str, outcome: str, account: str) -> None:
        """A rotation on an account ended: succeeded, failed (it is tried again) or unconfirmed."""
        ...

    def died(self, seconds: float, account: str) -> None:
        """A key on an account is proven dead, so long after its delete."""
        ...

    def noticed(self, channel: str, outcome: str) -> None:
        """A notice to people was sent, or could not be."""
        ...


class NoMeter:
    """For who collects nothing."""

    def called(self, service: str, operation: str, code: str, seconds: float, account: str = "") -> None:
        """See :class:`Meter`."""

    def stepped(self, step: str, seconds: float, account: str) -> None:
        """See :class:`Meter`."""

    def rotated(self, trigger: str, outcome: str, account: str) -> None:
        """See :class:`Meter`."""

    def died(self, seconds: float, account: str) -> None:
        """See :class:`Meter`."""

    def noticed(self, channel: str, outcome: str) -> None:
        """See :class:`Meter`."""


@dataclass(frozen=True, slots=True)
class Meters:
    """Tells several of the same."""

    all: tuple[Meter, ...]

    def called(self, service: str, operation: str, code: str, seconds: float, account: str = "") -> None:
        """See :class:`Meter`."""
        for meter in self.all:
            meter.called(service, operation, code, seconds, account)

    def stepped(self, step: str, seconds: float, account: str) -> None:
        """See :class:`Meter`."""
        for meter in self.all:
            meter.stepped(step, seconds, account)

    def rotated(self, trigger: str, outcome: str, account: str) -> None:
        """See :class:`Meter`."""
        for meter in self.all:
            meter.rotated(trigger, outcome, account)

    def died(self, seconds: float, account: str) -> None:
        """See :class:`Meter`."""
        for meter in self.all:
            meter.died(seconds, account)

    def noticed(self, channel: str, outcome: str) -> None:
        """See :class:`Meter`."""
        for meter in self.all:
            meter.noticed(channel, outcome)


NO_METER = NoMeter()
