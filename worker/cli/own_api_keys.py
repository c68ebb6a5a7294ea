"""What is wrong with the worker's own API keys, for `rotator status`."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from worker.adapters.vault.opening import open_vault
from worker.clock import SystemClock
from worker.errors import RecordError, VaultError
from worker.rotation.api_key.store import ApiKeyStore
from worker.rotation.ports import VaultPort
from worker.settings.settings import Settings
from worker.targets.account import at_account


def troubles(settings: Settings, accounts: Collection[str], known: VaultPort | None) -> Iterator[str]:
    """A line for each of these accounts whose key is in trouble; none where Vault is away.

    ``known`` is Vault, where a client of it is there already.
    """
    clock = SystemClock()
    vault = known or open_vault(settings, clock)
    for name in accounts:
        store = ApiKeyStore(vault, settings.vault.state_path, name, clock, settings.vault.mount)
        try:
            trouble = store.load().record.trouble
        except RecordError as error:
            yield f"{error.what}{at_account(name)}. {error.hint}"
        except VaultError:
            return
        else:
            if trouble:
                yield f"{trouble.what}{at_account(name)}. {trouble.hint}"
