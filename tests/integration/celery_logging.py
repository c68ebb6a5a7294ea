"""Run as a child by test_logs_of_celery: a Celery worker on a broker in memory, which logs and then ends.

Every message that it finds, and every task, holds a canary in each place where Celery might log it.
"""

from __future__ import annotations

import sys

from celery import Celery, signals
from celery.exceptions import WorkerShutdown
from kombu import Producer

from worker.logs.redaction import Redactor
from worker.logs.setup import configure, take_over

CANARY = "CANARY-in-a-message"


def main() -> None:
    """Fill the queue, then work on it; the last task ends the worker."""
    configure("json", sys.stdout, Redactor(), level=int(sys.argv[1]))
    take_over(signals.setup_logging)
    app = Celery("logging", broker="memory://")
    app.conf.update(
        worker_hijack_root_logger=False, worker_redirect_stdouts=False, broker_connection_retry_on_startup=True
    )

    @app.task(name="t.returns")
    def returns(value: str) -> str:
        return value

    @app.task(name="t.fails")
    def fails(value: str) -> None:
        raise ValueError(value)

    @app.task(name="t.ends")
    def ends() -> None:
        raise WorkerShutdown(0)

    returns.delay(CANARY)
    fails.delay(CANARY)
    app.send_task("t.unknown", args=[CANARY], kwargs={"key": CANARY})
    _send_what_is_no_task(app)
    ends.delay()
    app.Worker(pool="solo", quiet=True, without_mingle=True, without_gossip=True, loglevel="DEBUG").start()


def _send_what_is_no_task(app: Celery) -> None:
    headers = {"lang": "py", "task": "t.returns", "id": "1", "note": CANARY}
    with app.connection_for_write() as connection:
        producer = Producer(connection.channel(), routing_key="celery")
        producer.publish({"no": CANARY})
        producer.publish([1, CANARY], headers=headers | {"eta": CANARY})
        producer.publish(CANARY.encode(), content_type="application/json", content_encoding="utf-8", headers=headers)


if __name__ == "__main__":
    main()
