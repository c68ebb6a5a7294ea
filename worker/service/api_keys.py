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
from worker.rotation.services import Services
from worker.secret import Secret
from worker.settings.credential import Credential, no_logs
from worker.settings.settings import AccountSettings, Settings
from worker.targets.account import at_account


def api_key_of(
    settings: Settings,
    account: AccountSettings,
    vault: VaultPort,
    clock: Clock,
    on_new: Callable[[Secret], None] = no_logs,
) -> ApiKey:
    """The API key of an account; ``on_new`` is given those that are read later."""
    given = account.hostup
    if given.api_key_path is None:
        return Credential(given.api_key or Secret(""), given.api_key_file, account.key_place, on_new=on_new)
    in_doubt, mount = api_key_store(settings, account.name, vault, clock).in_doubt, settings.vault.mount
    shown = f"api_key_path{at_account(account.name)}"
    return KeyInVault(vault, given.api_key_path, clock, in_doubt, mount=mount, shown=shown, on_new=on_new)


def api_key_store(settings: Settings, account: str, vault: VaultPort, clock: Clock) -> ApiKeyStore:
    """Where the record of an account's API key lies."""
    return ApiKeyStore(vault, settings.vault.state_path, account, clock, settings.vault.mount)


def api_keys_of(
    settings: Settings, account: AccountSettings, http: HttpClient, meter: Meter = NO_METER
) -> ApiKeyClient:
    """HostUp's API about the API keys of an account."""
    create, other = settings.worker.create_deadline, call_deadline(settings)
    return ApiKeyClient(
        http,
        account.hostup.base_url,
        roll_deadline=create.total_seconds(),
        deadline=other.total_seconds(),
        meter=meter,
        account=account.name,
    )


def desks_of(
    settings: Settings, http: HttpClient, services: Services, on_new: Callable[[Secret], None] = no_logs
) -> dict[str, ApiKeyDesk]:
    """What rolls the API keys, of each account whose key lies in Vault."""
    found = {}
    for name, account in settings.accounts.items():
        hostup, circuit = api_keys_of(settings, account, http, services.meter), services.at(name).account
        desk = api_key_desk(settings, account, hostup, services.vault, circuit, services.clock, on_new)
        if desk:
            found[name] = desk
    return found


def api_key_desk(
    settings: Settings,
    account: AccountSettings,
    hostup: ApiKeysPort,
    vault: VaultPort,
    circuit: AccountPort,
    clock: Clock,
    on_new: Callable[[Secret], None] = no_logs,
) -> ApiKeyDesk | None:
    """What rolls an account's API key; None where it does not lie in Vault."""
    given, worker, mount = account.hostup, settings.worker, settings.vault.mount
    if given.api_key_path is None:
        return None
    store = api_key_store(settings, account.name, vault, clock)
    place = KeyPlace(vault, mount, given.api_key_path, store, clock, on_new)
    terms = Terms(given.api_key_every, worker.lease, worker.tick, place.shown, given.has_bootstrap)
    file = given.bootstrap_key_file
    bootstrap = Credential(given.bootstrap_key or Secret(""), file, account.bootstrap_place, on_new=on_new)
    return ApiKeyDesk(
        account.name,
        hostup,
        place,
        store,
        circuit,
        clock,
        terms,
        ApiKeyGrants(scopes=given.api_key_scopes),
        lambda: bootstrap.current() if bootstrap.current().reveal() else None,
    )
