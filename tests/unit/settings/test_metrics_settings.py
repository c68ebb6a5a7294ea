"""``[metrics]``: off unless it is set, and nothing but an address with a port."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.configuring import TARGET, problems, read
from worker.settings.metrics import Listen

VARIABLE = "ROTATOR_METRICS_LISTEN"


def test_nobody_listens_unless_it_is_said_where(tmp_path: Path) -> None:
    assert read(tmp_path).metrics.listen is None
    assert read(tmp_path, f'[metrics]\nlisten = ""\n{TARGET}').metrics.listen is None
    assert read(tmp_path).metrics.targets == "all"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:9786", "127.0.0.1", 9786), ("0.0.0.0:0", "0.0.0.0", 0), ("[::1]:80", "::1", 80)],
)
def test_it_is_an_address_and_a_port(tmp_path: Path, text: str, host: str, port: int) -> None:
    listen = read(tmp_path, f'[metrics]\nlisten = "{text}"\n{TARGET}').metrics.listen
    assert listen == Listen(host, port)
    assert str(listen) == text


def test_the_environment_wins(tmp_path: Path) -> None:
    settings = read(tmp_path, f'[metrics]\nlisten = "127.0.0.1:1"\n{TARGET}', env={VARIABLE: "127.0.0.1:2"})
    assert settings.metrics.listen == Listen("127.0.0.1", 2)


NO_ADDRESSES = (
    *("localhost:9786", "9786", ":9786", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999"),
    *("::1:9786", "u@127.0.0.1:1", "a:b:c", "[::1", "127.0.0.1:1/x"),
)


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_anything_else_is_a_problem(tmp_path: Path, text: str) -> None:
    (said,) = problems(tmp_path, f'[metrics]\nlisten = "{text}"\n{TARGET}')
    assert said.startswith("FILE: [metrics] listen: ")
    assert "is no address to listen at; allowed are an IP address and a port" in said
    (said,) = problems(tmp_path, env={VARIABLE: text})
    assert said.startswith(f"environment: {VARIABLE}: ")


def test_what_is_shown_of_targets_is_one_of_three(tmp_path: Path) -> None:
    assert read(tmp_path, f'[metrics]\ntargets = "troubled"\n{TARGET}').metrics.targets == "troubled"
    assert problems(tmp_path, f'[metrics]\ntargets = "some"\n{TARGET}') == [
        'FILE: [metrics] targets: "some" is not known; allowed are all, troubled, none'
    ]
    assert problems(tmp_path, f"[metrics]\nlisten = 9786\n{TARGET}") == [
        'FILE: [metrics] listen: must be a text in quotes such as "127.0.0.1:9786", not a number'
    ]
