"""The sandbox: simulator, Vault and Valkey started together, with a configuration ready to be used.

:func:`run_sandbox` is what ``rotator sandbox`` does. :func:`start_sandbox` is for demos and tests, which do more with
it. Both want the main thread (see :mod:`worker.sandbox.servers`).
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker.errors import ConfigurationError, RotatorError, TryAgainLater
from worker.sandbox.files import (
    append_private,
    open_private,
    private_folder,
    replace_private,
    see_that_it_is_ours,
)
from worker.sandbox.servers import ValkeyServer, VaultServer, start_valkey, start_vault
from worker.sandbox.simulator.process import SimulatorProcess, start_simulator
from worker.sandbox.texts import (
    DEFAULT,
    FIRST_LINE,
    ROLE,
    SandboxOptions,
    SandboxTarget,
    configuration,
    environment_file,
    policy,
    targets,
)
from worker.secret import Secret

_ADMINISTRATOR = "vault_root_token"
"""The file of Vault's administrator, among the sandbox's secrets: for who tries out how policies and roles are made."""

_LOOK = 0.1
_HOSTUP = ("HOSTUP_API_KEY", "HOSTUP_API_KEY_FILE")
_VAULT = (
    "VAULT_ADDR",
    "VAULT_NAMESPACE",
    "VAULT_AUTH_NAMESPACE",
    "VAULT_AUTH_METHOD",
    "VAULT_AUTH_ROLE",
    "VAULT_JWT_FILE",
    "VAULT_CACERT",
    "VAULT_CAPATH",
    "VAULT_CLIENT_CERT",
    "VAULT_CLIENT_KEY",
    "VAULT_TLS_SERVER_NAME",
    "VAULT_PROXY_ADDR",
    "VAULT_TOKEN",
    "VAULT_TOKEN_FILE",
    "VAULT_ROLE_ID",
    "VAULT_ROLE_ID_FILE",
    "VAULT_SECRET_ID",
    "VAULT_SECRET_ID_FILE",
    "VAULT_SECRET_ID_WRAPPED",
    "VAULT_SECRET_ID_NUM_USES",
)
_REDIS = ("REDIS_URL", "REDIS_URL_FILE")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """All of it, running. ``vault`` and ``valkey`` are None where the environment named others.

    ``environment`` is what a worker for it needs; secrets are in files that it names.
    """

    folder: Path
    simulator: SimulatorProcess
    vault: VaultServer | None
    valkey: ValkeyServer | None
    environment: Mapping[str, str]
    targets: tuple[SandboxTarget, ...]

    def ended(self) -> str | None:
        """The name of a part that has ended by itself, if one has."""
        parts = {"the simulator": self.simulator, "Vault": self.vault, "Valkey": self.valkey}
        return next((name for name, part in parts.items() if part and part.process.poll() is not None), None)


@contextmanager
def start_sandbox(
    folder: Path, options: SandboxOptions = DEFAULT, environ: Mapping[str, str] = os.environ
) -> Iterator[Sandbox]:
    """Start all parts, fresh, and write ``rotator.toml`` and ``env`` into ``folder``; end them at the end.

    A Vault that ``VAULT_ADDR`` names, or a Redis that ``REDIS_URL`` names, is used as it is. Raises ConfigurationError
    for a folder that is not the sandbox's or a server that is missing, TryAgainLater when a sandbox runs there
    already, RotatorError when a part does not start.
    """
    folder = folder.absolute()
    with ExitStack() as stack:
        _take(folder, stack)
        api_key = replace_private(folder / "secrets" / "hostup_api_key", secrets.token_urlsafe(24))
        simulator = start_simulator(folder, api_key, options)
        stack.callback(simulator.stop)
        simulator.admin.add_key("made by hand, before the rotator came")
        variables = {"ROTATOR_CONFIG": str(folder / "rotator.toml"), "HOSTUP_API_KEY_FILE": str(api_key)}
        unset = {*_HOSTUP}
        vault = valkey = None
        if not environ.get("VAULT_ADDR"):
            vault = start_vault(folder / "vault")
            stack.callback(vault.stop)
            _secret_file(folder, _ADMINISTRATOR, vault.root_token)
            variables |= _log_in(vault, folder, options)
            unset |= {*_VAULT}
        if not any(environ.get(name) for name in _REDIS):
            valkey = start_valkey(folder / "valkey")
            stack.callback(valkey.stop)
            variables["REDIS_URL_FILE"] = _secret_file(folder, "redis_url", valkey.url)
            unset |= {*_REDIS}
        replace_private(folder / "rotator.toml", configuration(simulator.hostup, options))
        replace_private(folder / "env", environment_file(variables, unset))
        kept = {name: environ[name] for name in (*_VAULT, *_REDIS) if name in environ and name not in unset}
        yield Sandbox(folder, simulator, vault, valkey, kept | variables, targets(options.targets))


def run_sandbox(
    folder: Path,
    say: Callable[[str], None],
    options: SandboxOptions = DEFAULT,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Start everything, say what to type next, and run until Ctrl-C or SIGTERM; then end everything.

    Raises what :func:`start_sandbox` raises, and RotatorError when a part ends by itself.
    """
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with start_sandbox(folder, options, environ) as sandbox:
            try:
                for line in _welcome(sandbox):
                    say(line)
                _watch(sandbox)
            finally:
                for number in before:
                    signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave anything running
    except KeyboardInterrupt:
        say("Stopped; nothing is left running.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _watch(sandbox: Sandbox) -> None:
    while (name := sandbox.ended()) is None:
        time.sleep(_LOOK)
    raise RotatorError(f"{name} has ended by itself", hint=f"See the logs in {sandbox.folder}, and start again.")


def _take(folder: Path, stack: ExitStack) -> None:
    """Make the folder ours, and empty; the lock on it ends with this process at the latest."""
    ours = folder / "rotator.toml"
    if os.path.lexists(folder) and any(see_that_it_is_ours(folder).iterdir()) and not _is_ours(ours):
        raise ConfigurationError((f"{folder} holds something else",), hint="Name a new folder for the sandbox.")
    private_folder(folder)
    lock = stack.enter_context(append_private(folder / "lock"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TryAgainLater(f"a sandbox runs in {folder} already", hint="Stop it, or name another folder.") from None
    for old in (folder / name for name in ("secrets", "vault", "valkey")):
        shutil.rmtree(private_folder(old))
    for name in ("ledger.jsonl", "simulator.log"):
        (folder / name).unlink(missing_ok=True)
    replace_private(ours, f"{FIRST_LINE}\n")  # from here on the folder is known as ours, also after a crash
    private_folder(folder / "secrets")


def _is_ours(file: Path) -> bool:
    """Whether a sandbox wrote it, and not somebody else's program by way of a link."""
    if not os.path.lexists(file):
        return False
    with os.fdopen(open_private(file, os.O_RDONLY), encoding="utf-8", errors="replace") as text:
        return text.read(len(FIRST_LINE)) == FIRST_LINE


def _log_in(vault: VaultServer, folder: Path, options: SandboxOptions) -> dict[str, str]:
    """Give the worker an AppRole with no more rights than config/vault/rotator-policy.hcl gives."""
    rights = policy(target.path for target in targets(options.targets))
    vault.admin.write_policy("hostup-rotator", rights)
    vault.admin.enable_approle()
    role = vault.admin.app_role("hostup-rotator", ROLE)
    return {
        "VAULT_ADDR": vault.address,
        "VAULT_ROLE_ID": role.role_id,
        "VAULT_SECRET_ID_FILE": _secret_file(folder, "vault_secret_id", role.secret_id),
    }


def _secret_file(folder: Path, name: str, secret: Secret) -> str:
    return str(replace_private(folder / "secrets" / name, secret.reveal()))


def _welcome(sandbox: Sandbox) -> Iterator[str]:
    yield f"HostUp (simulated)   {sandbox.simulator.hostup}"
    yield f"Object storage       {sandbox.simulator.s3}"
    yield f"Simulator's controls {sandbox.simulator.admin.url}/_sim/ledger"
    yield f"Vault                {sandbox.vault.address if sandbox.vault else 'yours, by VAULT_ADDR'}"
    yield f"Valkey               {sandbox.valkey.address if sandbox.valkey else 'yours, by REDIS_URL'}"
    yield ""
    yield "In another terminal:"
    if shutil.which("rotator") is None:
        yield f"  export PATH={Path(sys.executable).parent}:$PATH"
    yield f"  . {sandbox.folder / 'env'}"
    yield "  rotator check"
    yield "  rotator worker"
    yield "and in a third one, after the same beginning:"
    yield f"  rotator rotate {sandbox.targets[0].name} --wait"
    yield "  rotator status"
    if sandbox.vault:
        yield "To be Vault's administrator for one command:"
        yield f"  VAULT_TOKEN=$(cat {sandbox.folder / 'secrets' / _ADMINISTRATOR}) rotator vault setup --dry-run"
    order = json.dumps({"like": "cut-after", "operation": "create"})
    yield "To see a create go wrong (more faults: worker/sandbox/simulator/faults.py):"
    yield f"  curl -d '{order}' {sandbox.simulator.admin.url}/_sim/faults"
    yield ""
    yield "Ctrl-C ends all of it."
