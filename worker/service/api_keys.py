"""Where the API key of an account comes from, and what rolls it where it lies in Vault."""

from __future__ import annotations

from collections.abc import Callable

from worker.adapters.hostup.api_key import ApiKey, KeyInVault
from worker.adapters.hostup.api_keys import ApiKeyClient
from worker.adapters.http.client import HttpClient
from worker.adapters.vault.opening import call_deadline
from worker.clock import Clock
from worker.meter import NO_METER, Meter
from worker.rotation.api_key.decide import Terms
from worker.rotation.api_key.desk import ApiKeyDesk
from worker.rotation.api_key.place import KeyPlace
from worker.rotation.api_key.store import ApiKeyStore
from worker.rotation.ports import AccountPort, ApiKeyGrants, ApiKeysPort, VaultPort
from worker.secret import Secret
from worker.settings.credential import Credential, no_logs
from worker.settings.settings import Settings
from worker.targets.target import DEFAULT_ACCOUNT


def api_key_of(
    settings: Settings, vault: VaultPort, clock: Clock, on_new: Callable[[Secret], None] = no_logs
) -> ApiKey:
    """The API key that the settings name; ``on_new`` is given those that are read later."""
    given = settings.hostup
    if given.api_key_path is None:
        return Credential(given.api_key or Secret(""), given.api_key_file, "HOSTUP_API_KEY_FILE", on_new=on_new)
    in_doubt, mount = api_key_store(settings, vault, clock).in_doubt, settings.vault.mount
    return KeyInVault(vault, given.api_key_path, clock, in_doubt, mount=mount, on_new=on_new)


def api_key_store(settings: Settings, vault: VaultPort, clock: Clock) -> ApiKeyStore:
    """Where the record of the API key lies."""
    return ApiKeyStore(vault, settings.vault.state_path, DEFAULT_ACCOUNT, clock, settings.vault.mount)


def api_keys_of(settings: Settings, http: HttpClient, meter: Meter = NO_METER) -> ApiKeyClient:
    """HostUp's API about API keys."""
    create, other = settings.worker.create_deadline, call_deadline(settings)
    base_url, seconds = settings.hostup.base_url, other.total_seconds()
    return ApiKeyClient(http, base_url, roll_deadline=create.total_seconds(), deadline=seconds, meter=meter)


def api_key_desk(
    settings: Settings,
    hostup: ApiKeysPort,
    vault: VaultPort,
    account: AccountPort,
    clock: Clock,
    on_new: Callable[[Secret], None] = no_logs,
) -> ApiKeyDesk | None:
    """What rolls the API key; None where it does not lie in Vault."""
    given, worker, mount = settings.hostup, settings.worker, settings.vault.mount
    if given.api_key_path is None:
        return None
    store = api_key_store(settings, vault, clock)
    place = KeyPlace(vault, mount, given.api_key_path, store, clock, on_new)
    terms = Terms(given.api_key_every, worker.lease, worker.tick, place.shown, given.has_bootstrap)
    file = given.bootstrap_key_file
    bootstrap = Credential(given.bootstrap_key or Secret(""), file, "HOSTUP_BOOTSTRAP_KEY_FILE", on_new=on_new)
    return ApiKeyDesk(
        DEFAULT_ACCOUNT,
        hostup,
        place,
        store,
        account,
        clock,
        terms,
        ApiKeyGrants(scopes=given.api_key_scopes),
        lambda: bootstrap.current() if bootstrap.current().reveal() else None,
    )
