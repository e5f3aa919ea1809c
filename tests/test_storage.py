"""Files by content: kept by themselves or together, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app import storage as storage_module
from app.errors import DiskFull
from app.storage import Storage

SOME = [bytes([number]) * 1000 for number in range(40)]

KILLED = """
import os, signal, sys
from pathlib import Path
from app.storage import Storage
with Storage(Path(sys.argv[1])).together() as files:
    for number in range(40):
        files.put("thumbs", bytes([number]) * 1000, ".jpg")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kept(root: Path) -> set[str]:
    """The names of all files below, but for those on their way."""
    return {path.name for path in (root / "files").rglob("*") if path.is_file() and not path.name.startswith(".")}


def stray(root: Path) -> list[Path]:
    return list((root / "files").rglob(".*"))


def test_files_that_are_kept_together_have_their_names_at_the_end(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    with storage.together() as files:
        names = {files.put("thumbs", data, ".jpg") for data in SOME}
        assert kept(tmp_path) == set()
    assert names == {hashlib.sha256(data).hexdigest() for data in SOME}
    assert kept(tmp_path) == {f"{name}.jpg" for name in names} and not stray(tmp_path)
    assert all(storage.path("thumbs", name, ".jpg").read_bytes() in SOME for name in names)


def test_of_files_that_are_kept_together_none_is_where_that_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Storage(tmp_path).together() as files:
        files.put("thumbs", b"1", ".jpg")
        raise KeyError
    assert kept(tmp_path) == set() and not stray(tmp_path)


def test_of_files_that_are_kept_together_none_is_where_their_process_is_killed(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False)
    assert done.returncode == -9
    assert kept(tmp_path) == set() and len(stray(tmp_path)) == 40


def test_the_same_bytes_from_many_threads_are_one_file(tmp_path: Path) -> None:
    with Storage(tmp_path).together() as files, ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: files.put("views", b"same", ".jpg"), range(64)))
    assert len(names) == 1 and kept(tmp_path) == {f"{names.pop()}.jpg"} and not stray(tmp_path)


def test_bytes_that_are_there_stay_and_count_as_young(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    path = storage.path("views", storage.put("views", b"same", ".jpg"), ".jpg")
    os.utime(path, (1, 1))
    inode = path.stat().st_ino
    with storage.together() as files:
        files.put("views", b"same", ".jpg")
    assert path.stat().st_ino == inode and path.stat().st_mtime > 1


def test_files_are_flushed_before_they_have_their_names_and_folders_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut never leaves a name without its bytes."""
    flushed: list[tuple[bool, set[str]]] = []
    paths: list[str] = []

    def noted(path: str) -> None:
        flushed.append((Path(path).is_file(), kept(tmp_path)))
        paths.append(path)

    monkeypatch.setattr(storage_module, "fsync", noted)
    with Storage(tmp_path).together() as files:
        names = {f"{files.put('thumbs', data, '.jpg')}.jpg" for data in SOME}
    folders = {name[:2] for name in names}
    assert flushed == [(True, set())] * len(names) + [(False, names)] * len(folders)
    assert len(set(paths)) == len(names) + len(folders), "each once, whichever thread has it"


def test_a_disk_that_is_nearly_full_keeps_nothing_more(tmp_path: Path) -> None:
    with pytest.raises(DiskFull), Storage(tmp_path, reserve_bytes=1 << 60).together() as files:
        files.put("thumbs", b"1", ".jpg")
    assert not list(tmp_path.iterdir())


def test_the_disk_is_asked_once_for_many_small_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Storage, "refuse_below_reserve", lambda _, wanted_bytes=0: asked.append(wanted_bytes))
    with Storage(tmp_path).together() as files:
        for data in SOME:
            files.put("thumbs", data, ".jpg")
        files.put("originals", bytes(20 << 20), ".jpg")
    assert asked == [16 << 20, 20 << 20], "and again for what is more than was asked for"


def test_what_killed_writers_left_behind_is_found_once_it_is_old(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    sha256 = storage.put("views", b"kept", ".jpg")
    left = storage.path("views", sha256, ".jpg").with_name(".0123.part")
    left.write_bytes(b"half")
    now = left.stat().st_mtime
    assert storage.left_behind(now + 60) == []
    assert storage.left_behind(now + 7_200) == [left.relative_to(tmp_path).as_posix()]


def test_a_file_in_the_current_folder_is_written_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with storage_module.atomic_file(Path("manifest.jsonl")) as file:
        file.write(b"{}")
        assert len(list(tmp_path.glob(".*.part"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.jsonl"]
