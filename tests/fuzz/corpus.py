"""Inputs that failed once, one file each: ``corpus/PART/WHAT-WAS-WRONG-DIGEST``. Each run begins with them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.fuzz.limits import Finding

CORPUS = Path(__file__).with_name("corpus")


def kept(part: str, corpus: Path = CORPUS) -> list[Path]:
    """The inputs that are kept of a part."""
    return sorted(file for file in (corpus / part).glob("*") if file.is_file())


def keep(found: Finding, data: bytes, corpus: Path = CORPUS) -> Path:
    """Keep an input."""
    file = corpus / found.part / f"{found.kind.lower()}-{hashlib.sha256(data).hexdigest()[:8]}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file
