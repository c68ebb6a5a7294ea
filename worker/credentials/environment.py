"""Where the secrets are and how to log in: from arguments, the environment, and the names in a rotator.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from worker.errors import ConfigurationError, UsageError
from worker.secret import Secret, is_one_word
from worker.targets.fields import PRESETS, SOURCES, FieldMap, field_map

DEFAULT_MOUNT = "secret"
_WAYS = ("approle", "kubernetes", "jwt")
"""Those that may be enabled at a mount of another name."""
_LONGEST_LABEL = 63
"""Characters between two dots of a host's name; with others a look for it is a ValueError, and no OSError."""
SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""Where Kubernetes puts it in every pod, if not told otherwise."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where Vault is, as the variables ``VAULT_...`` tell it."""

    address: str
    namespace: str = ""
    ca_file: str = ""
    ca_path: str = ""
    client_cert: str = ""
    client_key: str = ""
    tls_name: str = ""
    proxy: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Given:
    """How to log in; what is first set of ``token``, ``token_file``, ``role_id`` and ``jwt_file`` is used.

    ``role`` goes with ``jwt_file``; ``mount`` and ``namespace`` are where the last two log in.
    """

    token: Secret | None = None
    token_file: Path | None = None
    role_id: str = ""
    secret_id: Secret | None = None
    secret_id_file: Path | None = None
    jwt_file: Path | None = None
    role: str = ""
    mount: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """One app's secret: under which name it is asked for, and where it is in Vault.

    ``names`` tells the names of its parts; None: found out. ``receipts`` is the folder for receipts; empty: the usual.
    """

    name: str
    mount: str
    path: str
    names: FieldMap | None = None
    receipts: str = ""


def server_from(env: Mapping[str, str]) -> Server:
    """Where Vault is. Raises ConfigurationError."""
    address = env.get("VAULT_ADDR", "").strip().rstrip("/")
    parts = _split(address)
    if parts is None or parts.scheme not in {"http", "https"} or parts.username is not None:
        raise ConfigurationError(("environment: VAULT_ADDR: must be set, such as https://vault.example.com:8200",))
    if parts.path or "?" in address or "#" in address:
        raise ConfigurationError((f"environment: VAULT_ADDR: ends in {parts.path}; leave out what follows the port",))
    if env.get("VAULT_PROXY_ADDR") and env.get("VAULT_TLS_SERVER_NAME"):
        raise ConfigurationError(("environment: VAULT_TLS_SERVER_NAME: cannot be used by way of a proxy",))
    return Server(
        address,
        _namespace(env, "VAULT_NAMESPACE"),
        env.get("VAULT_CACERT", ""),
        env.get("VAULT_CAPATH", ""),
        env.get("VAULT_CLIENT_CERT", ""),
        env.get("VAULT_CLIENT_KEY", ""),
        env.get("VAULT_TLS_SERVER_NAME", ""),
        env.get("VAULT_PROXY_ADDR", ""),
    )


def _split(address: str) -> SplitResult | None:
    """The parts of an address with a host; None for what no reader of addresses, or of hosts' names, takes."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    fits = all(0 < len(label) <= _LONGEST_LABEL for label in host.removesuffix(".").split("."))
    return parts if is_one_word(address) and fits and port != 0 else None


def login_from(env: Mapping[str, str], mount: str = "", mounts: Mapping[str, str] | None = None) -> Given:
    """How to log in; the Vault command's own file is the last that is looked at. Raises ConfigurationError.

    ``mount`` is where AppRole, Kubernetes or JWT is enabled; else what ``mounts`` (of a rotator.toml) has for the one
    that is used, else a mount of its name.
    """
    own_file = Path(env.get("HOME") or "/nonexistent") / ".vault-token"
    token_file = env.get("VAULT_TOKEN_FILE")
    role_id = env.get("VAULT_ROLE_ID", "") or _in_file(env.get("VAULT_ROLE_ID_FILE"))
    method = "approle" if role_id else env.get("VAULT_AUTH_METHOD", "") or "approle"
    given = Given(
        _secret(env, "VAULT_TOKEN"),
        Path(token_file) if token_file else None,
        role_id,
        _secret(env, "VAULT_SECRET_ID"),
        Path(env["VAULT_SECRET_ID_FILE"]) if env.get("VAULT_SECRET_ID_FILE") else None,
        _jwt_file(env),
        env.get("VAULT_AUTH_ROLE", ""),
        mount or (mounts or {}).get(method, method),
        _namespace(env, "VAULT_AUTH_NAMESPACE") or _namespace(env, "VAULT_NAMESPACE"),
    )
    nothing = not (given.token or given.token_file or given.role_id or given.jwt_file)
    return Given(token_file=own_file) if nothing and own_file.is_file() else given


def _jwt_file(env: Mapping[str, str]) -> Path | None:
    method, file = env.get("VAULT_AUTH_METHOD", ""), env.get("VAULT_JWT_FILE")
    if method not in {"jwt", "kubernetes"}:
        return None
    return Path(file) if file else SERVICE_ACCOUNT_TOKEN


def _secret(env: Mapping[str, str], name: str) -> Secret | None:
    """A secret as it can be sent; one with an end of line would be shown by the error of who sends it."""
    value = env.get(name, "")
    if value and not is_one_word(value):
        what = "must be one word of visible ASCII, without a space or an end of line"
        raise ConfigurationError((f"environment: {name}: {what}",))
    return Secret(value) if value else None


def _namespace(env: Mapping[str, str], name: str) -> str:
    """It is sent beside the token, and so held against the same."""
    found = _secret(env, name)
    return found.reveal() if found else ""


def _in_file(name: str | None) -> str:
    if not name:
        return ""
    try:
        return Path(name).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError((f"environment: VAULT_ROLE_ID_FILE: {name} cannot be read",)) from None


def place_at(path: str, mount: str, fields: str) -> Place:
    """A secret by its path: ``apps/media/object-storage``, with or without the mount before it. Raises UsageError."""
    bare = path.strip("/").removeprefix(f"{mount}/")
    if not bare or not bare.isprintable() or ".." in bare.split("/"):
        raise UsageError(f"{path[:64]!r} is no path of a secret", hint="Such as apps/media/object-storage.")
    return Place(bare, mount, bare, names_from(fields))


def names_from(fields: str) -> FieldMap | None:
    """What ``--fields`` says: nothing, a preset, or ``access_key=S3_KEY,secret_key=S3_SECRET``. Raises UsageError."""
    if not fields:
        return None
    if fields in PRESETS:
        return PRESETS[fields]
    pairs = [part.partition("=") for part in fields.split(",")]
    names = {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
    if not all(names.values()) or not names.keys() <= set(SOURCES) or len(names) < len(pairs):
        raise UsageError(
            f"{fields[:64]!r} names no fields",
            hint=f"One of {', '.join(PRESETS)}, or such as access_key=S3_KEY,secret_key=S3_SECRET, "
            f"with any of {', '.join(SOURCES)}.",
        )
    return field_map(names)


def places_named(names: list[str], file: Path) -> tuple[list[Place], Mapping[str, str]]:
    """Targets of a rotator.toml, by name; and where the ways to log in are enabled, by their name, as it says.

    Reads what helpers need only; the worker checks the rest. Raises ConfigurationError, and UsageError for a name that
    is not in it.
    """
    document = _document(file)
    vault, targets = document.get("vault"), document.get("target")
    vault = vault if isinstance(vault, dict) else {}
    mount, receipts = vault.get("mount", DEFAULT_MOUNT), vault.get("receipts_path", "")
    known = {each.get("name"): each for each in targets if isinstance(each, dict)} if isinstance(targets, list) else {}
    places = []
    for name in names:
        target = known.get(name)
        if target is None or not isinstance(target.get("path"), str):
            raise UsageError(f"there is no target {name[:64]!r} in {file}", hint="Or name a secret by --path.")
        place = Place(name, str(mount), target["path"], _names_of(target.get("fields")), str(receipts).strip("/"))
        places.append(place)
    return places, {way: mount for way in _WAYS if isinstance(mount := vault.get(f"{way}_mount"), str)}


def _document(file: Path) -> dict[str, object]:
    import tomllib  # noqa: PLC0415 - most helpers are started with --path

    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        hint = "Name a secret by --path, or the configuration by --config or ROTATOR_CONFIG."
        raise ConfigurationError((f"{file}: cannot be read: {why}",), hint=hint) from None


def _names_of(fields: object) -> FieldMap | None:
    if isinstance(fields, str):
        return PRESETS.get(fields)
    if isinstance(fields, dict):
        return field_map(
            {str(ours): tuple(name) if isinstance(name, list) else str(name) for ours, name in fields.items()}
        )
    return None
