"""Recipes of the pages, run with the programs that they name, and what only a cluster has stood in for by a script."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import page

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq (Debian: jq)")

KUBECTL = '#!/bin/sh\nprintf "%s\\n" "$@" > "$SAID"\n'
"""Writes down what the cluster would have been asked for: one word on each line."""


def recipe(name: str, word: str) -> str:
    """The shell block of a page that has this word."""
    (found,) = [code.text for code in page(name).code if code.language == "sh" and word in code.text]
    return found


def lines() -> list[dict[str, object]]:
    """The log lines of the page."""
    (block,) = [code.text for code in page("log-lines.md").code if code.language == "json"]
    return [json.loads(line) for line in block.splitlines()]


@needs_jq
@pytest.mark.parametrize("field", ["access_key", "request_id", "rotation_id", "target"])
def test_everything_about_one_id_is_found_in_a_log(tmp_path: Path, field: str) -> None:
    wanted = next(str(line[field]) for line in lines() if field in line)
    log = tmp_path / "worker.log"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines()), "utf-8")
    command = recipe("log-lines.md", "jq -c").replace("UM7JT6JXX320H9GN8NEM", wanted)
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    about = [line for line in lines() if wanted in line.values() or [wanted] in line.values()]
    assert [json.loads(line) for line in done.stdout.splitlines()] == about


@needs_jq
@pytest.mark.parametrize("target", ["media-uploads", "it's-a-name; rm -rf"])
def test_a_notice_has_external_secrets_read_vault_at_once(tmp_path: Path, target: str) -> None:
    programs, said = tmp_path / "bin", tmp_path / "said"
    programs.mkdir()
    for name, text in (("kubectl", KUBECTL), ("force-sync", recipe("notices.md", "force-sync"))):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    notice = {"event": "published", "id": "3e43fbfc409e", "target": target}
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "SAID": str(said)}
    command = [str(programs / "force-sync")]
    done = subprocess.run(command, input=json.dumps(notice).encode(), env=environment, check=False)
    assert done.returncode == 0
    words = said.read_text().splitlines()
    assert words[-4:] == ["externalsecret", target, "force-sync=3e43fbfc409e", "--overwrite"]


@needs_jq
def test_a_notice_without_a_target_is_an_error_and_asks_for_nothing(tmp_path: Path) -> None:
    script = tmp_path / "force-sync"
    script.write_text(recipe("notices.md", "force-sync"))
    done = subprocess.run(["sh", str(script)], input=b'{"event": "drift", "id": "1"}', capture_output=True, check=False)
    assert done.returncode != 0
    assert b"kubectl" not in done.stderr, "it was not even tried"
