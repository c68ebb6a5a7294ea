"""Folders and files of the sandbox: what is a link, somebody else's, or open to others is refused and left as it is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.errors import ConfigurationError
from worker.sandbox.children import spawn
from worker.sandbox.files import append_private, open_private, private_folder, replace_private
from worker.sandbox.run import start_sandbox

STRANGER = 65_534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of somebody else")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_new_folder_and_its_parents_are_for_us_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = private_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert (mode(made), mode(made.parent)) == (0o700, 0o700)


def test_a_folder_that_others_may_read_becomes_private(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(0o755)
    assert mode(private_folder(folder)) == 0o700


Plant = Callable[[Path], None]


def a_link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir(0o700)
    folder.symlink_to("elsewhere")


def a_dangling_link(folder: Path) -> None:
    folder.symlink_to("nowhere")


def a_file(folder: Path) -> None:
    folder.write_text("precious")


def a_folder_for_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def a_folder_for_the_group(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o770)


def a_folder_of_a_stranger(folder: Path) -> None:
    folder.mkdir(0o700)
    os.chown(folder, STRANGER, STRANGER)


def in_a_folder_of_a_stranger(folder: Path) -> None:
    folder.mkdir(0o700)
    os.chown(folder.parent, STRANGER, STRANGER)


def in_a_folder_for_all(folder: Path) -> None:
    folder.parent.chmod(0o777)


def by_a_link_of_a_stranger(folder: Path) -> None:
    aside = folder.parent.with_name("aside")
    folder.parent.rename(aside)
    folder.parent.symlink_to(aside)
    os.chown(folder.parent, STRANGER, STRANGER, follow_symlinks=False)


UNSAFE = [
    a_link,
    a_dangling_link,
    a_file,
    a_folder_for_all,
    a_folder_for_the_group,
    in_a_folder_for_all,
    pytest.param(a_folder_of_a_stranger, marks=needs_root),
    pytest.param(in_a_folder_of_a_stranger, marks=needs_root),
    pytest.param(by_a_link_of_a_stranger, marks=needs_root),
]


@pytest.mark.parametrize("plant", UNSAFE)
def test_an_unsafe_folder_is_refused_and_left_alone(tmp_path: Path, plant: Plant) -> None:
    folder = tmp_path / "parent" / "folder"
    folder.parent.mkdir(0o700)
    plant(folder)
    before = snapshot(tmp_path)
    for begin in (lambda: private_folder(folder), lambda: start_sandbox(folder, environ={}).__enter__()):
        with pytest.raises(ConfigurationError, match="home directory"):
            begin()
    assert snapshot(tmp_path) == before


def snapshot(folder: Path) -> dict[str, tuple[int, int, str]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        text = path.read_text() if path.is_file() and not path.is_symlink() else ""
        found[str(path)] = (facts.st_mode, facts.st_uid, text)
    return found


def test_a_sticky_folder_such_as_tmp_is_a_safe_place(tmp_path: Path) -> None:
    sticky = tmp_path / "tmp"
    sticky.mkdir()
    sticky.chmod(0o1777)
    assert mode(private_folder(sticky / "ours")) == 0o700


def test_a_link_of_our_own_on_the_way_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(0o700)
    (tmp_path / "link").symlink_to("real")
    private_folder(tmp_path / "link" / "folder")
    assert mode(tmp_path / "real" / "folder") == 0o700


def a_link_to_a_file(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def a_second_name(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


@pytest.mark.parametrize("plant", [a_link_to_a_file, a_second_name])
@pytest.mark.parametrize("name", ["lock", "rotator.toml", "vault", "ledger.jsonl", "simulator.log"])
def test_a_planted_name_empties_no_file(tmp_path: Path, name: str, plant: Callable[[Path, Path], None]) -> None:
    """A folder that was a sandbox's before, in which somebody could write for a while."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = private_folder(tmp_path / "sandbox")
    replace_private(folder / "rotator.toml", "# Written by `rotator sandbox`, anew at each start.\n")
    (folder / name).unlink(missing_ok=True)
    plant(folder / name, victim)
    try:
        with start_sandbox(folder, environ={}):
            pass
    except ConfigurationError as error:
        assert str(folder / name) in "".join(error.problems)  # noqa: PT017 - either it is refused, or made anew
    assert victim.read_text() == "precious"


def test_what_a_private_file_holds_is_kept(tmp_path: Path) -> None:
    for text in (b"one", b"two"):
        with append_private(tmp_path / "log") as log:
            log.write(text)
    assert (tmp_path / "log").read_bytes() == b"onetwo"
    assert mode(tmp_path / "log") == 0o600


@pytest.mark.parametrize("plant", [a_link_to_a_file, a_second_name])
def test_a_log_is_not_written_through_a_link(tmp_path: Path, plant: Callable[[Path, Path], None]) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    plant(tmp_path / "log", victim)
    for write in (lambda: open_private(tmp_path / "log"), lambda: spawn(["/bin/echo", "hello"], tmp_path / "log")):
        with pytest.raises(ConfigurationError, match="log"):
            write()
    assert victim.read_text() == "precious"


@needs_root
def test_a_file_of_a_stranger_is_not_ours(tmp_path: Path) -> None:
    planted = tmp_path / "rotator.toml"
    planted.write_text("# Written by `rotator sandbox`, anew at each start.\n")
    os.chown(planted, STRANGER, STRANGER)
    with pytest.raises(ConfigurationError, match="ours alone"):
        open_private(planted, os.O_RDONLY)


def test_no_module_of_the_working_directory_is_run(tmp_path: Path) -> None:
    """Python's -m looks there first; a folder of somebody else may hold a module of the same name."""
    for name in ("json.py", "argparse.py", "worker.py", "sitecustomize.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\n")
    code = "import sys; from pathlib import Path; from worker.sandbox.run import start_sandbox\n"
    code += "with start_sandbox(Path(sys.argv[1]), environ={}): pass"
    subprocess.run([sys.executable, "-P", "-c", code, str(tmp_path / "sandbox")], cwd=tmp_path, check=True)
    assert not (tmp_path / "ran").exists()
