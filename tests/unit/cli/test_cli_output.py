from __future__ import annotations

import json

import pytest

from worker.cli.output import MANY, print_json


@pytest.mark.parametrize("count", [0, 1, MANY - 1, MANY])
def test_a_list_of_any_length_is_one_document(capsys: pytest.CaptureFixture[str], count: int) -> None:
    document = [{"target": f"å{number}", "retiring": []} for number in range(count)]
    print_json(document)
    assert json.loads(capsys.readouterr().out) == document


def test_a_long_list_has_a_line_for_each_element(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([{"number": number} for number in range(MANY)])
    assert capsys.readouterr().out.count("\n") == MANY + 2
