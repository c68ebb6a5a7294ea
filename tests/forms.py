"""Holds what commands print as JSON against the schemas in docs/schemas."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types

from tests.docs.pages import ROOT


def fits(document: Any, name: str) -> None:
    """What a command prints is as its schema in the docs has it."""
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
