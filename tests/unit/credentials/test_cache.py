"""The last good key lies where nobody else reads it, puts another in its place, or has something else overwritten."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from worker.credentials.cache import Cache, Kept, folder_for, own_folder
from worker.credentials.environment import Place
from worker.errors import CacheUnusable

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
PLACE = Place("a", "secret", "apps/a")
KEPT = Kept({"access_key": "AK", "secret_key": "SK"}, 3, NOW, NOW + timedelta(seconds=9))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def cache(folder: Path) -> Cache:
    return Cache(folder, "https://vault")


def _file(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def test_what_was_written_is_read_and_private(cache: Cache, folder: Path) -> None:
    assert cache.read(PLACE) is None
    cache.write(PLACE, KEPT)
    cache.write(PLACE, KEPT)
    assert cache.read(PLACE) == KEPT
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(_file(folder).stat().st_mode) == 0o600
    assert cache.read(Place("b", "secret", "apps/b")) is None
    assert Cache(folder, "https://other").read(PLACE) is None


@pytest.mark.parametrize("path", ["apps/" + "x" * 500, "a/\u2603/b", "..", "a%2Fb\n"])
def test_a_path_of_any_form_has_one_file_in_the_folder(cache: Cache, folder: Path, path: str) -> None:
    for each in (path, path + "y"):
        cache.write(Place("a", "secret", each), KEPT)
        assert cache.read(Place("a", "secret", each)) == KEPT
    assert len([each for each in folder.iterdir() if each.is_file()]) == 2


def test_a_link_in_the_place_of_the_file_is_not_followed(cache: Cache, folder: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    cache.write(PLACE, KEPT)
    file = _file(folder)
    file.unlink()
    file.symlink_to(precious)
    with pytest.raises(CacheUnusable):
        cache.read(PLACE)
    cache.write(PLACE, KEPT)
    assert precious.read_text() == "precious"
    assert not file.is_symlink()


@pytest.mark.parametrize("dangling", ["dangling", ""])
def test_a_link_in_the_place_of_the_folder_is_not_followed(
    cache: Cache, folder: Path, tmp_path: Path, dangling: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    if not dangling:
        elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)
    with pytest.raises(CacheUnusable):
        cache.write(PLACE, KEPT)
    assert not elsewhere.exists() or not list(elsewhere.iterdir())


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_reach_is_refused(cache: Cache, folder: Path, mode: int) -> None:
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(CacheUnusable, match="somebody else, or others"):
        cache.write(PLACE, KEPT)
    with pytest.raises(CacheUnusable):
        own_folder(folder)
    assert not list(folder.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_of_somebody_else_is_refused(cache: Cache, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(CacheUnusable):
        cache.write(PLACE, KEPT)


def test_a_file_that_others_can_read_is_refused(cache: Cache, folder: Path) -> None:
    cache.write(PLACE, KEPT)
    _file(folder).chmod(0o644)
    with pytest.raises(CacheUnusable):
        cache.read(PLACE)


def test_a_folder_in_the_place_of_the_file_is_told(cache: Cache, folder: Path) -> None:
    cache.write(PLACE, KEPT)
    file = _file(folder)
    file.unlink()
    file.mkdir()
    with pytest.raises(CacheUnusable):
        cache.read(PLACE)
    with pytest.raises(CacheUnusable):
        cache.write(PLACE, KEPT)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"fields": {}}', b"\xff\xfe", b"[" * 100_000, b'{"fields": 1, "version": 1}'],
)
def test_garbage_is_as_good_as_nothing(cache: Cache, folder: Path, content: bytes) -> None:
    cache.write(PLACE, KEPT)
    _file(folder).write_bytes(content)
    assert cache.read(PLACE) is None


def test_a_full_disk_leaves_what_was_kept(cache: Cache, folder: Path) -> None:
    cache.write(PLACE, KEPT)
    before = _file(folder).read_bytes()
    (folder / f"{_file(folder).name}.{os.getpid()}").mkdir()  # nothing can be written under that name
    with pytest.raises(CacheUnusable):
        cache.write(PLACE, KEPT)
    assert next(each for each in folder.iterdir() if each.is_file()).read_bytes() == before


def test_where_it_lies() -> None:
    assert folder_for({"XDG_RUNTIME_DIR": "/run/user/7"}, 7) == Path("/run/user/7/hostup-rotator")
    assert folder_for({}, 7) == Path("/tmp/hostup-rotator-7")
