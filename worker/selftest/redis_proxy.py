"""A TCP proxy in front of Redis that understands as much of its protocol as a script needs: command and first key."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import Self

from worker.sandbox.listener import Listener, reset_on_close
from worker.sandbox.wire import Response
from worker.selftest.script import Exchange, Moment, Rule, Script, Seen, act

CHUNK = 65_536
_KEY_POSITION = {b"EVALSHA": 3, b"EVAL": 3, b"FCALL": 3}
"""Where the first key stands; for all other commands it is the second word."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a client: its name, its first key, and the bytes that it came as."""

    name: str
    key: str
    raw: bytes


class RedisProxy:
    """Stands in for the Redis at ``host`` and ``port`` until :meth:`stop`; ``service`` is its name in the trace.

    AFTER and DELIVERED are the moments of the next piece of reply on the command's connection, which is that command's
    own reply unless the client sends several at once. Of a Response that an action returns, ``raw`` is sent as it is
    (see :func:`worker.selftest.actions.redis_error`) and ``delivery.cut`` resets the connection.
    """

    def __init__(self, upstream: tuple[str, int], script: Script, service: str = "redis", port: int = 0) -> None:
        self.service = service
        self.upstream = upstream
        self._script = script
        self._flowing = threading.Event()
        self._flowing.set()
        self._listener = Listener(self._serve, port=port)
        self.port = self._listener.port

    def stop(self) -> None:
        """Close the port and all connections; may be called twice."""
        self._flowing.set()
        self._listener.stop()

    def drop_connections(self) -> None:
        """Reset all connections; new ones are accepted."""
        self._listener.drop_connections()

    def freeze(self) -> None:
        """From now on nothing gets through, and no connection ends: a half-open network."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let everything through again, first of all what was held."""
        self._flowing.set()

    def __enter__(self) -> Self:
        """Serve within a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self.upstream)
        except OSError:
            return  # the client is shown what we saw: nobody there
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asked: deque[tuple[Seen, tuple[Rule, ...]]] = deque()
        back = threading.Thread(target=self._pass_back, args=(server, client, asked), daemon=True)
        back.start()
        try:
            with contextlib.suppress(OSError), client.makefile("rb") as reader:  # either side may leave at any moment
                self._pass_on(reader, client, server, asked)
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            back.join()
            server.close()

    def _pass_on(
        self,
        reader: BufferedReader,
        client: socket.socket,
        server: socket.socket,
        asked: deque[tuple[Seen, tuple[Rule, ...]]],
    ) -> None:
        for command in read_commands(reader):
            self._flowing.wait()
            seen, rules = self._script.arrived(self.service, command.name, command.key)
            answer = act(rules, Moment.BEFORE, Exchange(seen))
            if answer is None:
                asked.append((seen, rules))
                server.sendall(command.raw)
            elif not _answer(client, answer):
                return

    def _pass_back(
        self, server: socket.socket, client: socket.socket, asked: deque[tuple[Seen, tuple[Rule, ...]]]
    ) -> None:
        with contextlib.suppress(OSError):  # either side may leave at any moment
            while chunk := server.recv(CHUNK):
                self._flowing.wait()
                met = [asked.popleft() for _ in range(len(asked))]
                replies = [act(rules, Moment.AFTER, Exchange(seen)) for seen, rules in met]
                instead = next((reply for reply in replies if reply is not None), Response(200, raw=chunk))
                if not _answer(client, instead):
                    break
                for seen, rules in met:
                    act(rules, Moment.DELIVERED, Exchange(seen))
            client.shutdown(socket.SHUT_RDWR)  # ends the other direction, too


def _answer(client: socket.socket, answer: Response) -> bool:
    """Send an action's answer; False when the connection is to end."""
    if answer.delivery.cut:
        reset_on_close(client)
        return False
    client.sendall(answer.raw or b"")
    return True


def read_commands(reader: BufferedReader) -> Iterator[Command]:
    """The commands of a connection until it ends: arrays of bulk strings, or lines of words."""
    while line := reader.readline():
        if not line.startswith(b"*"):
            words, raw = line.split(), line
        else:
            parts = [_bulk_string(reader) for _ in range(_number(line))]
            words, raw = [word for word, _ in parts], line + b"".join(piece for _, piece in parts)
        yield _command(words, raw)


def _bulk_string(reader: BufferedReader) -> tuple[bytes, bytes]:
    head = reader.readline()
    size = _number(head)
    body = reader.read(size + 2)
    if len(body) < size + 2:
        raise ConnectionError  # the client was killed in the middle of a command
    return body[:size], head + body


def _number(line: bytes) -> int:
    if not line[1:].strip().isdigit():
        raise ConnectionError  # the same, or it does not speak Redis at all
    return int(line[1:])


def _command(words: list[bytes], raw: bytes) -> Command:
    name = words[0].upper() if words else b""
    position = _KEY_POSITION.get(name, 1)
    key = words[position] if len(words) > position else b""
    return Command(name.decode("ascii", "replace"), key.decode("utf-8", "replace"), raw)
