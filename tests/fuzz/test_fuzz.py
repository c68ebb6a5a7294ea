"""The fuzz finds what it is there to find, and nothing else; that is kept, and the same seed finds it again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.corpus import keep, kept
from tests.fuzz.limits import Finding
from tests.fuzz.mutations import is_shallow, mutated_bytes, mutated_json, mutated_text
from tests.fuzz.part import made
from tests.fuzz.parts import NAMES, part_named
from tests.fuzz.runner import Found, Work, run


def fed(folder: Path, *inputs: bytes) -> list[Found]:
    """What is found of these inputs to code with faults."""
    files = [folder / f"input-{number}" for number in range(len(inputs))]
    for file, data in zip(files, inputs, strict=True):
        file.write_bytes(data)
    return run(Work("faulty", files=files))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"crash", "KeyError"),
        (b"hang", "hang"),
        (b"hang in C", "hang"),
        (b"memory", "memory"),
        (b"secret", "secret"),
        (b"secret in the context", "secret"),
        (b"unreadable", "Unreadable"),
        (b"silent", "Unreadable"),
    ],
)
def test_every_fault_is_found_with_its_input_and_the_next_input_is_taken(
    data: bytes, kind: str, tmp_path: Path
) -> None:
    found = fed(tmp_path, b"well", data, b"little", b"crash")
    assert (kind, data) in [(each.finding.kind, each.data) for each in found]
    assert ("KeyError", b"crash") in [(each.finding.kind, each.data) for each in found]
    assert len(found) == len({data, b"crash"})


def test_what_is_well_is_no_fault(tmp_path: Path) -> None:
    assert fed(tmp_path, b"well", b"little", b"") == []


def test_a_seed_finds_the_same_again() -> None:
    found = run(Work("faulty", "a seed", inputs=300))
    assert [each.finding.kind for each in found] == ["KeyError"]
    assert [(each.finding, each.data) for each in run(Work("faulty", "a seed", inputs=300))] == [
        (each.finding, each.data) for each in found
    ]


def test_what_was_found_is_kept_and_replayed(tmp_path: Path) -> None:
    finding = Finding("faulty", "KeyError", "faulty.py:_fail", "")
    file = keep(finding, b"crash", tmp_path)
    assert kept("faulty", tmp_path) == [file]
    assert [each.data for each in run(Work("faulty", files=kept("faulty", tmp_path)))] == [b"crash"]
    assert kept("another", tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_the_same_in_each_run_and_differ_from_each_other(name: str) -> None:
    part = part_named(name)
    seeds = [b"one\nHTTP/1.1 200 OK\r\n\r\n{}", b'{"a": [1, "b"]}']
    inputs = [made(part, seeds, "a seed", number) for number in range(60)]
    assert inputs == [made(part, seeds, "a seed", number) for number in range(60)]
    assert len(set(inputs)) > 30


def test_no_change_fails_whatever_it_is_given() -> None:
    draw = random.Random(1)
    texts = ["", "null", "[]", "{}", '{"a": {"b": [1, 2.5, "c", null, true]}}', "1e999", "[" * 5000, '"\ud800"']
    for _ in range(400):
        text = draw.choice(texts)
        for _ in range(8):
            text = mutated_json(mutated_text(text, draw) if draw.random() < 0.2 else text, draw, ("odd", {"a": 1}))
            text = mutated_bytes(text.encode("utf-8", "replace"), draw).decode("utf-8", "replace")[:20_000]


def test_depth_is_measured_without_recursion() -> None:
    tree: list[object] = []
    for _ in range(10_000):
        tree = [tree]
    assert not is_shallow(tree, 150)
    assert is_shallow([[{"a": [1]}]], 5)
    assert not is_shallow([[{"a": [1]}]], 4)
