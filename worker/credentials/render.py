"""``rotator render``: writes apps' keys as files, and keeps them fresh."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from threading import Thread

from worker.credentials.ending import Ending, guarded
from worker.credentials.environment import Given, Server
from worker.credentials.files import PAIR, pair, text
from worker.credentials.jobs import Job
from worker.credentials.keys import AppKey, key_in, look_every
from worker.credentials.login import Session
from worker.credentials.placing import forget, marked, put_file, put_folder
from worker.credentials.receipts import ReceiptWriter
from worker.credentials.vault import Vault
from worker.errors import RotatorError
from worker.targets.receipts import reader_name

Say = Callable[[str], None]
Read = Callable[[str, str], tuple[dict[str, object], int]]


Done = Callable[[Job, AppKey], None]


def _nobody(_job: Job, _key: AppKey) -> None:
    """Nobody wants to know."""


def put(job: Job, key: AppKey) -> bool:
    """Write a key as a job says; True where that changed something. Raises FileUnwritable, CredentialsUnusable."""
    mark = job.tell is not None
    if job.form == PAIR:
        return put_folder(job.to, {name: value.encode() for name, value in pair(key).items()}, job.access, mark=mark)
    return put_file(job.to, text(job.form, key).encode(), job.access, mark=mark)


class Renderer:
    """Looks at Vault for each job in turn; what goes wrong with one is told once, and holds up no other.

    ``done`` is told of a job and its key whenever the file holds it, and the program was told.
    """

    def __init__(self, jobs: Sequence[Job], read: Read, refresh: timedelta, say: Say, done: Done = _nobody) -> None:
        self._jobs = jobs
        self._done = done
        self._read = read
        self._refresh = refresh
        self._say = say
        self._said: dict[Path, str] = {}
        self._waits: dict[Path, timedelta] = {}

    def look(self) -> timedelta:
        """One look for all jobs; in how long the next one is due."""
        return min(self._look(job) for job in self._jobs)

    def once(self) -> None:
        """The same for a job that shall fail: raises what went wrong first, after all jobs had their turn."""
        errors: list[RotatorError] = []
        for job in self._jobs:
            try:
                self._do(job)
            except RotatorError as error:
                errors.append(error)
        for another in errors[1:]:
            self._say(str(another))
        if errors:
            raise errors[0]

    def _look(self, job: Job) -> timedelta:
        try:
            key = self._do(job)
        except RotatorError as error:
            if self._said.get(job.to) != str(error):
                self._say(f"{error} (for {job.to})")
            self._said[job.to] = str(error)
            # no less often than while all was well: the grace goes on while Vault is away
            return self._waits.get(job.to, look_every(self._refresh, []))
        if self._said.pop(job.to, None):
            self._say(f"{job.to}: all is well again")
        self._waits[job.to] = look_every(self._refresh, [key])
        return self._waits[job.to]

    def _do(self, job: Job) -> AppKey:
        """A program that could not be told is told at the next look, if need be of the next process."""
        fields, version = self._read(job.place.mount, job.place.path)
        key = key_in(fields, version, job.place.names)
        if put(job, key):
            self._say(f"{job.to}: written, with the key {key.access_key}")
        if job.tell and marked(job.to, whole=job.form == PAIR):
            job.tell.tell()
            forget(job.to, whole=job.form == PAIR)
        self._done(job, key)
        return key


def render(
    jobs: Sequence[Job],
    refresh: timedelta,
    vault: Server,
    login: Given,
    say: Say,
    *,
    once: bool,
    receipt: bool = False,
) -> int:
    """Write all jobs ``once``, or until SIGTERM or Ctrl-C, which end it at once.

    ``receipt``: leave word in Vault which key is in which file.
    """
    session = Session(Vault(vault), login)
    renderer = Renderer(jobs, session.read, refresh, say, _noting(jobs, session, say) if receipt else _nobody)
    try:
        if once:
            renderer.once()
            return 0
        return _keep(renderer)
    finally:
        session.end()


def _noting(jobs: Sequence[Job], session: Session, say: Say) -> Done:
    host = socket.gethostname()
    notes = {
        job.to: ReceiptWriter(session, job.place, reader_name(host, f"render {job.to.absolute()}"), say) for job in jobs
    }
    for note in notes.values():
        note.start()
    return lambda job, key: notes[job.to].used(key)


def _keep(renderer: Renderer) -> int:
    ending = Ending()
    ending.listen()

    def look_on() -> None:
        while True:
            time.sleep(renderer.look().total_seconds())

    # a daemon, as the look under way is not waited for
    Thread(target=guarded(look_on, ending.broke), name="renderer", daemon=True).start()
    return ending.wait()
