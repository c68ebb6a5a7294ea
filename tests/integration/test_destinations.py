"""A real worker with copies in a second real Vault, which goes away: its target waits, and another one does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hvac  # type: ignore[import-untyped]  # hvac ships no types
import pytest

from tests.servers import VaultServer, start_vault, wait_until
from worker.selftest.checker import unrest
from worker.selftest.stand import COPIES, Bench, Pace, Stand, start_bench

OTHER = '[[target]]\nname = "other"\npath = "{name}/other"\nevery = "400d"\ngrace = "1s"\n'


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as environment, start_bench(folder) as started:
        environment.setenv("SSL_CERT_DIR", str(folder))
        yield started


def with_a_second_vault(stand: Stand, far: VaultServer) -> Stand:
    """The same stand, its destination in another Vault; and a target without copies beside the other."""
    config = stand.folder / "rotator.toml"
    text = config.read_text("utf-8").replace('name = "far"\n', f'name = "far"\naddress = "{far.address}"\n')
    config.write_text(text + "\n" + OTHER.format(name=stand.name), "utf-8")
    path = f"secret/{{}}/{stand.name}/other"
    of_other = {path.format("data"): ["create", "update", "read"], path.format("destroy"): ["update"]}
    stand.give_rights({**stand.rights, **of_other})
    return replace(stand, environment={**stand.environment, "VAULT_TOKEN_FAR": far.root_token})


def administrator(far: VaultServer) -> Any:
    client = hvac.Client(url=far.address, token=far.root_token)
    client.sys.enable_secrets_engine("kv", path=COPIES, options={"version": "2"})
    return client


def record(stand: Stand, name: str) -> dict[str, Any]:
    return dict(stand.mount.record(name) or {})


def current(stand: Stand, name: str) -> str:
    found = record(stand, name)
    return str((found.get("current") or {}).get("access_key", "")) if unrest(found or None) == "" else ""


def test_a_second_vault_gets_the_key_and_is_missed_by_its_target_alone(bench: Bench, tmp_path: Path) -> None:
    with bench.stand("two-vaults", Pace(copies=True, watch_every="1s")) as first:
        with start_vault(tmp_path / "far") as far:
            stand, root = with_a_second_vault(first, far), administrator(far)
            worker = stand.worker(bench.nursery, concurrency=1, beat=True)
            try:
                wait_until(lambda: bool(current(stand, "media") and current(stand, "other")), "both first rotations")
                there = root.secrets.kv.v2.read_secret_version(
                    path=f"{stand.name}/copy", mount_point=COPIES, raise_on_deleted_version=True
                )
                media, other = current(stand, "media"), current(stand, "other")
                assert there["data"]["data"]["access_key"] == media
            finally:
                worker.kill()
        worker = stand.worker(bench.nursery, concurrency=1, beat=True)
        try:
            for name in ("media", "other"):
                stand.send("rotator.rotate", name, "the second Vault is away", task_id=f"for-{name}")
            wait_until(lambda: current(stand, "other") not in ("", other), "the rotation of the other target")
            wait_until(lambda: bool(record(stand, "media").get("failure")), "the failure of the first")
        finally:
            worker.kill()
        found = record(stand, "media")
        assert found["current"]["access_key"] == media
        assert f"the copy at far:{stand.name}/copy: " in found["failure"]["what"]
        assert found["failure"]["kind"] == "CopyAway"
        lines = [json.loads(line) for line in stand.log.read_text("utf-8").splitlines()]
        assert not [line for line in lines if line["event"] in ("task.failed", "error.uncaught", "target.failed")]
