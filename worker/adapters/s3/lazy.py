"""The object storage at the configured address, or at the one that HostUp names (page "Service status")."""

from __future__ import annotations

import threading

from worker.adapters.http.client import HttpClient
from worker.adapters.s3.probe import StorageProbe
from worker.errors import RotatorError, StorageError
from worker.rotation.ports import HostUpPort, Life, Probe
from worker.secret import Secret


class LazyStorage:
    """The :class:`worker.rotation.services.Storage` that asks HostUp once, at first use, for what is not configured."""

    def __init__(
        self, client: HttpClient, hostup: HostUpPort, endpoint: str | None, region: str | None, *, deadline: float
    ) -> None:
        self._client = client
        self._hostup = hostup
        self._endpoint = endpoint
        self._region = region
        self._deadline = deadline
        self._lock = threading.Lock()
        self._probe: StorageProbe | None = None

    @property
    def endpoint(self) -> str:
        """See :class:`worker.rotation.services.Storage`."""
        self._resolve()
        return self._endpoint or ""

    @property
    def region(self) -> str:
        """See :class:`worker.rotation.services.Storage`."""
        self._resolve()
        return self._region or ""

    def works(self, access_key: str, secret_key: Secret) -> Probe:
        """See :class:`worker.rotation.ports.StoragePort`."""
        try:
            probe = self._resolve()
        except RotatorError as error:
            return _not_asked(error)
        return probe.works(access_key, secret_key)

    def lives(self, access_key: str) -> Probe:
        """See :class:`worker.rotation.ports.StoragePort`."""
        try:
            probe = self._resolve()
        except RotatorError as error:
            return _not_asked(error)
        return probe.lives(access_key)

    def _resolve(self) -> StorageProbe:
        with self._lock:
            if self._probe is None:
                self._probe = self._make()
            return self._probe

    def _make(self) -> StorageProbe:
        if not self._endpoint or not self._region:
            status = self._hostup.status()
            self._endpoint = self._endpoint or status.endpoint
            self._region = self._region or status.region
        if not self._endpoint or not self._region:
            missing = "endpoint" if not self._endpoint else "region"
            raise StorageError(
                f"HostUp does not tell the object storage's {missing}",
                hint=f"Set {missing} under [storage]; see that object storage is provisioned (`rotator check`).",
            )
        return StorageProbe(self._client, self._endpoint, self._region, deadline=self._deadline)


def _not_asked(error: RotatorError) -> Probe:
    return Probe(Life.UNKNOWN, None, None, None, f"{error.what}. {error.hint}")
