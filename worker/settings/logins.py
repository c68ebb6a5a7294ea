"""The logins to HostUp and Vault that the environment gives: whether what is needed is there, and nothing twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from worker.settings.environment import WHERE, Need, is_set, place_of
from worker.settings.problems import Problems

JWT_METHODS = ("kubernetes", "jwt")
"""Ways to log in to Vault by a JSON Web Token."""

AUTH_METHODS = ("token", "approle", *JWT_METHODS)

OTHER_LOGINS = (
    "VAULT_ROLE_ID",
    "VAULT_SECRET_ID",
    "VAULT_SECRET_ID_WRAPPED",
    "VAULT_SECRET_ID_NUM_USES",
    "VAULT_AUTH_METHOD",
    "VAULT_AUTH_ROLE",
    "VAULT_JWT_FILE",
)
"""What would stand beside a token as a second way to log in."""

SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""Where Kubernetes puts it in every pod, if not told otherwise."""


def as_administrator(env: Mapping[str, str]) -> dict[str, str]:
    """The environment without the worker's own logins to Vault, where it holds a token beside them.

    A person who sets Vault up has the worker's login exported already, or is about to: the token is theirs.
    """
    if not is_set("VAULT_TOKEN", env):
        return dict(env)
    places = {f"{name}{ending}" for name in OTHER_LOGINS for ending in ("", "_FILE")}
    return {name: value for name, value in env.items() if name not in places}


def check_logins(env: Mapping[str, str], needs: Need, problems: Problems, *, key_in_vault: bool = False) -> None:
    """See that the logins that are needed are given, and that there is one way to log in to Vault, not two.

    ``key_in_vault``: the API key is to be read from there.
    """
    if key_in_vault and is_set("HOSTUP_API_KEY", env):
        place = place_of("HOSTUP_API_KEY", env)
        problems.note(f"{WHERE}: {place}", "is set beside api_key_path under [hostup]; leave one of them out")
    elif Need.HOSTUP in needs and not key_in_vault and not is_set("HOSTUP_API_KEY", env):
        problems.note(f"{WHERE}: HOSTUP_API_KEY", "is missing; set it, or HOSTUP_API_KEY_FILE to a file that holds it")
    method = env.get("VAULT_AUTH_METHOD", "")
    problem = _jwt_problem(method, env, needs) if method in JWT_METHODS else _login_problem(method, env, needs)
    if problem:
        problems.note(f"{WHERE}: {problem[0]}", problem[1])


def _login_problem(method: str, env: Mapping[str, str], needs: Need) -> tuple[str, str] | None:
    """What is wrong with a login by token or AppRole; ``method`` is which of them is said to be meant, if it is."""
    token = is_set("VAULT_TOKEN", env)
    approle = [name for name in ("VAULT_ROLE_ID", "VAULT_SECRET_ID") if is_set(name, env)]
    stray = [name for name in ("VAULT_AUTH_ROLE", "VAULT_JWT_FILE") if env.get(name)]
    if token and approle:
        return "VAULT_TOKEN", f"is set beside {approle[0]}; leave out one of the two ways to log in"
    if approle == ["VAULT_SECRET_ID"]:  # the role id alone is enough where the role has bind_secret_id=false
        return "VAULT_ROLE_ID", "is missing beside VAULT_SECRET_ID (set it, or VAULT_ROLE_ID_FILE)"
    if stray and not method:
        return "VAULT_AUTH_METHOD", f"is missing beside {stray[0]}; set it to {' or '.join(JWT_METHODS)}"
    if Need.VAULT in needs and not token and not approle:
        ways = "VAULT_TOKEN, VAULT_TOKEN_FILE, VAULT_ROLE_ID and VAULT_SECRET_ID (or their ..._FILE)"
        others = f"VAULT_AUTH_METHOD to {' or '.join(JWT_METHODS)}"
        return "VAULT_TOKEN", f"is missing; to log in to Vault set {ways}, or {others}"
    if (method == "approle" and token) or (method == "token" and approle):
        return "VAULT_AUTH_METHOD", f"is {method}, but what is set is for another way to log in; leave one of them out"
    return None


def _jwt_problem(method: str, env: Mapping[str, str], needs: Need) -> tuple[str, str] | None:
    """What is wrong with a login by a JSON Web Token."""
    others = [name for name in ("VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID") if is_set(name, env)]
    if others:
        return "VAULT_AUTH_METHOD", f"is {method} beside {others[0]}; leave out one of the two ways to log in"
    if method == "jwt":
        return None if env.get("VAULT_JWT_FILE") else ("VAULT_JWT_FILE", "is missing beside VAULT_AUTH_METHOD")
    if not env.get("VAULT_AUTH_ROLE"):
        return "VAULT_AUTH_ROLE", "is missing beside VAULT_AUTH_METHOD"
    if Need.VAULT in needs and not env.get("VAULT_JWT_FILE") and not SERVICE_ACCOUNT_TOKEN.is_file():
        return "VAULT_JWT_FILE", f"is missing, and there is no {SERVICE_ACCOUNT_TOKEN}, where Kubernetes puts the token"
    return None
