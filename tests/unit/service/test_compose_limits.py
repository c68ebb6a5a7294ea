"""What docker-compose.yml bounds: a worker that is attacked takes no more of the machine than that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

SERVICES: dict[str, Any] = yaml.safe_load((Path(__file__).parents[3] / "docker-compose.yml").read_text("utf-8"))[
    "services"
]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_bounds_and_few_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"] == "512m"
    assert 0 < service["pids_limit"] <= 512
    assert service["ulimits"]["core"] == 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges" in service["security_opt"]
