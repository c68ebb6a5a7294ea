"""``[vault]`` and the variables of Vault."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ValidationInfo

from worker.settings.environment import Variable
from worker.settings.logins import AUTH_METHODS, SERVICE_ACCOUNT_TOKEN
from worker.settings.problems import did_you_mean
from worker.settings.values import STRICT, ReadableFile, SecretWord, Text, VaultAddress, VaultPath, Word, whole
from worker.targets.receipts import RECEIPTS_PATH

FEW_USES = 100
"""A secret id that is good for no more logins is not spent on finding out whether it works."""


def _auth_method(value: str) -> str:
    if value in AUTH_METHODS:
        return value
    raise ValueError(f"is not known; {did_you_mean(value, AUTH_METHODS)}allowed are {', '.join(AUTH_METHODS)}")


def _beside_the_records(path: str, info: ValidationInfo) -> str:
    state = info.data.get("state_path")
    if state and (f"{path}/".startswith(f"{state}/") or f"{state}/".startswith(f"{path}/")):
        raise ValueError(f"{path} and state_path ({state}) lie in each other; apps may write where receipts are")
    return path


AuthMethod = Annotated[Text, AfterValidator(_auth_method)]
"""How to log in to Vault."""


class VaultSettings(BaseModel):
    """``[vault]``: where Vault is, and one way to log in: a token, a file with a token, AppRole, or a web token."""

    model_config = STRICT

    address: Annotated[VaultAddress, Variable("VAULT_ADDR", "https://vault:8200")] = ""
    mount: VaultPath = "secret"
    state_path: VaultPath = "hostup-rotator/state"
    receipts_path: Annotated[VaultPath, AfterValidator(_beside_the_records)] = RECEIPTS_PATH
    namespace: Annotated[Text | None, Variable("VAULT_NAMESPACE")] = None
    auth_namespace: Annotated[Text | None, Variable("VAULT_AUTH_NAMESPACE")] = None
    auth_method: Annotated[AuthMethod | None, Variable("VAULT_AUTH_METHOD")] = None
    auth_role: Annotated[Word | None, Variable("VAULT_AUTH_ROLE")] = None
    jwt_file: Annotated[ReadableFile | None, Variable("VAULT_JWT_FILE")] = None
    ca_file: Annotated[ReadableFile | None, Variable("VAULT_CACERT")] = None
    ca_path: Annotated[Path | None, Variable("VAULT_CAPATH")] = None
    client_cert: Annotated[ReadableFile | None, Variable("VAULT_CLIENT_CERT")] = None
    client_key: Annotated[ReadableFile | None, Variable("VAULT_CLIENT_KEY")] = None
    tls_server_name: Annotated[Word | None, Variable("VAULT_TLS_SERVER_NAME")] = None
    proxy: Annotated[SecretWord | None, Variable("VAULT_PROXY_ADDR")] = None
    token: Annotated[SecretWord | None, Variable("VAULT_TOKEN")] = None
    token_file: Annotated[Path | None, Variable("VAULT_TOKEN_FILE")] = None
    role_id: Annotated[Word | None, Variable("VAULT_ROLE_ID")] = None
    role_id_file: Annotated[Path | None, Variable("VAULT_ROLE_ID_FILE")] = None
    secret_id: Annotated[SecretWord | None, Variable("VAULT_SECRET_ID")] = None
    secret_id_file: Annotated[Path | None, Variable("VAULT_SECRET_ID_FILE")] = None
    secret_id_wrapped: Annotated[bool, Variable("VAULT_SECRET_ID_WRAPPED")] = False
    secret_id_num_uses: Annotated[int, whole(0, 10**9), Variable("VAULT_SECRET_ID_NUM_USES")] = 0
    approle_mount: VaultPath = "approle"
    kubernetes_mount: VaultPath = "kubernetes"
    jwt_mount: VaultPath = "jwt"

    @property
    def secret_id_is_scarce(self) -> bool:
        """Whether every login counts: the secret id is wrapped, or good for a few logins only."""
        few = 0 < self.secret_id_num_uses <= FEW_USES
        return self.secret_id is not None and (self.secret_id_wrapped or few)

    @property
    def jwt_login(self) -> tuple[str, Path] | None:
        """The mount to log in at by a JSON Web Token, and its file; None for all other ways to log in."""
        if self.auth_method == "kubernetes":
            return self.kubernetes_mount, self.jwt_file or SERVICE_ACCOUNT_TOKEN
        return (self.jwt_mount, self.jwt_file) if self.auth_method == "jwt" and self.jwt_file else None
