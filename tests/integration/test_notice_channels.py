"""E-mail by a real SMTP server, programs that are really run, and what a signed webhook sends."""

from __future__ import annotations

import base64
import email
import json
import os
import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.integration.noticing import ForwardClock, web
from tests.records import NOW
from tests.sandbox import is_running
from tests.servers import wait_until
from tests.wire import LOOPBACK_PEM, Wire, answer
from worker.adapters.http.trust import TlsFiles, Trust
from worker.adapters.notify.command import CommandWay, guard_of, handed_on
from worker.adapters.notify.mail import MailServer, MailWay
from worker.errors import NotDelivered
from worker.notices.notice import Kind, Notice
from worker.secret import Secret
from worker.settings.credential import Credential

NOTICE = Notice(id="a" * 32, event=Kind.DIED, at=NOW.isoformat(), log="key.died", target="media", what="It is dead.")
PASSWORD = "the-password-of-the-mail-server"


@dataclass
class Mailbox:
    """What a mail server took, and whether it takes any."""

    mails: list[Message] = field(default_factory=list)
    refuse: bool = False

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 - aiosmtpd's
        if self.refuse:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the same
        self.mails.append(email.message_from_bytes(envelope.content))
        return "250 OK"


def _login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> Any:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"rotator", PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@contextmanager
def mail_server(box: Mailbox, tls: str) -> Iterator[int]:
    """On a free port; with STARTTLS it asks for a login."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(LOOPBACK_PEM)
    more: dict[str, Any] = {"ssl_context": context} if tls == "tls" else {}
    if tls == "starttls":
        more = {"tls_context": context, "require_starttls": True, "authenticator": _login, "auth_required": True}
    server = Controller(box, hostname="127.0.0.1", port=_free_port(), **more)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def trust() -> Trust:
    made = TlsFiles(ca_file=str(LOOPBACK_PEM)).trust()
    assert made
    return made


def way(port: int, tls: str, password: str = PASSWORD, timeout: float = 5.0, host: str = "127.0.0.1") -> MailWay:
    login = Credential(Secret(password)) if tls == "starttls" else None
    server = MailServer(host, port, tls, "rotator" if login else None, login)
    return MailWay(server, "rotator@example.com", ("ops@example.com",), timeout, trust())


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
def test_a_mail_arrives(tls: str) -> None:
    box = Mailbox()
    with mail_server(box, tls) as port:
        way(port, tls).deliver(NOTICE)
    (mail,) = box.mails
    assert mail["Subject"] == "[rotator] Apps of media cannot work with what they read in Vault"
    assert mail["To"] == "ops@example.com"
    assert "It is dead." in str(mail.get_payload())


def test_a_wrong_password_is_told_without_it() -> None:
    with mail_server(Mailbox(), "starttls") as port, pytest.raises(NotDelivered, match="535") as caught:
        way(port, "starttls", "canary-of-a-password").deliver(NOTICE)
    assert "canary" not in str(caught.value)


def test_a_server_without_tls_gets_no_password() -> None:
    with mail_server(Mailbox(), "none") as port, pytest.raises(NotDelivered, match="SMTPNotSupportedError"):
        way(port, "starttls").deliver(NOTICE)


def test_a_certificate_for_another_name_is_refused() -> None:
    with mail_server(Mailbox(), "tls") as port, pytest.raises(NotDelivered, match="TLS"):
        way(port, "tls", host="localhost").deliver(NOTICE)


def test_a_mailbox_that_is_refused_is_told() -> None:
    with mail_server(Mailbox(refuse=True), "none") as port, pytest.raises(NotDelivered, match="for none of"):
        way(port, "none").deliver(NOTICE)


def test_a_mail_server_that_is_not_there_is_told() -> None:
    with pytest.raises(NotDelivered, match="refused"):
        way(_free_port(), "none").deliver(NOTICE)


def test_a_mail_server_that_drips_is_left_when_the_time_is_over() -> None:
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            line, _ = listener.accept()
            with line:
                while not ended.wait(0.05):
                    try:
                        line.sendall(b"220-wait\r\n")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(NotDelivered):
                way(listener.getsockname()[1], "none", timeout=0.5).deliver(NOTICE)
        finally:
            ended.set()
            thread.join()


def program(folder: Path, text: str) -> tuple[str, ...]:
    file = folder / "program"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return (str(file),)


def test_a_program_gets_the_notice_on_its_input_and_none_of_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOSTUP_API_KEY", "canary")
    monkeypatch.setenv("KUBECONFIG", "/etc/kube")
    words = program(tmp_path, f"cat > {tmp_path}/notice; env > {tmp_path}/env; yes | head -c 1000000")
    CommandWay(words, handed_on(os.environ, ("KUBECONFIG",)), 30.0).deliver(NOTICE)
    assert json.loads((tmp_path / "notice").read_text()) == NOTICE.document()
    given = (tmp_path / "env").read_text()
    assert "KUBECONFIG=/etc/kube\n" in given
    assert "canary" not in given


GUARDS = pytest.mark.parametrize("guard", [(), guard_of(30.0)], ids=["bare", "guarded"])


def test_this_system_has_what_ends_programs() -> None:
    assert guard_of(30.0)


@GUARDS
def test_a_program_that_fails_or_is_not_there_is_told(tmp_path: Path, guard: tuple[str, ...]) -> None:
    words = program(tmp_path, "exit 3")
    with pytest.raises(NotDelivered, match="ended with 3"):
        CommandWay(words, {}, 30.0, guard).deliver(NOTICE)
    with pytest.raises(NotDelivered, match="No such file"):
        CommandWay((str(tmp_path / "nothing"),), {}, 30.0, guard).deliver(NOTICE)
    plain = tmp_path / "plain"
    plain.touch(0o600)
    with pytest.raises(NotDelivered, match="Permission denied"):
        CommandWay((str(plain),), {}, 30.0, guard).deliver(NOTICE)
    program(tmp_path, f"cat > {tmp_path}/notice")
    CommandWay(words, {"PATH": os.environ["PATH"]}, 30.0, guard).deliver(NOTICE)
    assert json.loads((tmp_path / "notice").read_text()) == NOTICE.document()


@GUARDS
def test_a_program_that_hangs_is_ended_with_all_it_started(tmp_path: Path, guard: tuple[str, ...]) -> None:
    words = program(tmp_path, f"/bin/sleep 600 & echo $! > {tmp_path}/pid; wait")
    with pytest.raises(NotDelivered, match="was ended after"):
        CommandWay(words, {"PATH": os.environ["PATH"]}, 1.0, guard).deliver(NOTICE)
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_running(pid), "what it started is gone")


def test_a_signed_webhook_sends_the_three_headers() -> None:
    secret = Credential(Secret("whsec_" + base64.b64encode(bytes(32)).decode()))
    with Wire(answer(200)) as wire:
        web(wire.url, ForwardClock(), secret=secret).deliver(NOTICE)
    (heard,) = wire.heard
    assert heard.headers["webhook-id"] == NOTICE.id
    assert heard.headers["webhook-signature"].startswith("v1,")
    assert heard.headers["webhook-timestamp"].isdecimal()
    assert heard.method == "POST"
