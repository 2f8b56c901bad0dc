"""Files and folders that appear complete or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganlab.durable import TEMPORARY, WORKPLACE, append_text, replacing_directory, replacing_file, temporary_path
from ganlab.errors import RunError


def test_a_file_appears_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with replacing_file(path) as temporary:
        temporary.write_text("all of it")
        assert not path.exists()
    assert path.read_text() == "all of it"
    assert os.listdir(path.parent) == ["file.txt"]


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


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_not_a_file_is_not_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "place")
    with pytest.raises(RunError, match="exists and is not a file"), replacing_file(tmp_path / "place"):
        pass
    assert (tmp_path / "place").exists()
    assert not (tmp_path / "place").is_file()


FULL = OSError(errno.ENOSPC, "No space left on device")


def fail(error: Exception, replacing: Any, *arguments: Any) -> None:
    """Write half, then fail."""
    with replacing(*arguments) as temporary:
        (temporary / "half" if temporary.is_dir() else temporary).write_text("half")
        raise error


def test_a_full_disk_is_named_with_what_is_free_and_what_is_needed(tmp_path: Path) -> None:
    free = r"[\d,]+ bytes are free"
    untouched = "what was there before is untouched"
    with pytest.raises(
        RunError, match=rf"^cannot write .*file: No space left on device \({free}\); {untouched}$"
    ) as file:
        fail(FULL, replacing_file, tmp_path / "file")
    assert file.value.exit_code == 1
    needed = r"1,234,567 bytes are needed"
    with pytest.raises(
        RunError, match=rf"^cannot write .*new: No space left on device \({needed}, {free}\); {untouched}$"
    ):
        fail(FULL, replacing_directory, tmp_path / "new", 1_234_567)
    assert os.listdir(tmp_path) == []


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").touch()
    with pytest.raises(RunError, match=r"cannot write .*there: "), replacing_directory(tmp_path / "there") as temporary:
        (temporary / "a").touch()
    assert os.listdir(tmp_path) == ["there"]
    assert os.listdir(tmp_path / "there") == ["mine"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        fail(ZeroDivisionError(), replacing_file, path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_an_error_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        fail(ZeroDivisionError(), replacing_directory, tmp_path / "new")
    assert os.listdir(tmp_path) == []


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of what is flushed and renamed, in order."""
    noted: list[str] = []
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def noted_fsync(descriptor: int) -> None:
        noted.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    def noting(move: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
        def moved(source: Path, target: Path) -> None:
            noted.append("rename")
            move(source, target)

        return moved

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noting(rename))
    monkeypatch.setattr(os, "replace", noting(replace))
    return noted


def test_everything_is_flushed_before_it_is_renamed(tmp_path: Path, calls: list[str]) -> None:
    with replacing_directory(tmp_path / "directory") as temporary:
        (temporary / "b").write_text("b")
        (temporary / "a").write_text("a")
    assert calls == ["fsync a", "fsync b", f"fsync {temporary.name}", "rename", f"fsync {tmp_path.name}"]
    calls.clear()
    with replacing_file(tmp_path / "file") as temporary:
        temporary.write_text("a")
    assert calls == [f"fsync {temporary.name}", "rename", f"fsync {tmp_path.name}"]
    calls.clear()
    with replacing_file(tmp_path / "file", flush=False) as temporary:
        temporary.write_text("b")
    assert calls == ["rename"]
    assert (tmp_path / "file").read_text() == "b"


def refuse_to_flush_folders(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    fsync = os.fsync

    def refusing(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refusing)


def write(path: Path) -> None:
    with replacing_file(path) as temporary:
        temporary.write_text("all of it")


def test_a_file_system_that_flushes_no_folders_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_flush_folders(monkeypatch, errno.EINVAL)  # as some network file systems do
    write(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "all of it"


def test_a_folder_that_cannot_be_flushed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_flush_folders(monkeypatch, errno.EIO)
    sentence = r"cannot write .*file: Input/output error; it is there, but a power cut may take it away$"
    with pytest.raises(RunError, match=sentence):
        write(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "all of it"


def test_what_is_half_written_lies_beside_its_place_or_in_the_runs_own_folder(tmp_path: Path) -> None:
    (tmp_path / "run/samples").mkdir(parents=True)
    picture = tmp_path / "run/samples/a.png"
    beside = temporary_path(picture)
    assert (beside.parent, beside.name) == (picture.parent, f"{TEMPORARY}{os.getpid()}-a.png")
    (tmp_path / "run" / WORKPLACE).mkdir(parents=True)
    own = temporary_path(picture)
    assert own.parent == tmp_path / "run" / WORKPLACE
    assert own != temporary_path(tmp_path / "run/a.png") != beside
    with replacing_file(picture) as temporary:
        temporary.write_text("a")
        assert temporary == own
    assert os.listdir(picture.parent) == ["a.png"]
    assert os.listdir(own.parent) == []


def test_text_is_added_at_the_end_and_never_through_a_link(tmp_path: Path) -> None:
    for text in ("first\n", "é \udcff\n"):
        append_text(tmp_path / "log.txt", text)
    assert (tmp_path / "log.txt").read_bytes() == "first\né ?\n".encode()
    (tmp_path / "link").symlink_to(tmp_path / "log.txt")
    with pytest.raises(OSError, match="symbolic links"):
        append_text(tmp_path / "link", "no")
    assert (tmp_path / "log.txt").read_text().endswith("é ?\n")


def test_a_file_in_the_place_of_a_parent_is_named(tmp_path: Path) -> None:
    (tmp_path / "parent").write_text("a file")
    with pytest.raises(RunError, match=r"cannot write .*parent/file: "), replacing_file(tmp_path / "parent" / "file"):
        pass
