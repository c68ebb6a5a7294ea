"""Running the container credentials endpoint until SIGTERM or Ctrl-C."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Thread
from urllib.parse import quote

from worker.credentials.command import say, say_result
from worker.credentials.ending import Ending, guarded
from worker.credentials.endpoint import Address, Endpoint, address_from, token_in
from worker.credentials.environment import Given, Place, Server
from worker.credentials.keeper import Keeper
from worker.credentials.keys import AppKey
from worker.credentials.login import Session
from worker.credentials.receipts import ReceiptWriter
from worker.credentials.vault import Vault
from worker.errors import ConfigurationError
from worker.targets.receipts import reader_name


def serve(
    places: Sequence[Place],
    listen: str,
    token_file: Path,
    refresh: timedelta,
    vault: Server,
    login: Given,
    *,
    receipt: bool = False,
) -> int:
    """Serve each secret at its name, and say on stdout what goes into the environment of each program; the exit code.

    ``receipt``: leave word in Vault which key is served here.
    """
    address, session, ending = address_from(listen), Session(Vault(vault), login), Ending()
    reader = reader_name(socket.gethostname(), f"endpoint {listen}")
    notes = [(each, ReceiptWriter(session, each, reader, say) if receipt else None) for each in places]
    keepers = {
        each.name: Keeper(session.read, each, refresh, say, on_change=_noting(note), broke=ending.broke)
        for each, note in notes
    }
    token = token_in(token_file)
    try:
        server = Endpoint(address, token, keepers)
    except OSError as error:
        raise ConfigurationError((f"--listen: {listen}: {error.strerror}",)) from None
    ending.listen()
    for keeper in keepers.values():
        keeper.start()
    for _, note in notes:
        if note:
            note.start()
    Thread(target=guarded(server.serve_forever, ending.broke), name="endpoint", daemon=True).start()
    for name in keepers:
        say_result(_told(name, server.url, address, token_file))
    code = ending.wait()
    if isinstance(address, Path):
        with suppress(OSError):
            address.unlink()
    session.end()
    return code


def _noting(note: ReceiptWriter | None) -> Callable[[AppKey], None]:
    return note.used if note else lambda _: None


def _told(name: str, url: str, address: Address | Path, token_file: Path) -> str:
    if isinstance(address, Path):  # no SDK asks a Unix socket
        token = shlex.quote(str(token_file.absolute()))
        return (
            f"# {name}\ncurl --unix-socket {shlex.quote(str(address))} "
            f'--header "Authorization: $(cat {token})" {url}/{quote(name)}'
        )
    return (
        f"# {name}\nAWS_CONTAINER_CREDENTIALS_FULL_URI={url}/{name}\n"
        f"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE={token_file.absolute()}"
    )
