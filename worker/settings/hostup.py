"""``[hostup]`` and ``[storage]``: how an account at HostUp is called upon."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, StrictInt

from worker.settings.environment import Variable
from worker.settings.values import STRICT, Address, Region, SecretWord, VaultPath, whole

API_KEY = "HOSTUP_API_KEY"
"""The variable of the default account's API key; that of another has the account's name behind it."""


class HostUpSettings(BaseModel):
    """``[hostup]``. ``parallel_creates``: how many creates may be under way at once for the account, over all workers.

    ``api_key_path`` is where in the mount a secret holds the API key, instead of the environment. The default address
    is that of docs/facts.md, "HostUp's API".
    """

    model_config = STRICT

    base_url: Address = "https://cloud.hostup.se"
    api_key: Annotated[SecretWord | None, Variable(API_KEY)] = None
    api_key_file: Annotated[Path | None, Variable(f"{API_KEY}_FILE")] = None
    api_key_path: VaultPath | None = None
    parallel_creates: Annotated[StrictInt, whole(1, 64)] = 2

    @property
    def has_api_key(self) -> bool:
        """Whether it is said anywhere what the API key is."""
        return bool(self.api_key or self.api_key_path)


class StorageSettings(BaseModel):
    """``[storage]``. None: taken from ``GET /api/object-storage``."""

    model_config = STRICT

    endpoint: Address | None = None
    region: Region | None = None


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """One account at HostUp; ``key_place`` is what people call the file of its API key by."""

    name: str
    hostup: HostUpSettings
    storage: StorageSettings
    key_place: str = f"{API_KEY}_FILE"
