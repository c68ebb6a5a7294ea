"""TLS in front of the sandbox's plain servers, for containers.

``python -m worker.sandbox.tls --certificate F --key F 8443=simulator:8080`` forwards a port until SIGTERM or SIGINT.

The worker hands secrets to https only, or to plain http on its own machine. So between the containers of
docker-compose.yml the sandbox goes the way of a real deployment: TLS, and an authority of one's own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Forward:
    """One port to listen on, and the plain server behind it."""

    port: int
    server: str
    server_port: int


def parse_forward(text: str) -> Forward:
    """Read ``8443=simulator:8080``; raises ValueError."""
    port, _, server = text.partition("=")
    host, _, server_port = server.rpartition(":")
    return Forward(int(port), host, int(server_port))


async def serve(forwards: Sequence[Forward], context: ssl.SSLContext, host: str) -> None:
    """Forward until SIGTERM or SIGINT; raises OSError when a port is taken."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    servers = [await asyncio.start_server(_Front(one).connected, host, one.port, ssl=context) for one in forwards]
    await stop.wait()
    for server in servers:
        server.close()


@dataclass(frozen=True, slots=True)
class _Front:
    forward: Forward

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until one side ends; TLS knows no half-closed connection."""
        try:
            behind = await asyncio.open_connection(self.forward.server, self.forward.server_port)
        except OSError:
            writer.close()  # as unreachable for the client as the server is
            return
        ways = (asyncio.create_task(_carry(reader, behind[1])), asyncio.create_task(_carry(behind[0], writer)))
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for side in (writer, behind[1]):
            side.close()
        await asyncio.wait(ways)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # a reset, or the other way was closed: ends this way as well
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a process."""
    parser = argparse.ArgumentParser(prog="python -m worker.sandbox.tls", description="TLS in front of plain servers.")
    parser.add_argument("--certificate", type=Path, required=True, help="PEM, with the chain")
    parser.add_argument("--key", type=Path, required=True, help="PEM")
    parser.add_argument("--client-authority", type=Path, help="PEM: lets in only who shows a certificate of it")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; another one only inside compose")
    parser.add_argument("forward", type=parse_forward, nargs="+", help="PORT=HOST:PORT")
    options = parser.parse_args(arguments)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.certificate, options.key)
    if options.client_authority:
        context.load_verify_locations(options.client_authority)
        context.verify_mode = ssl.CERT_REQUIRED
    asyncio.run(serve(options.forward, context, options.host))


if __name__ == "__main__":
    main()
