"""``[hostup]`` and the variables of HostUp."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, StrictInt, ValidationInfo

from worker.settings.environment import Variable
from worker.settings.values import STRICT, Address, Duration, SecretWord, VaultPath, Word, whole

T = TypeVar("T")

BOOTSTRAP_EXAMPLE = "/run/secrets/bootstrap"


def _only_in_vault(value: T, info: ValidationInfo) -> T:
    if value is None or info.data.get("api_key_path"):
        return value
    raise ValueError("needs api_key_path: a key in a variable or a file cannot be rolled by itself")


class HostUpSettings(BaseModel):
    """``[hostup]``. ``parallel_creates``: how many creates may be under way at once for the account, over all workers.

    ``api_key_path``: where the API key lies in Vault, instead of a variable or a file; ``api_key_every``: how old it
    gets there before it is rolled (None: as old as it may). ``bootstrap_key`` makes another one where it was lost, with
    ``api_key_scopes`` if no answer ever told its scopes. The default address is that of docs/facts.md, "HostUp's API".
    """

    model_config = STRICT

    base_url: Address = "https://cloud.hostup.se"
    api_key: Annotated[SecretWord | None, Variable("HOSTUP_API_KEY")] = None
    api_key_file: Annotated[Path | None, Variable("HOSTUP_API_KEY_FILE")] = None
    api_key_path: VaultPath | None = None
    api_key_every: Annotated[Duration | None, AfterValidator(_only_in_vault)] = None
    api_key_scopes: Annotated[tuple[Word, ...] | None, AfterValidator(_only_in_vault)] = None
    bootstrap_key: Annotated[SecretWord | None, Variable("HOSTUP_BOOTSTRAP_KEY")] = None
    bootstrap_key_file: Annotated[Path | None, Variable("HOSTUP_BOOTSTRAP_KEY_FILE", BOOTSTRAP_EXAMPLE)] = None
    parallel_creates: Annotated[StrictInt, whole(1, 64)] = 2

    @property
    def has_bootstrap(self) -> bool:
        """Whether there is a key that can make another one."""
        return self.bootstrap_key is not None or self.bootstrap_key_file is not None
