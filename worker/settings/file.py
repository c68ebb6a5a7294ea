"""The configuration file: where it lies, and what stands in it. Without pydantic: shell completion has to be quick."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from worker.errors import ConfigurationError

DEFAULT_PATH = Path("config/rotator.toml")


def find_file(given: Path | None, env: Mapping[str, str]) -> Path:
    """Which file is to be read: the one given, else ``ROTATOR_CONFIG``, else ``config/rotator.toml``."""
    if given is not None:
        return given
    return Path(env["ROTATOR_CONFIG"]) if env.get("ROTATOR_CONFIG") else DEFAULT_PATH


def read_file(path: Path) -> dict[str, object]:
    """The file's tables. Raises ConfigurationError when it cannot be read, or is not TOML."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        problem = "does not exist; give --config, or set ROTATOR_CONFIG, or start where it is"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8: see byte {error.start}"
    except ValueError as error:  # TOMLDecodeError, and a number of thousands of digits
        problem = f"is not valid TOML: {error}"
    except RecursionError:
        problem = "is not valid TOML: brackets within brackets, too many to follow"
    raise ConfigurationError((f"{path}: {problem}",))
