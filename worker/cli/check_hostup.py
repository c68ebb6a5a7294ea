"""Whether HostUp answers, and whether the object storage tells keys apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from worker.cli import check_api_key
from worker.cli.held import held_now
from worker.cli.verdicts import Verdict, by_way_of, failed
from worker.errors import HostUpError, RotatorError
from worker.rotation.ports import Life, Probe
from worker.service.assemble import Runtime
from worker.settings.proxies import Proxy
from worker.settings.settings import AccountSettings
from worker.targets.account import at_account, endpoint_table

UNKNOWN_KEY = "ROTATORCHECKNOSUCHKEY"
"""A key that does not exist: asking about it shows that the storage tells the living from the dead."""


def look(runtime: Runtime) -> Iterator[Verdict]:
    """Of each account."""
    for name in runtime.settings.accounts:
        for verdict in _of_account(runtime, name):
            yield replace(verdict, check=f"{verdict.check}{at_account(name)}")


def _of_account(runtime: Runtime, name: str) -> Iterator[Verdict]:
    """The API, then the storage, whose address may be the API's to tell."""
    settings = runtime.settings.accounts[name]
    yield by_way_of(_proxy_to(runtime, settings.hostup.base_url), _api(runtime, settings))
    yield from check_api_key.look(runtime, name)
    for what, hint in held_now(runtime, [name]):
        yield Verdict("calls to HostUp", "warning", what, hint)
    storage = _storage(runtime, settings)
    yield storage
    if storage.state == "ok" and not settings.storage.endpoint and not runtime.hostup_is_inside(name):
        endpoint = runtime.services.at(name).storage.endpoint
        hint = f'Pin it: endpoint = "{endpoint}" under {endpoint_table(name)}. Then nobody can move it but you.'
        yield Verdict("storage endpoint", "warning", f"{endpoint} is what HostUp names, not the configuration", hint)


def _proxy_to(runtime: Runtime, url: str) -> Proxy | None:
    return runtime.http.proxies.to(url) if runtime.http else None


def _api(runtime: Runtime, account: AccountSettings) -> Verdict:
    where = account.hostup.base_url
    try:
        status = runtime.services.at(account.name).hostup.status()
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


def _storage(runtime: Runtime, account: AccountSettings) -> Verdict:
    storage = runtime.services.at(account.name).storage
    try:
        where = f"{storage.endpoint} (region {storage.region})"
    except RotatorError as error:
        return failed("object storage", error)
    return by_way_of(_proxy_to(runtime, storage.endpoint), _of_probe(storage.lives(UNKNOWN_KEY), where, account.name))


def _of_probe(probe: Probe, where: str, account: str) -> Verdict:
    if probe.life is Life.DEAD:
        return Verdict("object storage", "ok", f"{where} refuses an unknown key, as it should ({probe.code})")
    table = endpoint_table(account)
    if probe.code == "AuthorizationHeaderMalformed":
        table = endpoint_table(account)
        hint = (
            f"Most likely region under {table} is not that of this storage: leave it out, and HostUp is asked for it."
        )
        return Verdict("object storage", "failed", f"{where}: it refuses the signature ({probe.code})", hint)
    hint = f"Without it a new key cannot be verified, and an old one not proven dead. Check {table}, and this clock."
    return Verdict("object storage", "failed", f"{where}: {probe.detail or f'it answered {probe.status}'}", hint)
