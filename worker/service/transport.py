"""How messages come from Redis and go there: kombu's transport, which no message and no reply of Redis can end.

kombu's own hands Celery whatever lies on the queue, and lets an error that Redis replies with end the process
(docs/facts.md, "Celery on Redis"). Here every item is read first (:mod:`worker.service.message`), what is not taken
is told and gone, a key of another type is deleted, and with any other trouble the worker waits until Redis is well
again. All that is lost so are hints: what is to be done is on record in Vault.

The tables of bindings that kombu keeps in Redis are neither read nor written: a message goes to a queue by its name.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterable
from queue import Empty
from typing import Any

import redis
import structlog
from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as kombu_redis
from redis.exceptions import ResponseError

from worker.adapters.redis.errors import first_word
from worker.adapters.redis.keys import UNACKED, UNACKED_INDEX
from worker.adapters.redis.replies import ReplyTooLong
from worker.clock import SystemClock
from worker.events import Event
from worker.service.message import LONGEST_ITEM, Message, Refused, read
from worker.service.refusals import Refusals
from worker.service.replies import LONGEST_REPLY, Client, Failed, Parser, tell

ALIAS = "rotator-redis"
"""What Celery knows this transport by."""

WRONG_TYPE = "WRONGTYPE"

PAUSE_SECONDS = 1.0
"""Between two tries to read, while Redis replies with errors."""

RESTORED_AT_ONCE = 1000

_AWAY = (redis.ConnectionError, redis.TimeoutError)

TRANSPORT_ALIASES[ALIAS] = f"{__name__}:Transport"

_kombu: Any = kombu_redis
"""Most of what is used of it is in no stubs."""

_log = structlog.get_logger(__name__)


class QoS(_kombu.QoS):  # type: ignore[misc]  # see there
    """Messages that were taken and are not acknowledged. Where Redis cannot keep them, the process alone knows them."""

    def can_consume(self) -> bool:
        """Whether to read on."""
        return bool(self.channel.may_read() and super().can_consume())

    def append(self, message: Any, delivery_tag: str) -> None:
        """A message was taken."""
        try:
            super().append(message, delivery_tag)
        except ResponseError as error:
            self.channel.cannot_keep(error)
            virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """A message is done with. Where Redis is not told, it comes back once more, which is harmless."""
        try:
            super().ack(delivery_tag)
        except _AWAY:  # the consumer meets it, too, and connects anew; Celery would call this one critical
            virtual.QoS.ack(self, delivery_tag)
        except ResponseError as error:
            self.channel.cannot_keep(error)
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - as kombu has it
        """A message is not worked on."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        except _AWAY:
            virtual.QoS.ack(self, delivery_tag)
        except ResponseError as error:
            self.channel.cannot_keep(error)
            virtual.QoS.ack(self, delivery_tag)

    def restore_visible(self, start: int = 0, num: int | None = None, interval: int | None = 10) -> None:
        """Put back what was taken long ago. No lock is needed for it, which somebody could hold for ever."""
        self._vrestore_count += 1
        if (self._vrestore_count - 1) % (interval or 1):
            return
        self.channel.delete_wrong_types()
        oldest = time.time() - self.visibility_timeout
        most = num or RESTORED_AT_ONCE
        try:
            with self.channel.conn_or_acquire() as client:
                index = self.unacked_index_key
                for tag in client.zrange(index, "-inf", oldest, byscore=True, offset=start, num=most):
                    self.restore_by_tag(tag, client)
        except ReplyTooLong:
            self.channel.delete((self.unacked_index_key,), "too long")
        except ResponseError as error:
            self.channel.cannot_keep(error)

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:  # noqa: FBT001, FBT002
        """Put one message back on our queue, wherever it says that it came from, if it is one that is taken at all."""

        def restore(pipe: Any) -> None:
            length = pipe.hstrlen(self.unacked_key, tag)
            kept = pipe.hget(self.unacked_key, tag) if length <= 2 * LONGEST_ITEM else b""
            pipe.multi()
            self._remove_from_indices(tag, pipe)
            message = self.channel.read_kept(kept, length) if length else None
            if message:
                push = pipe.lpush if leftmost else pipe.rpush
                push(self.channel.queue, message.encode(self.channel.queue))

        try:
            with self.channel.conn_or_acquire(client) as known:
                known.transaction(restore, self.unacked_key)
        except ResponseError as error:
            self.channel.cannot_keep(error)


class Channel(_kombu.Channel):  # type: ignore[misc]  # see there
    """Reads one queue, and mends what it finds there."""

    QoS = QoS
    from_transport_options = (*_kombu.Channel.from_transport_options, "queue", "failed")
    unacked_key = UNACKED
    unacked_index_key = UNACKED_INDEX
    queue = ""
    failed: Failed | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        self._refusals = Refusals(SystemClock())
        self._next_read = 0.0
        super().__init__(*args, **options)

    def may_read(self) -> bool:
        """Whether there is no pause because of an error."""
        return time.monotonic() >= self._next_read

    def mend(self, error: ResponseError) -> bool:
        """Delete what has a wrong type, if that is what Redis replied; whether something was deleted."""
        return first_word(error) == WRONG_TYPE and self.delete_wrong_types()

    def delete_wrong_types(self) -> bool:
        """Delete keys that nobody can use as they are: ours, and those by which other apps find the queue."""
        lists = [self._q_for_pri(self.queue, priority) for priority in self.priority_steps]
        tables = [table % self.queue for table in (self.keyprefix_queue, self.keyprefix_binding_permanent)]
        types = {**dict.fromkeys(lists, b"list"), **dict.fromkeys(tables, b"set")}
        types |= {self.unacked_key: b"hash", self.unacked_index_key: b"zset"}
        try:
            with self.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
                for key in types:
                    pipe.type(key)
                found = zip(types.items(), pipe.execute(), strict=True)
            wrong = [key for (key, kind), is_of in found if is_of not in (kind, b"none")]
            self.delete(wrong, "of another type")
        except (redis.RedisError, OSError):
            return False  # whoever calls meets the same error, or told another
        return bool(wrong)

    def cannot_keep(self, error: ResponseError) -> None:
        """Redis replied with an error to what concerns messages that were taken: mend it, or say so."""
        if not self.mend(error):
            tell(error, self.failed)

    def delete(self, keys: Iterable[str], why: str) -> None:
        """Delete keys of ours that hold what no worker wrote, and say so."""
        with self.conn_or_acquire() as client:
            for key in keys:
                client.delete(key)
                _log.warning(Event.REDIS_REPAIRED, key=key, found=why, hint=_LOST)

    def read_kept(self, kept: bytes, length: int) -> Message | None:
        """A message that was kept until it is acknowledged; None for what is none, which is told."""
        try:
            return read(json.dumps(json.loads(kept)[0]).encode())
        except Refused as refused:
            self._refusals.tell(refused, length)
        except (ValueError, TypeError, LookupError, RecursionError):
            self._refusals.tell(Refused("kept"), length)
        return None

    def _get_client(self) -> Callable[..., redis.Redis]:
        super()._get_client()  # sees to the version
        return functools.partial(Client, look=self._look)

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - as kombu has it
        told = {**super()._connparams(asynchronous=asynchronous), "parser_class": Parser}
        return {**told, "retry_on_error": [redis.ReadOnlyError]}  # as in worker.adapters.redis.client

    def _look(self, reply: Callable[[], Any]) -> Any:
        """What BRPOP brings, with the item made anew; None when there is nothing to do about it."""
        try:
            found = reply()
        except ReplyTooLong:
            self._refusals.tell(Refused("length"), LONGEST_REPLY)
            return None
        except ResponseError as error:
            if not self.mend(error):
                tell(error, self.failed)
                self._next_read = time.monotonic() + PAUSE_SECONDS
                self.client.connection.disconnect()  # another server may be behind the name by now
            return None
        if not found:
            self._refusals.tell_rest()
            return None
        key, item = found
        try:
            return key, read(item).encode(self.queue)
        except Refused as refused:
            self._refusals.tell(refused, len(item))
            return None

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        try:
            super()._put(queue, message, **options)
        except ResponseError as error:
            if not self.mend(error):
                raise
            super()._put(queue, message, **options)

    def _size(self, queue: str) -> int:
        try:
            return int(super()._size(queue))
        except ResponseError as error:
            self.mend(error)
            return 0

    def _queue_bind(self, *_: Any) -> None:
        """No table is written, see the module's docstring; a queue is declared, so it is seen that it can be used."""
        self.delete_wrong_types()


class Transport(_kombu.Transport):  # type: ignore[misc]  # see there
    """See the module's docstring."""

    Channel = Channel

    def on_readable(self, fileno: int) -> None:
        """Redis has sent something."""
        try:
            super().on_readable(fileno)
        except (Empty, *self.connection_errors):
            raise  # kombu's own signs
        except Exception as error:  # noqa: BLE001 - the border to what others wrote: what was read is off the queue
            _log.exception(Event.ERROR_UNCAUGHT, kind=type(error).__name__)


_LOST = (
    "No worker writes that: see who else can write to this Redis. It was deleted; nothing is lost but messages, and "
    "what is to be done is on record in Vault."
)
