"""``[hostup]`` and ``[storage]``: how an account at HostUp is called upon."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, StrictInt, ValidationInfo

from worker.settings.environment import Variable
from worker.settings.values import STRICT, Address, Duration, Region, SecretWord, VaultPath, Word, whole

T = TypeVar("T")

API_KEY = "HOSTUP_API_KEY"
"""The variable of the default account's API key; that of another has the account's name behind it."""

BOOTSTRAP_KEY = "HOSTUP_BOOTSTRAP_KEY"
"""The variable of the key that makes another API key; named for other accounts in the same way."""

BOOTSTRAP_EXAMPLE = "/run/secrets/bootstrap"


def _only_in_vault(value: T, info: ValidationInfo) -> T:
    if value is None or info.data.get("api_key_path"):
        return value
    raise ValueError("needs api_key_path: a key in a variable or a file cannot be rolled by itself")


KeyAge = Annotated[Duration | None, AfterValidator(_only_in_vault)]
KeyScopes = Annotated[tuple[Word, ...] | None, AfterValidator(_only_in_vault)]


class HostUpSettings(BaseModel):
    """``[hostup]``. ``parallel_creates``: how many creates may be under way at once for the account, over all workers.

    ``api_key_path``: where the API key lies in Vault, instead of a variable or a file; ``api_key_every``: how old it
    gets there before it is rolled (None: as old as it may). ``bootstrap_key`` makes another one where it was lost, with
    ``api_key_scopes`` if no answer ever told its scopes. The default address is that of docs/facts.md, "HostUp's API".
    """

    model_config = STRICT

    base_url: Address = "https://cloud.hostup.se"
    api_key: Annotated[SecretWord | None, Variable(API_KEY)] = None
    api_key_file: Annotated[Path | None, Variable(f"{API_KEY}_FILE")] = None
    api_key_path: VaultPath | None = None
    api_key_every: KeyAge = None
    api_key_scopes: KeyScopes = None
    bootstrap_key: Annotated[SecretWord | None, Variable(BOOTSTRAP_KEY)] = None
    bootstrap_key_file: Annotated[Path | None, Variable(f"{BOOTSTRAP_KEY}_FILE", BOOTSTRAP_EXAMPLE)] = None
    parallel_creates: Annotated[StrictInt, whole(1, 64)] = 2

    @property
    def has_api_key(self) -> bool:
        """Whether it is said anywhere what the API key is."""
        return bool(self.api_key or self.api_key_path)

    @property
    def has_bootstrap(self) -> bool:
        """Whether there is a key that can make another one."""
        return self.bootstrap_key is not None or self.bootstrap_key_file is not None


class StorageSettings(BaseModel):
    """``[storage]``. None: taken from ``GET /api/object-storage``."""

    model_config = STRICT

    endpoint: Address | None = None
    region: Region | None = None


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """One account at HostUp; ``key_place`` and ``bootstrap_place`` are what people call the files of its keys by."""

    name: str
    hostup: HostUpSettings
    storage: StorageSettings
    key_place: str = f"{API_KEY}_FILE"
    bootstrap_place: str = f"{BOOTSTRAP_KEY}_FILE"
