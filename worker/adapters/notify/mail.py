"""Notices by e-mail, over SMTP."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from worker.adapters.http.trust import Trust
from worker.errors import NotDelivered
from worker.notices.letter import mail
from worker.notices.notice import Notice
from worker.settings.credential import Credential

_A_LOOK = 0.1


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in. ``tls``: ``starttls``, ``tls`` from the first byte, or ``none``."""

    host: str
    port: int
    tls: str
    user: str | None = None
    password: Credential | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class MailWay:
    """Sends each notice as a mail of its own, on a connection of its own."""

    server: MailServer
    sender: str
    to: tuple[str, ...]
    timeout: float
    trust: Trust = field(repr=False)

    def deliver(self, notice: Notice) -> None:
        """See :class:`worker.notices.notice.Way`."""
        try:
            with self._session() as session:
                refused = session.send_message(mail(notice, self.sender, self.to))
        except smtplib.SMTPResponseException as error:
            hint = "See the mail server's log, and user and password."
            raise NotDelivered(f"the mail server answered {error.smtp_code}", hint=hint) from None
        except smtplib.SMTPRecipientsRefused:
            raise NotDelivered("the mail server takes mail for none of `to`", hint="See `to` of the channel.") from None
        except ssl.SSLError as error:
            hint = "See `tls`, the name of the server, and who signed its certificate (SSL_CERT_FILE)."
            raise NotDelivered(f"TLS with the mail server failed: {error.reason}", hint=hint) from None
        except (smtplib.SMTPException, OSError) as error:
            hint = "See `server` of the channel, and whether it can be reached."
            raise NotDelivered(f"the mail server could not be used: {_cause(error)}", hint=hint) from None
        if refused:
            raise NotDelivered(f"the mail server refused {len(refused)} of `to`", hint="See `to` of the channel.")

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        """A session that is over within the time, however slowly the server drips: its own is for each answer."""
        server, done = self.server, threading.Event()
        session = (
            smtplib.SMTP_SSL(timeout=self.timeout, context=self.trust.context())
            if server.tls == "tls"
            else smtplib.SMTP(timeout=self.timeout)
        )
        # what a certificate has to be for; the constructor sets it only where it connects, which nobody could cut
        session._host = server.host  # type: ignore[attr-defined]  # noqa: SLF001
        threading.Thread(target=_cut_after, args=(self.timeout, session, done), name="mail", daemon=True).start()
        try:
            session.connect(server.host, server.port)
            with session:
                if server.tls == "starttls":
                    session.starttls(context=self.trust.context())
                if server.user and server.password:
                    session.login(server.user, server.password.current().reveal())
                yield session
        finally:
            done.set()
            session.close()


def _cut_after(seconds: float, session: smtplib.SMTP, done: threading.Event) -> None:
    """Once the time is over, end every connection of the session, also one that is made only then."""
    pause = seconds
    while not done.wait(pause):
        pause = _A_LOOK
        if session.sock:
            with suppress(OSError):  # it is closed already
                # not that of an SSLSocket, which forgets its TLS while the other thread reads
                socket.socket.shutdown(session.sock, socket.SHUT_RDWR)


def _cause(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
