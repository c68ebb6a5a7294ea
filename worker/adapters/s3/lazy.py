"""The object storage at the configured address, or at the one that HostUp names (page "Service status").

What HostUp names is kept at its first sight, and another one is not used before a person accepts it: whoever can change
HostUp's answers could else have new keys verified, and apps served, by a storage of his own.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog

from worker.adapters.http.client import HttpClient
from worker.adapters.http.guard import Guard
from worker.adapters.s3.endpoint import is_inside, named_endpoint_problem, same_endpoint
from worker.adapters.s3.probe import StorageProbe
from worker.clock import Clock
from worker.errors import EndpointRefused, HostUpError, RecordDeleted, RotatorError, StorageError, VaultError
from worker.events import Event
from worker.meter import NO_METER, Meter
from worker.rotation.ports import EndpointNotesPort, HostUpPort, Life, Probe
from worker.secret import Secret
from worker.targets.account import DEFAULT_ACCOUNT, account_option, endpoint_table, logged

BELIEVED_SECONDS = 3600.0
"""How long what HostUp named is used before it is asked again."""

DOUBTED_SECONDS = 30.0
"""The same where it was refused, or where HostUp could not be asked."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoragePlace:
    """What the configuration says: ``base_url`` of HostUp, and the storage's ``endpoint`` and ``region``, or None.

    ``deadline`` is in seconds, for one call to the storage. ``account`` is whose it is.
    """

    base_url: str
    deadline: float
    endpoint: str | None = None
    region: str | None = None
    account: str = DEFAULT_ACCOUNT

    @property
    def table(self) -> str:
        """Where in the configuration the endpoint is set."""
        return endpoint_table(self.account)

    @property
    def accept(self) -> str:
        """The command by which a person accepts another endpoint."""
        return f"rotator accept-endpoint{account_option(self.account)} --yes"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What asking came to: a storage to be asked about keys, or why there is none."""

    endpoint: str = ""
    region: str = ""
    probe: StorageProbe | None = None
    refused: str = ""
    hint: str = ""

    def or_raise(self) -> _Outcome:
        if self.probe is None:
            raise EndpointRefused(self.refused, hint=self.hint)
        return self


class LazyStorage:
    """The :class:`worker.rotation.services.Storage` that asks HostUp, at first use, for what is not configured.

    ``keep``: note the endpoint at its first sight, and that another one was refused. ``guard`` is the client's own.
    """

    def __init__(  # noqa: PLR0913 - what asking takes
        self,
        client: HttpClient,
        guard: Guard,
        hostup: HostUpPort,
        place: StoragePlace,
        notes: EndpointNotesPort,
        clock: Clock,
        *,
        keep: bool,
        meter: Meter = NO_METER,
    ) -> None:
        self._client = client
        self._guard = guard
        self._hostup = hostup
        self._place = place
        self._notes = notes
        self._clock = clock
        self._keep = keep
        self._meter = meter
        self._lock = threading.Lock()
        self._known: _Outcome | None = None
        self._until = 0.0

    @property
    def endpoint(self) -> str:
        """See :class:`worker.rotation.services.Storage`."""
        return self._resolve().endpoint

    @property
    def region(self) -> str:
        """See :class:`worker.rotation.services.Storage`."""
        return self._resolve().region

    def see_that_it_can_be_asked(self) -> None:
        """See :class:`worker.rotation.services.Storage`."""
        self._resolve()

    def works(self, access_key: str, secret_key: Secret) -> Probe:
        """See :class:`worker.rotation.ports.StoragePort`."""
        try:
            return self._probe().works(access_key, secret_key)
        except RotatorError as error:
            return _not_asked(error)

    def lives(self, access_key: str) -> Probe:
        """See :class:`worker.rotation.ports.StoragePort`."""
        try:
            return self._probe().lives(access_key)
        except RotatorError as error:
            return _not_asked(error)

    def _probe(self) -> StorageProbe:
        probe = self._resolve().probe
        if probe is None:
            raise StorageError("the object storage is not known")
        return probe

    def _resolve(self) -> _Outcome:
        """Raises StorageError, HostUpError, VaultError, RecordDeleted."""
        with self._lock:
            now = self._clock.monotonic()
            if self._known is None or now >= self._until:
                self._known, seconds = self._look()
                self._until = now + seconds
            return self._known.or_raise()

    def _look(self) -> tuple[_Outcome, float]:
        """What is to be used, and for how long it is believed."""
        if self._place.endpoint and self._place.region:
            return self._made(self._place.endpoint, self._place.region), BELIEVED_SECONDS
        try:
            return self._named(), BELIEVED_SECONDS
        except (EndpointRefused, RecordDeleted) as error:
            _log.error(Event.ENDPOINT_REFUSED, **error.fields(), **logged(self._place.account))
            return _Outcome(refused=error.what, hint=error.hint), DOUBTED_SECONDS
        except (HostUpError, VaultError):
            known = self._known or self._noted()
            if known is None:
                raise
            return known, DOUBTED_SECONDS

    def _named(self) -> _Outcome:
        """What HostUp names now."""
        status = self._hostup.status()
        region = self._place.region or status.region
        return self._made(self._place.endpoint or self._accepted(status.endpoint, region), region)

    def _noted(self) -> _Outcome | None:
        """HostUp cannot be asked now: what was accepted before is as good."""
        noted = None if self._place.endpoint else self._notes.accepted()
        region = self._place.region or (noted.region if noted else None)
        return self._made(self._kept_public(noted.endpoint), region) if noted and region else None

    def _accepted(self, named: str | None, region: str | None) -> str:
        """The endpoint that HostUp names, where it is the one that was accepted. Raises EndpointRefused, VaultError."""
        noted = self._notes.accepted()
        if named is None:
            return self._kept_public(noted.endpoint) if noted else ""
        problem = named_endpoint_problem(named, inside=self._is_inside())
        if problem:
            hint = (
                f"If it is right, set it as endpoint under {self._place.table}; else ask HostUp why its API names it."
            )
            raise EndpointRefused(f"HostUp names the object storage {named}, which {problem}", hint=hint)
        if noted and not same_endpoint(noted.endpoint, named):
            if self._keep:
                self._notes.refuse(named)
            raise EndpointRefused(
                f"HostUp names the object storage {named}, and before it named {noted.endpoint}",
                hint="No key is made, verified or deleted until that is settled. If HostUp has moved it, run "
                f"`{self._place.accept}`, or set endpoint under {self._place.table}.",
            )
        if self._keep:
            self._notes.keep(named, region)
        return self._kept_public(named)

    def _kept_public(self, endpoint: str) -> str:
        """Have the host's addresses be looked at when it is connected to, unless HostUp's API itself is inside."""
        if not self._is_inside():
            self._guard.keep_public(urlsplit(endpoint).hostname or "")
        return endpoint

    def _is_inside(self) -> bool:
        base = self._place.base_url
        return is_inside(base, self._guard, by_proxy=self._client.proxies.to(base) is not None)

    def _made(self, endpoint: str, region: str | None) -> _Outcome:
        if not endpoint or not region:
            missing, where = "region" if endpoint else "endpoint", self._place.table
            raise StorageError(
                f"HostUp does not tell the object storage's {missing}",
                hint=f"Set {missing} under {where}; see that object storage is provisioned (`rotator check`).",
            )
        place = self._place
        probe = StorageProbe(
            self._client, endpoint, region, deadline=place.deadline, meter=self._meter, account=place.account
        )
        return _Outcome(endpoint, region, probe)


def _not_asked(error: RotatorError) -> Probe:
    return Probe(Life.UNKNOWN, None, None, None, f"{error.what}. {error.hint}", asked=False)
