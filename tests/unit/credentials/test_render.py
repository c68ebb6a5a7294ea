"""How often ``rotator render`` looks at Vault."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from worker.credentials.environment import place_at
from worker.credentials.jobs import Job, job
from worker.credentials.render import Renderer
from worker.errors import VaultSealed

SECRET: dict[str, object] = {"access_key": "AK1", "secret_key": "SK1", "grace_seconds": 8}


@pytest.fixture
def file(tmp_path: Path) -> Job:
    return job(place_at("apps/a/s3", "secret", ""), {"to": str(tmp_path / "credentials")})


def _sealed(_mount: str, _path: str) -> tuple[dict[str, object], int]:
    raise VaultSealed("Vault is sealed")


def test_while_vault_is_away_it_looks_as_often_as_the_grace_wants(file: Job) -> None:
    found = [SECRET]

    def once_found(mount: str, path: str) -> tuple[dict[str, object], int]:
        return (found.pop(), 1) if found else _sealed(mount, path)

    renderer = Renderer([file], once_found, timedelta(seconds=30), lambda _: None)
    assert [renderer.look(), renderer.look()] == [timedelta(seconds=2)] * 2


def test_before_the_first_key_it_looks_as_often_as_it_was_told(file: Job) -> None:
    renderer = Renderer([file], _sealed, timedelta(seconds=30), lambda _: None)
    assert renderer.look() == timedelta(seconds=30)
