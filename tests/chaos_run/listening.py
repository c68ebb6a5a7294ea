"""Who listens to the workers of a chaos run: a hook for notices, a collector of traces and errors, a Prometheus.

What they are told is kept, and has to be free of secrets like the log.
"""

from __future__ import annotations

import gzip
import json
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.wire import Heard, Wire, answer
from worker.notices.notice import Kind

EVERY = 2.0
"""Seconds between two scrapes of all workers."""

NOTICES, TRACES, METRICS = "notices", "traces and error reports", "metrics"
_PATIENCE = 5.0
_GZIP = b"\x1f\x8b"
_SENTRY_KEY = "5entry5public0key0of0this0chaos0"


@dataclass(slots=True)
class Listener:
    """All of them. ``log`` is what the workers log: where they serve metrics stands in it."""

    wire: Wire
    log: Path
    scrapes: dict[str, str] = field(default_factory=dict)
    """What was scraped, without what was there before: the lines of text, each with the last scrape that had it."""

    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def settings(self) -> str:
        """What a worker's configuration has for it."""
        events = json.dumps([kind for kind in Kind if kind is not Kind.TEST])
        hook = f'[[notify]]\nname = "hook"\nkind = "webhook"\nurl = "{self.wire.url}/hook"\nevents = {events}\n'
        return f'[metrics]\nlisten = "127.0.0.1:0"\n{hook}'

    @property
    def environment(self) -> Mapping[str, str]:
        """What a worker's environment has for it."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.wire.url,
            "OTEL_BSP_SCHEDULE_DELAY": "500",
            "OTEL_METRIC_EXPORT_INTERVAL": "2000",
            "SENTRY_DSN": f"{self.wire.url.replace('://', f'://{_SENTRY_KEY}@')}/7",
        }

    def texts(self) -> dict[str, str]:
        """What was told, by whom it was told."""
        told: dict[str, list[str]] = {NOTICES: [], TRACES: []}
        for heard in tuple(self.wire.heard):
            told[NOTICES if heard.target == "/hook" else TRACES].append(_text(heard))
        return {**{name: "\n".join(each) for name, each in told.items()}, METRICS: "\n".join(self.scrapes)}

    def scrape_on(self) -> None:
        """Scrape every worker again and again, until the end. One that does not answer is left out: it was killed."""
        while not self._ended.wait(EVERY):
            for address in self._addresses():
                try:
                    with urllib.request.urlopen(f"http://{address}/metrics", timeout=_PATIENCE) as told:
                        self.scrapes |= dict.fromkeys(told.read().decode().splitlines(), address)
                except OSError:
                    continue

    def end(self) -> None:
        """Scrape no more."""
        self._ended.set()

    def _addresses(self) -> Iterator[str]:
        """Of the workers that were started last."""
        told = [line for line in self.log.read_text("utf-8").splitlines() if '"metrics.served"' in line]
        for line in told[-8:]:
            begins = line.rfind('{"timestamp"')  # a worker that was killed may have left half a line before it
            try:
                yield str(json.loads(line[begins:])["address"])
            except ValueError:
                continue


@contextmanager
def listening(log: Path) -> Iterator[Listener]:
    """Until the end."""
    with Wire(answer(200, b"{}")) as wire:
        listener = Listener(wire, log)
        scraping = threading.Thread(target=listener.scrape_on, daemon=True)
        scraping.start()
        try:
            yield listener
        finally:
            listener.end()
            scraping.join()


def _text(heard: Heard) -> str:
    """Headers and body; of protobuf what is text in it."""
    body = gzip.decompress(heard.body) if heard.body.startswith(_GZIP) else heard.body
    headers = " ".join(f"{name}: {value}" for name, value in heard.headers.items())
    return f"{heard.target} {headers} {body.decode('utf-8', 'replace')}"
