"""``rotator accept-endpoint``: a person says that the object storage that HostUp names now is the right one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from worker.adapters.s3.endpoint import named_endpoint_problem, same_endpoint
from worker.cli.options import Options, account_named
from worker.cli.output import print_lines, result
from worker.errors import EndpointRefused, StorageError, UsageError
from worker.rotation.ports import EndpointNote
from worker.service.assemble import Runtime
from worker.settings.environment import Need
from worker.targets.account import endpoint_table


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


def accept_endpoint(options: Options, account: str | None, *, yes: bool) -> int:
    """Show what HostUp names for an account and what is accepted; accept what it names with ``yes``.

    Raises UsageError where the configuration names the endpoint, EndpointRefused for one that may not be asked.
    """
    runtime = options.runtime(Need.HOSTUP | Need.VAULT)
    name = account_named(runtime.settings, account)
    configured = runtime.settings.accounts[name].storage.endpoint
    if configured:
        what = f"the configuration names the object storage: {configured}"
        hint = f"That counts, whatever HostUp names. Change endpoint under {endpoint_table(name)}."
        raise UsageError(what, hint=hint)
    found = _look(runtime, name)
    if yes and not found.settled:
        runtime.services.store.endpoint(name).accept(found.named, found.region)
    document = {
        "account": name,
        "named": found.named,
        "accepted": found.noted.endpoint if found.noted else None,
        "accepted_at": found.noted.accepted_at if found.noted else None,
        "accepted_by": found.noted.accepted_by if found.noted else None,
        "changed": not found.settled,
        "done": yes and not found.settled,
    }
    result(options, document, lambda: print_lines(_lines(found, yes=yes)))
    return 0


def _look(runtime: Runtime, account: str) -> _Found:
    status, table = runtime.services.at(account).hostup.status(), endpoint_table(account)
    if status.endpoint is None:
        hint = f"Set endpoint under {table}; see that object storage is provisioned (`rotator check`)."
        raise StorageError("HostUp does not tell the object storage's endpoint", hint=hint)
    problem = named_endpoint_problem(status.endpoint, inside=runtime.hostup_is_inside(account))
    if problem:
        hint = f"It cannot be accepted here. If it is right, set it as endpoint under {table}."
        raise EndpointRefused(f"HostUp names the object storage {status.endpoint}, which {problem}", hint=hint)
    try:
        noted, unread = runtime.services.store.endpoint(account).accepted(), ""
    except StorageError as error:
        noted, unread = None, error.what
    region = runtime.settings.accounts[account].storage.region or status.region
    return _Found(status.endpoint, region, noted, unread)


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
