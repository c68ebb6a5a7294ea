"""Certificates that are renewed in their files: calls go on by the new ones, and by the last good ones until then."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.wire import EXAMPLE_PEM, LOOPBACK_PEM, Wire, answer
from worker.adapters.http.client import HttpClient, new_client
from worker.adapters.http.deadline import within
from worker.adapters.http.engine import Engine, new_engine
from worker.adapters.http.messages import NoResponse, Request
from worker.adapters.http.trust import TlsFiles

LONG = 30.0


def passes(client: HttpClient | Engine, wire: Wire) -> bool:
    with within(LONG):
        try:
            return client.send(Request("GET", wire.url)).status == 200
        except NoResponse:
            return False


def put(pem: Path, file: Path) -> None:
    new = file.with_name("new")
    shutil.copy(pem, new)
    new.replace(file)


def test_authorities(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    put(EXAMPLE_PEM, file)
    with (
        Wire(answer(200), tls=True) as wire,
        closing(new_engine(tls=TlsFiles(str(file)))) as engine,
        capture_logs() as logs,
    ):
        assert not passes(engine, wire)
        put(LOOPBACK_PEM, file)
        assert passes(engine, wire)
        assert passes(engine, wire)
        assert len({heard.line for heard in wire.heard}) == 1  # a connection is kept as long as nothing changes
        put(EXAMPLE_PEM, file)
        assert not passes(engine, wire)  # also not by the connection that is kept
    assert [log["event"] for log in logs] == ["credential.renewed"] * 2


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\nMII", None])
def test_authorities_caught_in_the_middle(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    put(LOOPBACK_PEM, file)
    with (
        Wire(answer(200), tls=True) as wire,
        closing(new_engine(tls=TlsFiles(str(file)))) as engine,
        capture_logs() as logs,
    ):
        assert passes(engine, wire)
        file.unlink()
        if content is not None:
            file.write_text(content)
        assert passes(engine, wire)
        assert passes(engine, wire)
        assert [log["event"] for log in logs] == ["credential.kept"]
        assert str(file) in logs[0]["error"]
        put(LOOPBACK_PEM, file)
        assert passes(engine, wire)
    assert [log["event"] for log in logs] == ["credential.kept", "credential.renewed"]


def test_a_client_certificate_and_its_key_one_after_the_other(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    put(LOOPBACK_PEM, cert)
    put(LOOPBACK_PEM, key)
    files = TlsFiles(str(LOOPBACK_PEM), None, str(cert), str(key))
    with (
        Wire(answer(200), tls=True, client_ca=EXAMPLE_PEM) as wire,
        closing(new_engine(tls=files)) as engine,
        capture_logs() as logs,
    ):
        assert not passes(engine, wire)
        put(EXAMPLE_PEM, cert)
        assert not passes(engine, wire)  # they do not fit
        assert [log["event"] for log in logs] == ["credential.kept"]
        put(EXAMPLE_PEM, key)
        assert passes(engine, wire)


def test_the_public_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "public.pem"
    put(EXAMPLE_PEM, file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with Wire(answer(200), tls=True) as wire, new_client() as client:
        assert not passes(client, wire)
        put(LOOPBACK_PEM, file)
        assert passes(client, wire)
