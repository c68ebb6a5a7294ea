"""Files with keys are whole at every moment, for whom they are meant, and nothing else is touched."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from worker.credentials.placing import Access, put_file, put_folder
from worker.errors import FileUnwritable

IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x80, 0x100, 0x200
PRIVATE = Access()
PAIR = {"access_key": b"AK1", "secret_key": b"SK1"}
NEXT = {"access_key": b"AK2", "secret_key": b"SK2"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app" / "credentials"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "app"
    made.mkdir()
    return made


def test_a_file_is_written_once_and_replaced(file: Path) -> None:
    assert put_file(file, b"one", PRIVATE)
    assert not put_file(file, b"one", PRIVATE)
    before = file.stat().st_ino
    assert put_file(file, b"two", PRIVATE)
    assert file.read_bytes() == b"two"
    assert file.stat().st_ino != before, "a reader may have the old file open"
    assert [each.name for each in file.parent.iterdir()] == ["credentials"]


def test_the_mode_is_as_wanted_whatever_the_umask(file: Path) -> None:
    for mode in (0o600, 0o640, 0o444):
        assert put_file(file, b"one", Access(mode))
        assert stat.S_IMODE(file.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_the_owner_is_as_wanted(file: Path, tmp_path: Path) -> None:
    access = Access(0o640, 12345, 54321)
    assert put_file(file, b"one", access)
    assert not put_file(file, b"one", access)
    assert (file.stat().st_uid, file.stat().st_gid, stat.S_IMODE(file.stat().st_mode)) == (12345, 54321, 0o640)
    assert put_folder(tmp_path / "pair", PAIR, access)
    for each in (tmp_path / "pair", tmp_path / "pair" / "..data" / "."):
        assert (each.stat().st_uid, stat.S_IMODE(each.stat().st_mode)) == (12345, 0o750)
    assert (tmp_path / "pair" / "secret_key").stat().st_uid == 12345


def test_what_a_killed_writer_left_is_removed(file: Path) -> None:
    (file.parent / ".credentials.rotator-0123").write_text("half")
    (file.parent / ".other.rotator-0123").write_text("not ours")
    put_file(file, b"one", PRIVATE)
    assert {each.name for each in file.parent.iterdir()} == {"credentials", ".other.rotator-0123"}


@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_in_its_place_is_an_error_and_not_followed(file: Path, tmp_path: Path, *, dangling: bool) -> None:
    precious = tmp_path / "precious"
    if not dangling:
        precious.write_text("precious")
    file.symlink_to(precious)
    with pytest.raises(FileUnwritable, match="is a link, and is not followed"):
        put_file(file, b"one", PRIVATE)
    assert file.is_symlink()
    assert dangling or precious.read_text() == "precious"
    assert precious.exists() != dangling


def test_a_folder_or_a_pipe_in_its_place_is_an_error(file: Path) -> None:
    file.mkdir()
    with pytest.raises(FileUnwritable, match="no plain file"):
        put_file(file, b"one", PRIVATE)
    file.rmdir()
    os.mkfifo(file)
    with pytest.raises(FileUnwritable, match="no plain file"):
        put_file(file, b"one", PRIVATE)


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileUnwritable, match="No such file"):
        put_file(tmp_path / "missing" / "credentials", b"one", PRIVATE)
    with pytest.raises(FileUnwritable, match="No such file"):
        put_folder(tmp_path / "missing" / "pair", PAIR, PRIVATE)


def test_two_files_change_together(tmp_path: Path) -> None:
    to = tmp_path / "pair"
    assert put_folder(to, PAIR, PRIVATE)
    assert not put_folder(to, PAIR, PRIVATE)
    assert stat.S_IMODE(to.stat().st_mode) == 0o700
    assert put_folder(to, NEXT, PRIVATE)
    assert {name: (to / name).read_bytes() for name in NEXT} == NEXT
    assert (to / "secret_key").readlink() == Path("..data/secret_key")
    assert stat.S_IMODE((to / "secret_key").stat().st_mode) == 0o600
    assert len(list(to.iterdir())) == 4, "the set before is removed"


def test_who_reads_a_folder_while_it_changes_never_sees_halves_of_two_keys(tmp_path: Path) -> None:
    to, ended = tmp_path / "pair", threading.Event()
    seen: set[tuple[bytes, ...]] = set()
    put_folder(to, PAIR, PRIVATE)

    def read() -> None:
        while not ended.is_set():
            with contextlib.suppress(FileNotFoundError):  # the set that was opened has been removed since
                folder = os.open(to / "..data", os.O_RDONLY | os.O_DIRECTORY)
                try:
                    seen.add(tuple(_read(folder, name) for name in PAIR))
                finally:
                    os.close(folder)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(50):
            put_folder(to, NEXT if number % 2 else PAIR, PRIVATE)
    finally:
        ended.set()
        reader.join()
    assert seen <= {(b"AK1", b"SK1"), (b"AK2", b"SK2")}
    assert seen


def test_the_link_is_there_at_every_moment(tmp_path: Path) -> None:
    """Told by the kernel: it is moved into its place, and never made there or taken away."""
    to = tmp_path / "pair"
    put_folder(to, PAIR, PRIVATE)
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        assert libc.inotify_add_watch(watch, os.fsencode(to), IN_MOVED_TO | IN_CREATE | IN_DELETE) > 0
        put_folder(to, NEXT, PRIVATE)
        told = os.read(watch, 65_536)
    finally:
        os.close(watch)
    happened = []
    while told:
        _, mask, _, length = struct.unpack_from("iIII", told)
        happened.append((told[16 : 16 + length].rstrip(b"\0"), mask))
        told = told[16 + length :]
    assert [mask for name, mask in happened if name == b"..data"] == [IN_MOVED_TO]


def test_a_link_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "pair").symlink_to(elsewhere)
    with pytest.raises(FileUnwritable, match="is a link, and is not followed"):
        put_folder(tmp_path / "pair", PAIR, PRIVATE)
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("name", ["access_key", "secret_key", "..data"])
def test_what_somebody_else_has_in_the_folder_is_left_alone(folder: Path, name: str) -> None:
    (folder / name).write_text("precious")
    with pytest.raises(FileUnwritable, match=name):
        put_folder(folder, PAIR, PRIVATE)
    assert [each.name for each in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "precious"


def test_a_set_that_somebody_changed_is_written_anew(tmp_path: Path) -> None:
    to = tmp_path / "pair"
    put_folder(to, PAIR, PRIVATE)
    (to / "secret_key").write_text("edited")
    assert put_folder(to, PAIR, PRIVATE)
    assert (to / "secret_key").read_bytes() == b"SK1"
    (to / "..data").unlink()
    (to / "..data").symlink_to("../../etc")
    assert put_folder(to, PAIR, PRIVATE)
    assert (to / "secret_key").read_bytes() == b"SK1"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that has no room for more, where this user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this user may mount nothing")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_full_disk_leaves_what_was_there(full_disk: Path) -> None:
    put_file(full_disk / "credentials", b"one", PRIVATE)
    with pytest.raises(FileUnwritable, match=os.strerror(errno.ENOSPC)):
        put_file(full_disk / "credentials", b"two" * 4096, PRIVATE)
    assert (full_disk / "credentials").read_bytes() == b"one"
    assert [each.name for each in full_disk.iterdir()] == ["credentials"]


def test_a_file_that_may_not_grow_leaves_what_was_there(tmp_path: Path) -> None:
    """The same for any user: a limit of the process in the place of the disk's."""
    to = tmp_path / "pair"
    put_folder(to, PAIR, PRIVATE)
    code = (
        "import sys; from pathlib import Path; from worker.credentials.placing import Access, put_folder\n"
        "try: put_folder(Path(sys.argv[1]), {'access_key': b'A' * 99, 'secret_key': b'S' * 99}, Access())\n"
        "except Exception as error: sys.exit(f'{type(error).__name__} {error}')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, to],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50)),
    )
    assert done.stderr.startswith("FileUnwritable"), done.stderr
    assert {name: (to / name).read_bytes() for name in PAIR} == PAIR
    assert len(list(to.iterdir())) == 4


def _read(folder: int, name: str) -> bytes:
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as opened:
        return opened.read()


@pytest.mark.parametrize("together", [False, True], ids=["a file", "files that belong together"])
def test_several_writers_of_one_place_do_not_sweep_each_other_away(tmp_path: Path, *, together: bool) -> None:
    def write(number: int) -> None:
        for turn in range(20):
            content = f"{number}-{turn}".encode()
            if together:
                put_folder(tmp_path / "pair", {"one": content, "two": content}, PRIVATE)
                assert (tmp_path / "pair" / "..data").resolve(strict=True).is_dir()
            else:
                put_file(tmp_path / "file", content, PRIVATE)

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(4)))
    if together:
        assert (tmp_path / "pair" / "one").read_bytes() == (tmp_path / "pair" / "two").read_bytes()
        assert len([each for each in (tmp_path / "pair").iterdir() if each.name.startswith("..rotator-")]) == 1
    else:
        assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]
