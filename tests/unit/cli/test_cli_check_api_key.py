"""What `rotator check` says of the worker's own API keys: where each comes from, what is tried, what would not work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.keys import KeyWorld
from tests.unit.settings.configuring import TARGET, read
from worker.cli.check_api_key import look
from worker.cli.verdicts import Verdict
from worker.rotation.ports import ApiKeyGrants
from worker.service.assemble import Runtime, build


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """Of two accounts, whose keys come from a variable and from a file."""
    (tmp_path / "key").write_text("of-media", encoding="utf-8")
    account = f'[[account]]\nname = "media"\napi_key_file = "{tmp_path / "key"}"\n'
    with closing(build(read(tmp_path, account + TARGET))) as made:
        yield made


def _told(runtime: Runtime, world: KeyWorld, account: str = "default") -> Mapping[str, Verdict]:
    """What is said of a key in Vault, by what it is about."""
    return {verdict.check: verdict for verdict in look(replace(runtime, desks={account: world.desk}), account)}


@pytest.mark.parametrize("account", ["default", "media"])
def test_of_a_key_that_is_not_in_vault_it_says_what_is_not_tried(runtime: Runtime, account: str) -> None:
    (verdict,) = look(runtime, account)
    assert (verdict.check, verdict.state) == ("API key", "ok")
    assert verdict.detail.startswith("from a file or the environment; it is not rolled. A check does not try to create")
    assert "which scopes these need" in verdict.detail


def test_the_scopes_are_those_that_hostup_told(runtime: Runtime) -> None:
    world = KeyWorld()
    assert _told(runtime, world)["API key rights"].detail.startswith("its scopes are not known before its first roll; ")
    world.roll()
    assert _told(runtime, world)["API key rights"].detail.startswith("its scopes, as HostUp told with it: a:scope; ")


def _without_scopes(world: KeyWorld) -> KeyWorld:
    world.grants = ApiKeyGrants()
    return world


def test_a_bootstrap_key_that_would_not_be_used_is_said_to_be_so_until_it_would(runtime: Runtime) -> None:
    world = _without_scopes(KeyWorld().with_bootstrap())
    told = _told(runtime, world)["bootstrap key"]
    assert told.state == "warning"
    assert "would not be used" in told.detail
    assert "api_key_scopes under [hostup]" in told.hint
    assert "api_key_scopes under [[account]] media" in _told(runtime, world, "media")["bootstrap key"].hint
    world.roll()
    assert "bootstrap key" not in _told(runtime, world)


def test_of_a_bootstrap_key_that_would_be_used_nothing_is_said(runtime: Runtime) -> None:
    assert "bootstrap key" not in _told(runtime, KeyWorld().with_bootstrap())
    assert "bootstrap key" not in _told(runtime, _without_scopes(KeyWorld()))
