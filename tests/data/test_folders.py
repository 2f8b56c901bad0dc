"""One walk for all who look through folders: what counts, in which order, and the cache state that follows from it."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stand_ins import pictures, png_bytes, write_files
from toys import tiny

import ganlab
from ganlab import DataError, is_listed, walk_folder
from ganlab.cli import main
from ganlab.data import cache
from ganlab.data.folders import is_sheet
from ganlab.data.packing import pack
from ganlab.data.pictures import save_picture
from ganlab.standard.datasets.image_folder import ImageFolder

FILES = (
    "b.png",
    "a.png",
    "A.png",
    ".hidden",
    "__MACOSX/._a.png",
    ".git/x.png",
    "dogs/2.png",
    "dogs/10.png",
    "cats/é.png",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with what is hidden, and links to a folder elsewhere, to itself and to nothing."""
    root = tmp_path / "pictures"
    for name in (*FILES, "../elsewhere/1.png", "empty/__MACOSX/a.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "dogs/__MACOSX").write_text("a file of this name is a file like any other")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "zlinked").symlink_to(tmp_path / "elsewhere")
    (root / "dogs/up").symlink_to(root)
    (root / "gone.png").symlink_to(root / "nowhere")
    return root


def test_names_come_sorted_without_what_is_hidden_and_no_folder_twice(folder: Path) -> None:
    assert list(walk_folder(folder)) == [
        (f"{folder}", ["cats", "dogs", "empty", "linked", "zlinked"], ["A.png", "a.png", "b.png", "gone.png"]),
        (f"{folder}/cats", [], ["é.png"]),
        (f"{folder}/dogs", ["up"], ["10.png", "2.png", "__MACOSX"]),
        (f"{folder}/empty", [], []),
        (f"{folder}/linked", [], ["1.png"]),
    ]
    assert [is_listed(name) for name in ("cats", ".git", "__MACOSX", "x.")] == [True, False, False, True]


def test_a_folder_that_cannot_be_read_is_named_or_skipped(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        list(walk_folder(tmp_path / "gone"))
    assert str(caught.value) == f"cannot read the folder {tmp_path}/gone: No such file or directory"
    assert list(walk_folder(tmp_path / "gone", skip_unreadable=True)) == []


def test_what_is_packed_already_stays_valid(folder: Path) -> None:
    """The state by which the cache knows a folder again, spelled out: it must be the same in every version."""
    lines = [f"{folder}\n"]
    for name in (
        *("A.png", "a.png", "b.png", "gone.png"),
        *("cats/é.png", "dogs/10.png", "dogs/2.png", "dogs/__MACOSX", "linked/1.png"),
    ):
        path = folder / name
        if name == "gone.png":
            lines.append(f"{path}\0{errno.ENOENT}\n")
        else:
            os.utime(path, ns=(5, 123_456_789))
            lines.append(f"{path}\0{path.stat().st_size}\x00123456789\n")
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert cache.place(ImageFolder(root=folder), "image_folder").sources == expected


def picture_folder(root: Path, count: int = 12) -> Path:
    write_files(root, {f"{index:02d}.png": png_bytes(picture) for index, picture in enumerate(pictures(count, 8, 8))})
    return root


def recipe_of(root: Path) -> dict[str, Any]:
    dataset = {"name": "image_folder", "root": str(root), "resolution": 8}
    return tiny(dataset=dataset, model={"name": "dcgan", "base_channels": 4, "latent_dim": 6})


def test_a_run_among_the_pictures_is_no_part_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run, its samples, and even the cache lie in the very folder that is trained on."""
    pics = picture_folder(tmp_path / "pics")
    monkeypatch.setenv("GANLAB_CACHE", str(pics / "packed"))
    first = ganlab.train(recipe_of(pics), overrides=["train.iterations=4"], out=pics / "run")
    longer = ganlab.train(recipe_of(pics), overrides=["train.iterations=8"], out=pics / "run")
    assert (first.iterations, longer.iterations) == (4, 8)
    assert len(ImageFolder(root=pics).open()) == 12
    assert "packing image_folder again" not in (pics / "run/log.txt").read_text()
    (remark,) = ImageFolder(root=pics).open().remarks[-1:]
    assert remark == f"left out 2 folders, runs or caches of ganlab's own: the first is {pics}/packed"


def test_a_cache_in_the_folder_of_the_pictures_is_no_change_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pics = picture_folder(tmp_path / "pics")
    monkeypatch.setenv("GANLAB_CACHE", str(pics))
    dataset, said = ImageFolder(root=pics, resolution=8), list[str]()
    for _ in range(2):
        pack(dataset, "image_folder", lambda work, done, total: said.append(work))
    assert said.count("packing image_folder") == len([work for work in said if "packing" in work]) > 0
    before = len(said)
    pack(dataset, "image_folder", lambda work, done, total: said.append(work))
    assert len(said) == before, "the third time it is there already"


def test_a_pipe_in_place_of_a_cache_s_tag_is_no_tag() -> None:
    Path("pictures/inner").mkdir(parents=True)
    os.mkfifo("pictures/inner/CACHEDIR.TAG")
    assert [path for path, _, _ in walk_folder("pictures")] == ["pictures", "pictures/inner"]


@pytest.mark.parametrize("ending", [".png", ".jpg", ".jpeg", ".webp", ".PNG"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_is_known_by_its_mark_and_nothing_else_is_one(tmp_path: Path, ending: str, channels: int) -> None:
    picture = pictures(1, 200, 300, channels)[0]
    save_picture(tmp_path / f"sheet{ending}", picture, sheet=True)
    save_picture(tmp_path / f"picture{ending}", picture)
    with Image.open(tmp_path / f"sheet{ending}") as sheet, Image.open(tmp_path / f"picture{ending}") as other:
        assert np.array_equal(np.asarray(sheet), np.asarray(other))
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    os.symlink("nowhere", tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in sorted(tmp_path.iterdir()) if is_sheet(str(path))] == [f"sheet{ending}"]


def test_sheets_among_the_pictures_are_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pics = picture_folder(tmp_path / "pics")
    before = ganlab.train(recipe_of(pics), overrides={"train.iterations": 4}, out="run")
    for name in ("sample.png", "of seeds.webp", "one.jpg"):
        monkeypatch.setattr("sys.argv", ["ganlab", "sample", "run", "--out", str(pics / name)])
        main()
    found = ImageFolder(root=pics).open()
    assert len(found) == 12
    assert found.remarks == ["left out 3 sheets that ganlab sample has drawn"]
    longer = ganlab.train(recipe_of(pics), overrides={"train.iterations": 8}, out=before)
    assert (longer.iterations, longer.directory) == (8, before.directory), "the pictures have not changed"
    assert "left out 3 sheets" in (longer.directory / "log.txt").read_text()


def test_a_sheet_beside_folders_of_classes_does_not_take_the_classes_away(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        picture_folder(tmp_path / name, 2)
    save_picture(tmp_path / "sample.png", pictures(1, 8, 8)[0], sheet=True)
    assert ImageFolder(root=tmp_path, labels=True).open().classes == 2


def test_runs_below_the_pictures_are_one_line_and_no_change_in_them(tmp_path: Path) -> None:
    """Neither the runs nor their index count, for the list of what was left out and for the cache."""
    write_files(Path("pics"), {f"{number}.png": png_bytes(picture) for number, picture in enumerate(pictures(4, 8, 8))})
    dataset = ImageFolder(root=tmp_path / "pics", resolution=8)
    before = cache.place(dataset, "pics")
    os.chdir("pics")
    table = tiny(train={"iterations": 1})
    for _ in range(3):
        ganlab.train(table)
    assert Path("runs/index.jsonl").exists()
    assert cache.place(dataset, "pics") == before
    assert dataset.open().remarks == [
        f"left out 3 folders, runs or caches of ganlab's own: the first is {tmp_path}/pics/runs/recipe/0001"
    ]
    Path("runs/index.jsonl").write_text("of somebody else")
    assert dataset.open().remarks[0] == "left out as no pictures: 1 .jsonl"
