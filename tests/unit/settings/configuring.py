"""A configuration that is right, for tests to change and to break."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from worker.errors import ConfigurationError
from worker.settings.environment import Need
from worker.settings.settings import Settings, load

ENV: Mapping[str, str] = {
    "HOSTUP_API_KEY": "hostup-api-key",
    "VAULT_ADDR": "https://vault.example:8200",
    "VAULT_TOKEN": "hvs.token",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
}
TARGET = '[[target]]\nname = "media"\npath = "apps/media"\nevery = "30d"\ngrace = "24h"\n'
NOTHING: Mapping[str, str | None] = {}
ALL = Need.HOSTUP | Need.VAULT


def read(folder: Path, text: str = TARGET, *, env: Mapping[str, str | None] = NOTHING, needs: Need = ALL) -> Settings:
    """Load a file with this text; variables are those of ENV with some changed, or (None) left out."""
    file = folder / "rotator.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, {name: value for name, value in {**ENV, **env}.items() if value is not None}, needs)


def problems(
    folder: Path, text: str = TARGET, *, env: Mapping[str, str | None] = NOTHING, needs: Need = ALL
) -> list[str]:
    """The problems with such a file; it is named in each as ``FILE``."""
    with pytest.raises(ConfigurationError) as caught:
        read(folder, text, env=env, needs=needs)
    assert caught.value.exit_code == 78
    return [problem.replace(str(folder / "rotator.toml"), "FILE") for problem in caught.value.problems]
