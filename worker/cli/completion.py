"""Shell completion of targets' names: quick, and silent whatever is wrong with the configuration."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from worker.errors import ConfigurationError
from worker.settings.file import find_file, read_file


def target_names(context: typer.Context) -> list[str]:
    """The names in the configuration file, which is only read, not checked; typer takes those that begin like it."""
    try:
        document = read_file(find_file(_config(context), os.environ))
    except ConfigurationError:
        return []  # the command itself says what is wrong
    entries = document.get("target")
    names = [entry.get("name") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [name for name in names if isinstance(name, str)]


def _config(context: typer.Context) -> Path | None:
    """The option as it was typed, after the command's name or before it."""
    typed = (each.params.get("config") for each in (context, context.parent) if each)
    return next((Path(options) for options in typed if options), None)
