"""A secret id that is good for a few logins only is not spent on a check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.vault.conftest import ANYTHING, Role
from tests.servers import VaultServer
from tests.unit.settings.configuring import read
from worker.cli import check_vault
from worker.service.assemble import build


@pytest.mark.parametrize(("told", "left"), [("5", 5), ("101", 4), (None, 4)])
def test_it_is_told_and_not_spent(
    server: VaultServer, root: Any, role: Callable[..., Role], tmp_path: Path, told: str | None, left: int
) -> None:
    made = role(ANYTHING, secret_id_num_uses=5)
    secret_id = made.secret_id()
    env = {
        "VAULT_ADDR": server.address,
        "VAULT_TOKEN": None,
        "VAULT_ROLE_ID": made.role_id,
        "VAULT_SECRET_ID": secret_id,
        "VAULT_SECRET_ID_NUM_USES": told,
    }
    runtime = build(read(tmp_path, env=env))
    verdicts = list(check_vault.look(runtime))
    runtime.close()
    (login,) = [verdict for verdict in verdicts if verdict.check == "Vault login"]
    spared = "not tried: the secret_id is good for few logins (5), and none is spent on a check"
    assert (login.detail == spared) == (left == 5)
    answer = root.adapter.post(f"/v1/auth/approle/role/{made.name}/secret-id/lookup", json={"secret_id": secret_id})
    assert answer["data"]["secret_id_num_uses"] == left
