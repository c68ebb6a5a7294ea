"""``rotator accept-endpoint``: a person says that the object storage that HostUp names now is the right one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from worker.adapters.s3.endpoint import named_endpoint_problem, same_endpoint
from worker.cli.options import Options
from worker.cli.output import print_lines, result
from worker.errors import EndpointRefused, StorageError, UsageError
from worker.rotation.ports import EndpointNote
from worker.service.assemble import Runtime
from worker.settings.environment import Need


@dataclass(frozen=True, slots=True)
class _Found:
    """What HostUp names now, what is accepted, and why the note of that cannot be read, if it cannot."""

    named: str
    region: str | None
    noted: EndpointNote | None
    unread: str

    @property
    def settled(self) -> bool:
        return self.noted is not None and same_endpoint(self.noted.endpoint, self.named)


def accept_endpoint(options: Options, *, yes: bool) -> int:
    """Show what HostUp names and what is accepted; accept what it names with ``yes``.

    Raises UsageError where the configuration names the endpoint, EndpointRefused for one that may not be asked.
    """
    runtime = options.runtime(Need.HOSTUP | Need.VAULT)
    configured = runtime.settings.storage.endpoint
    if configured:
        what = f"the configuration names the object storage: {configured}"
        raise UsageError(what, hint="That counts, whatever HostUp names. Change endpoint under [storage].")
    found = _look(runtime)
    if yes and not found.settled:
        runtime.services.store.endpoint.accept(found.named, found.region)
    document = {
        "named": found.named,
        "accepted": found.noted.endpoint if found.noted else None,
        "accepted_at": found.noted.accepted_at if found.noted else None,
        "accepted_by": found.noted.accepted_by if found.noted else None,
        "changed": not found.settled,
        "done": yes and not found.settled,
    }
    result(options, document, lambda: print_lines(_lines(found, yes=yes)))
    return 0


def _look(runtime: Runtime) -> _Found:
    status = runtime.services.hostup.status()
    if status.endpoint is None:
        hint = "Set endpoint under [storage]; see that object storage is provisioned (`rotator check`)."
        raise StorageError("HostUp does not tell the object storage's endpoint", hint=hint)
    problem = named_endpoint_problem(status.endpoint, inside=runtime.hostup_is_inside)
    if problem:
        hint = "It cannot be accepted here. If it is right, set it as endpoint under [storage]."
        raise EndpointRefused(f"HostUp names the object storage {status.endpoint}, which {problem}", hint=hint)
    try:
        noted, unread = runtime.services.store.endpoint.accepted(), ""
    except StorageError as error:
        noted, unread = None, error.what
    return _Found(status.endpoint, runtime.settings.storage.region or status.region, noted, unread)


def _lines(found: _Found, *, yes: bool) -> Iterator[str]:
    noted = found.noted
    yield f"HostUp names {found.named}"
    if found.unread:
        yield found.unread
    elif noted is None:
        yield "nothing is accepted yet; a worker accepts what it sees first"
    else:
        yield f"accepted is {noted.endpoint}, since {noted.accepted_at} by {noted.accepted_by}"
    if found.settled:
        yield "they are the same: there is nothing to accept"
    elif yes:
        yield f"accepted: {found.named}; workers use it within a minute"
    else:
        yield "With --yes new keys are verified there, and apps are told to use it. See first that HostUp has moved it."
