"""A secret in a file: read again when it changes, and never worse than the last good one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from worker.secret import Secret
from worker.settings.credential import Credential


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "key"
    made.write_text("first\n")
    return made


def reading(file: Path, seen: list[Secret] | None = None) -> Credential:
    return Credential(Secret("first"), file, "SOME_KEY_FILE", on_new=(seen if seen is not None else []).append)


def replaced(file: Path, content: str) -> None:
    """As everybody should: written beside it, and renamed over it."""
    new = file.with_name("new")
    new.write_text(content)
    new.replace(file)


def test_a_value_without_a_file_never_changes() -> None:
    fixed = Credential(Secret("first"))
    assert fixed.current() == Secret("first")
    assert fixed.other_than(Secret("first")) is None


def test_a_new_value_is_read_and_told_before_it_is_used(file: Path) -> None:
    seen: list[Secret] = []
    credential = reading(file, seen)
    assert credential.current() == Secret("first")
    assert seen == []
    with capture_logs() as logs:
        for content in ("second\n", "third\r\n", "fourth"):
            replaced(file, content)
            assert credential.current() == seen[-1] == Secret(content.strip())
    assert [log["event"] for log in logs] == ["credential.renewed"] * 3
    assert {log["variable"] for log in logs} == {"SOME_KEY_FILE"}
    assert not any(word in str(logs) for word in ("first", "second", "third", "fourth"))


def test_a_change_between_the_settings_and_the_first_use_is_seen(file: Path) -> None:
    file.write_text("second")
    assert reading(file).current() == Secret("second")


def test_the_symlinks_of_kubernetes(tmp_path: Path) -> None:
    for name, content in (("..1", "first"), ("..2", "second")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text(content)
    (tmp_path / "..data").symlink_to("..1")
    file = tmp_path / "key"
    file.symlink_to("..data/key")
    credential = reading(file)
    assert credential.current() == Secret("first")
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert credential.current() == Secret("second")


@pytest.mark.parametrize("content", ["", "\n", "two words", "two\nlines", "ünï", "x" * 8193, None])
def test_what_cannot_be_used_leaves_the_last_good_one_and_is_told_once(file: Path, content: str | None) -> None:
    credential = reading(file)
    credential.current()
    with capture_logs() as logs:
        file.unlink()
        if content is not None:
            file.write_text(content)
        for _ in range(3):
            assert credential.current() == Secret("first")
            assert credential.other_than(Secret("first")) is None
        assert [log["event"] for log in logs] == ["credential.kept"]
        assert "SOME_KEY_FILE" in logs[0]["error"]
        assert not content or content not in str(logs)
        replaced(file, "second")
        assert credential.current() == Secret("second")
        file.unlink()
        assert credential.current() == Secret("second")
    assert [log["event"] for log in logs] == ["credential.kept", "credential.renewed", "credential.kept"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_becomes_readable_is_read(file: Path) -> None:
    credential = reading(file)
    replaced(file, "second")
    file.chmod(0)
    assert credential.current() == Secret("first")
    file.chmod(0o600)
    assert credential.current() == Secret("second")


def test_after_a_refusal_the_file_is_read_whatever_its_state(file: Path) -> None:
    credential = reading(file)
    assert credential.other_than(Secret("first")) is None
    before = file.stat()
    file.write_text("other\n")  # in place, as long, and with the same times
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert credential.other_than(Secret("first")) == Secret("other")
    assert credential.current() == Secret("other")


def test_a_value_that_is_refused_gives_way_to_the_one_before_until_the_file_changes(file: Path) -> None:
    credential = reading(file)
    file.write_text("fir")  # half written, and a word all the same
    with capture_logs() as logs:
        assert credential.current() == Secret("fir")
        assert credential.other_than(Secret("fir")) == Secret("first")
        assert [credential.current() for _ in range(3)] == [Secret("first")] * 3
        assert [log["event"] for log in logs] == ["credential.renewed", "credential.kept"]
        file.write_text("finished")
        assert credential.current() == Secret("finished")


def test_where_both_are_refused_each_is_tried_and_that_is_told_once(file: Path) -> None:
    """The old one has ended, and the new one is not known to the other side yet."""
    credential = reading(file)
    replaced(file, "second")
    tried = []
    with capture_logs() as logs:
        for _ in range(3):
            value = credential.current()
            tried += [value, credential.other_than(value)]
    assert set(tried) == {Secret("first"), Secret("second")}
    assert all(tried[each] != tried[each + 1] for each in (0, 2, 4))
    assert [log["event"] for log in logs] == ["credential.renewed", "credential.kept"]


STEPS = st.lists(
    st.sampled_from(["gone", "empty", "half", "refused", "looked at", *(f"value-{number}" for number in range(4))]),
    max_size=12,
)


@given(steps=STEPS)
@settings(max_examples=100, deadline=None)
def test_whatever_happens_to_the_file_there_is_a_value_that_stood_in_it_and_the_last_one_wins(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    file = tmp_path_factory.mktemp("steps") / "key"
    file.write_text("first")
    credential = reading(file)
    stood = {Secret("first")}
    for step in steps:
        if step == "gone":
            file.unlink(missing_ok=True)
        elif step in ("empty", "half"):
            file.write_text("" if step == "empty" else "half a ")
        elif step == "refused":
            assert credential.other_than(credential.current()) in {None, *stood}
        elif step != "looked at":
            replaced(file, step)
            stood.add(Secret(step))
        assert credential.current() in stood
    replaced(file, "last")
    assert credential.current() == Secret("last")
