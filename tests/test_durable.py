"""Files that appear complete or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganlab.durable import replacing_directory, replacing_file
from ganlab.errors import RunError


def test_a_file_appears_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with replacing_file(path) as temporary:
        temporary.write_text("all of it")
        assert not path.exists()
    assert path.read_text() == "all of it"
    assert os.listdir(path.parent) == ["file.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail_halfway() -> None:
        with replacing_file(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_modes_follow_the_umask_whatever_the_writer_chose(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        with replacing_file(tmp_path / "file") as temporary:
            temporary.touch(mode=0o600)
        with replacing_directory(tmp_path / "directory") as temporary:
            (temporary / "inside").touch(mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
    assert (tmp_path / "directory" / "inside").stat().st_mode & 0o777 == mode


def test_what_is_not_a_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    with pytest.raises(RunError, match="exists and is not a file"), replacing_file(tmp_path / "place"):
        pass
    assert (tmp_path / "place").is_dir()


def test_a_refusing_disk_is_named(tmp_path: Path) -> None:
    def fail_halfway() -> None:
        with replacing_file(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match=r"cannot write .*file: No space left on device") as caught:
        fail_halfway()
    assert caught.value.exit_code == 1
    assert os.listdir(tmp_path) == []


def test_everything_is_flushed_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        calls.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    def noted_rename(source: Path, target: Path) -> None:
        calls.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    with replacing_directory(tmp_path / "directory") as temporary:
        (temporary / "b").write_text("b")
        (temporary / "a").write_text("a")
        name = temporary.name
    assert calls == ["fsync a", "fsync b", f"fsync {name}", "rename", f"fsync {tmp_path.name}"]


def test_a_file_in_the_place_of_a_parent_is_named(tmp_path: Path) -> None:
    (tmp_path / "parent").write_text("a file")
    with pytest.raises(RunError, match=r"cannot write .*parent/file: "), replacing_file(tmp_path / "parent" / "file"):
        pass
