"""Each account is put together from what is said of it, and errors name what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.servers import free_port
from tests.unit.settings.configuring import TARGET, read
from worker.adapters.http.client import new_client
from worker.adapters.s3.probe import StorageProbe
from worker.errors import HostUpError, HostUpUnreachable, StorageError
from worker.secret import Secret
from worker.service.assemble import Runtime, build, limits
from worker.settings.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two accounts whose APIs are away; nothing else of theirs is the same."""
    first = f'[hostup]\nbase_url = "http://127.0.0.1:{free_port()}"\nparallel_creates = 3\n'
    storage = '[storage]\nendpoint = "https://first.example"\nregion = "here"\n'
    second = (
        f'[[account]]\nname = "media"\nbase_url = "http://127.0.0.1:{free_port()}"\nparallel_creates = 5\n'
        'endpoint = "https://second.example"\nregion = "there"\napi_key_path = "keys/media"\n'
    )
    return read(tmp_path, first + storage + second + TARGET + 'account = "media"\n')


@pytest.fixture
def runtime(settings: Settings) -> Iterator[Runtime]:
    with closing(build(settings)) as made:
        yield made


def test_each_account_has_its_own_endpoint_and_region(runtime: Runtime) -> None:
    found = {name: runtime.services.at(name).storage for name in ("default", "media")}
    assert {name: (storage.endpoint, storage.region) for name, storage in found.items()} == {
        "default": ("https://first.example", "here"),
        "media": ("https://second.example", "there"),
    }


def test_each_account_has_its_own_places_for_creates(settings: Settings) -> None:
    assert {name: limits(settings, account).creates for name, account in settings.accounts.items()} == {
        "default": 3,
        "media": 5,
    }


def test_the_hint_of_an_api_that_is_away_names_the_setting_of_its_account(runtime: Runtime) -> None:
    with pytest.raises(HostUpUnreachable) as caught:
        runtime.services.at("default").hostup.status()
    assert "hostup.base_url" in caught.value.hint
    with pytest.raises(HostUpError) as proof:
        runtime.desks["media"].hostup.prove(Secret("k"))
    with pytest.raises(HostUpError) as roll:
        runtime.desks["media"].hostup.roll("key_0", Secret("k"))
    for hint in (proof.value.hint, roll.value.hint):
        assert "base_url of [[account]] media" in hint
        assert "hostup.base_url" not in hint


@pytest.mark.parametrize(("endpoint", "region"), [("ftp://x", "here"), ("https://x.example", "two words")])
def test_what_of_a_storage_cannot_be_used_names_its_table(endpoint: str, region: str) -> None:
    with new_client() as client, pytest.raises(StorageError) as caught:
        StorageProbe(client, endpoint, region, deadline=1, account="media")
    assert "under [[account]] media" in caught.value.hint
