"""The cache: where packed pictures are kept, whether they are still those of their sources, and who may write them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from sheets import Sheet, child, packing, reads, sheet, wait_for

from ganlab import DataError, Dataset, RunError, Source
from ganlab.data import cache
from ganlab.durable import TEMPORARY


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("GANLAB_CACHE", "~/pictures")
    assert cache.directory() == tmp_path / "home/pictures"
    monkeypatch.delenv("GANLAB_CACHE")
    assert cache.directory() == tmp_path / "xdg/ganlab"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.directory() == tmp_path / "home/.cache/ganlab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.directory() == tmp_path / "home/.cache/ganlab"


def test_without_a_home_there_is_no_place_for_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GANLAB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(DataError, match=r"^there is no home directory to keep packed pictures in; set GANLAB_CACHE to"):
        cache.directory()


def test_a_place_depends_on_the_dataset_its_options_and_its_sources(tmp_path: Path) -> None:
    def place(name: str = "sheet", file: str = "a.npy", **options: Any) -> Path:
        return cache.place(Sheet(file=tmp_path / file, **options), name).path

    usual = place()
    assert usual.parent == cache.directory()
    assert usual.name.startswith("sheet-")
    others = [place("other"), place(file="b.npy"), place(resolution=4), place(channels=1), place(crop="none")]
    assert len({usual, *others}) == 6
    assert place(flip=True) == usual, "which changes no pixel that is packed"
    odd = place("../a b:c").name
    assert odd.startswith("a-b-c-"), "whatever a dataset is called, its file lies in the cache"


def test_the_same_folder_by_another_way_is_the_same_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sheet(tmp_path / "a")
    monkeypatch.setenv("HOME", str(tmp_path))
    log = tmp_path / "log"
    for way in (tmp_path / "a.npy", Path("a.npy"), Path("./a.npy"), Path("~/a.npy")):
        key = cache.place(Sheet(file=way, log=log), "sheet")
        assert key == cache.place(Sheet(file=tmp_path / "a.npy", log=log), "sheet")


def test_the_state_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/a.png").write_text("1")
    (folder / "again").symlink_to(folder)
    (folder / "broken").symlink_to(folder / "nowhere")
    (folder / "loop.png").symlink_to(folder / "loop.png")

    def state() -> str:
        return cache.place(Sheet(file=folder), "sheet").sources

    first = state()
    (folder / ".hidden").write_text("1")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX/._a.png").write_text("1")
    assert state() == first
    os.utime(folder / "sub/a.png", ns=(1, 1))
    second = state()
    assert second != first
    (folder / "sub/b.png").write_text("1")
    third = state()
    assert third != second
    (folder / "sub/b.png").rename(folder / "sub/c.png")
    assert state() not in (first, second, third)


class Typed(Dataset):
    """Pictures made of nothing."""

    api = 1

    def sources(self) -> Iterable[Path]:
        return []

    def open(self) -> Source:
        raise NotImplementedError


def test_a_class_typed_into_a_notebook_is_never_taken_for_another() -> None:
    first, second = (type("Odd", (Typed,), {"__module__": "__notebook__"}) for _ in range(2))
    assert cache.place(first(), "odd").path == cache.place(second(), "odd").path
    assert cache.place(first(), "odd") == cache.place(first(), "odd")
    assert cache.place(first(), "odd").sources != cache.place(second(), "odd").sources


def test_one_holds_the_lock_and_the_others_wait(tmp_path: Path) -> None:
    path, asked = tmp_path / "new" / "sheet.safetensors", threading.Event()
    waited: list[bool] = []

    def second() -> None:
        with cache.locked(path, asked.set) as after:
            waited.append(after)

    with cache.locked(path, lambda: None) as first:
        assert first is False
        thread = threading.Thread(target=second)
        thread.start()
        assert asked.wait(600)
        assert waited == []
    thread.join()
    assert waited == [True]
    assert set(os.listdir(path.parent)) == {"CACHEDIR.TAG", "sheet.lock"}, "a third may still wait for it"


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "sheet-0123.safetensors"
    mine, others = f"{TEMPORARY}77-{path.name}", f"{TEMPORARY}77-other.safetensors"
    for name in (mine, others, path.name):
        (tmp_path / name).touch()
    cache.prepare(path, 1, "sheet")
    assert sorted(os.listdir(tmp_path)) == [others, path.name]


def test_what_does_not_fit_on_the_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        cache.prepare(tmp_path / "x.safetensors", 10**16, "all faces")
    sentence = str(caught.value)
    assert sentence.startswith(
        f'the packed pictures of dataset "all faces" need 10,000,000,000,000,000 bytes in {tmp_path}, where '
    )
    assert sentence.endswith(" are free; free some space, or set GANLAB_CACHE to a folder on another disk")


def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as caught, cache.locked(tmp_path / "file/cache/x.safetensors", lambda: None):
        pass
    assert str(caught.value) == (
        f"cannot write to {tmp_path}/file/cache, where packed pictures are kept: Not a directory; "
        "set GANLAB_CACHE to a folder that can be written"
    )


def test_two_processes_pack_once(tmp_path: Path) -> None:
    file, log = sheet(tmp_path / "a", 130), tmp_path / "log"
    first = child(packing(file, log, tmp_path / "gate"))
    wait_for(lambda: reads(log) > 10, first)
    second = child(packing(file, log, tmp_path / "gate"))  # without which the first does not end
    one, two = (process.communicate()[0].strip().split("|") for process in (first, second))
    assert reads(log) == 130
    assert one[1:] == ["looking for the pictures of sheet", "packing sheet"]
    assert two[1:] == ["looking for the pictures of sheet", "waiting for another process that packs sheet"]
    assert one[0] == two[0]
