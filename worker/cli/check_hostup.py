"""Whether HostUp answers, and whether the object storage tells keys apart."""

from __future__ import annotations

from collections.abc import Iterator

from worker.cli import check_api_key
from worker.cli.held import held_now
from worker.cli.verdicts import Verdict, by_way_of, failed
from worker.errors import HostUpError, RotatorError
from worker.rotation.ports import Life, Probe
from worker.service.assemble import Runtime
from worker.settings.proxies import Proxy

UNKNOWN_KEY = "ROTATORCHECKNOSUCHKEY"
"""A key that does not exist: asking about it shows that the storage tells the living from the dead."""


def look(runtime: Runtime) -> Iterator[Verdict]:
    """The API, then the storage, whose address may be the API's to tell."""
    yield by_way_of(_proxy_to(runtime, runtime.settings.hostup.base_url), _api(runtime))
    yield from check_api_key.look(runtime)
    for what, hint in held_now(runtime):
        yield Verdict("calls to HostUp", "warning", what, hint)
    storage = _storage(runtime)
    yield storage
    if storage.state == "ok" and not runtime.settings.storage.endpoint and not runtime.hostup_is_inside:
        endpoint = runtime.services.storage.endpoint
        hint = f'Pin it: endpoint = "{endpoint}" under [storage]. Then nobody can move it but you.'
        yield Verdict("storage endpoint", "warning", f"{endpoint} is what HostUp names, not the configuration", hint)


def _proxy_to(runtime: Runtime, url: str) -> Proxy | None:
    return runtime.http.proxies.to(url) if runtime.http else None


def _api(runtime: Runtime) -> Verdict:
    where = runtime.settings.hostup.base_url
    try:
        status = runtime.services.hostup.status()
    except HostUpError as error:
        return failed("HostUp", error)
    if not status.provisioned:
        hint = "Order object storage in HostUp's panel; before that there can be no keys."
        return Verdict("HostUp", "failed", f"{where} answers, but object storage is not provisioned", hint)
    if status.key_count is None:
        hint = "Rotations work; but a key that nobody has on record cannot be noticed."
        why = f". {status.count_problem}" if status.count_problem else ""
        return Verdict("HostUp", "warning", f"{where} answers, but does not tell how many keys there are{why}", hint)
    return Verdict(
        "HostUp", "ok", f"{where} answers; {status.key_count} keys (requestId {status.request_id or 'none'})"
    )


def _storage(runtime: Runtime) -> Verdict:
    storage = runtime.services.storage
    try:
        where = f"{storage.endpoint} (region {storage.region})"
    except RotatorError as error:
        return failed("object storage", error)
    return by_way_of(_proxy_to(runtime, storage.endpoint), _of_probe(storage.lives(UNKNOWN_KEY), where))


def _of_probe(probe: Probe, where: str) -> Verdict:
    if probe.life is Life.DEAD:
        return Verdict("object storage", "ok", f"{where} refuses an unknown key, as it should ({probe.code})")
    if probe.code == "AuthorizationHeaderMalformed":
        hint = "Most likely storage.region is not the region of this storage: leave it out, and HostUp is asked for it."
        return Verdict("object storage", "failed", f"{where}: it refuses the signature ({probe.code})", hint)
    hint = "Without it a new key cannot be verified, and an old one not proven dead. Check [storage], and this clock."
    return Verdict("object storage", "failed", f"{where}: {probe.detail or f'it answered {probe.status}'}", hint)
