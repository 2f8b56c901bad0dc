"""What folders say: splits are chosen or asked for, classes are in natural order, and strays are named."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from stand_ins import pictures, png_bytes, write_files, write_zip

from ganlab import DataError, Source
from ganlab.data.packing import pack
from ganlab.standard.datasets.image_folder import ImageFolder
from ganlab.standard.datasets.layout import Part, by_folders, choose_split, class_name, natural

PICTURE = png_bytes(pictures(1, 8, 8)[0])
SPLIT = ["a.png", "Train/cats/1.png", "Train/cats/2.png", "Train/dogs/3.png", "test/cats/4.png", "test/dogs/5.png"]


def opened(root: Path, files: list[str], **options: Any) -> Source:
    write_files(root, dict.fromkeys(files, PICTURE))
    return ImageFolder(root=root, **options).open()


def taken(source: Source) -> dict[str, str]:
    """Return the class of each picture by the picture's own name."""
    found = range(len(source))
    return {Path(source.name(i)).name: source.class_names[source.label(i)] if source.classes else "" for i in found}


# Natural order


def test_names_are_sorted_as_people_do_it() -> None:
    ordered = ["0", "2", "02", "10", "a", "A1", "a2", "a10", "A10b", "b", "Z", "é", "\u0661"]
    shuffled = ordered.copy()
    for seed in range(20):
        random.Random(seed).shuffle(shuffled)
        got = sorted(shuffled, key=natural)
        assert [name for name in got if name not in ("2", "02")] == [n for n in ordered if n not in ("2", "02")]
        assert got == sorted(got, key=natural)
        assert abs(got.index("2") - got.index("02")) == 1, "as numbers they are the same; the letters decide"
    assert sorted(["9" * 5000, "1" + "0" * 5000, "8"], key=natural) == ["8", "9" * 5000, "1" + "0" * 5000]


def test_what_a_class_is_called_is_printable_and_short() -> None:
    assert class_name("\x1b[31mcats\udcff\n") == r"\x1b[31mcats\udcff\n"
    assert class_name("cafe\u0301") == "caf\u00e9"
    assert len(class_name("x" * 255)) == 200


def test_a_folder_may_be_called_anything(tmp_path: Path) -> None:
    opened(tmp_path / "pets", ["\x1b[31m/1.png", "\u202egod/2.png", f"{'x' * 255}/3.png"])
    packed = pack(ImageFolder(root=tmp_path / "pets", resolution=8), "image_folder", print)
    assert packed.class_names == (r"\x1b[31m", f"{'x' * 197}...", r"\u202egod")


def test_folders_that_look_the_same_are_not_two_classes(tmp_path: Path) -> None:
    opened(tmp_path / "pets", ["caf\u00e9/1.png", "cafe\u0301/2.png"])
    with pytest.raises(DataError, match='calls both class 0 and class 1 "café"; each needs a name of its own'):
        pack(ImageFolder(root=tmp_path / "pets", resolution=8), "image_folder", print)


# Splits


@pytest.mark.parametrize("labels", [True, False])
def test_splits_are_not_taken_for_classes_and_not_guessed(tmp_path: Path, labels: bool) -> None:
    with pytest.raises(DataError) as caught:
        opened(tmp_path / "pets", SPLIT, labels=labels)
    assert str(caught.value) == (
        f"{tmp_path}/pets has the folders test and Train, which are splits and no classes; choose one of them by "
        'dataset.split = "train", or take "all" of them together'
    )


@pytest.mark.parametrize(
    ("split", "expected", "left_out"),
    [
        ("train", {"1.png": "cats", "2.png": "cats", "3.png": "dogs"}, "3 pictures"),
        ("test", {"4.png": "cats", "5.png": "dogs"}, "4 pictures"),
        ("all", {"1.png": "cats", "2.png": "cats", "3.png": "dogs", "4.png": "cats", "5.png": "dogs"}, "1 picture"),
    ],
)
@pytest.mark.parametrize("shared", ["", "pets-2/", "a/b/"])
def test_a_split_is_chosen_and_the_folders_in_it_are_the_classes(
    tmp_path: Path, split: Any, expected: dict[str, str], left_out: str, shared: str
) -> None:
    files = [shared + name for name in SPLIT]
    source = opened(tmp_path / "pets", files, split=split)
    assert taken(source) == expected
    assert source.remarks == [f'left out {left_out} outside of what dataset.split = "{split}" chooses']
    zipped = ImageFolder(root=write_zip(tmp_path / "pets.zip", dict.fromkeys(files, PICTURE)), split=split).open()
    assert taken(zipped) == expected
    assert taken(ImageFolder(root=tmp_path / "pets", split=split, labels=False).open()) == dict.fromkeys(expected, "")


@pytest.mark.parametrize("name", ["train", "VAL", "Valid", "validation", "TEST"])
def test_each_of_these_names_is_a_split_in_any_letters(tmp_path: Path, name: str) -> None:
    other = "test" if name != "TEST" else "train"
    files = [f"{name}/1.png", f"{other}/2.png"]
    with pytest.raises(DataError, match="which are splits and no classes"):
        opened(tmp_path / "pets", files)
    split: Any = name.lower()
    assert taken(ImageFolder(root=tmp_path / "pets", split=split).open()) == {"1.png": ""}


def test_a_split_that_lies_alone_needs_no_choice(tmp_path: Path) -> None:
    files = ["train/cats/1.png", "train/dogs/2.png"]
    for options in ({}, {"split": "train"}, {"split": "all"}):
        assert taken(opened(tmp_path / "pets", files, **options)) == {"1.png": "cats", "2.png": "dogs"}


def test_one_that_lies_among_classes_is_one_of_them_or_asked_for(tmp_path: Path) -> None:
    vehicles = ["bus/1.png", "car/2.png", "train/3.png"]
    assert taken(opened(tmp_path / "flat", vehicles)) == {"1.png": "bus", "2.png": "car", "3.png": "train"}
    nested = [*vehicles, "train/steam/4.png"]
    with pytest.raises(DataError) as caught:
        opened(tmp_path / "nested", nested)
    assert str(caught.value) == (
        f"{tmp_path}/nested has the folder train with folders in it, beside bus and car; write "
        'dataset.split = "train" if that is a split, or "none" if it is a class like the others'
    )
    assert set(taken(ImageFolder(root=tmp_path / "nested", split="none").open()).values()) == {"bus", "car", "train"}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (SPLIT, 'has no folder val for dataset.split = "val" to choose; it has test and Train'),
        (["cats/1.png", "dogs/2.png"], 'has no folder val for dataset.split = "val" to choose; leave the option away'),
        (["1.png"], 'has no folder val for dataset.split = "val" to choose; leave the option away'),
        (["/".join("a" * 100) + "/1.png"], 'has no folder val for dataset.split = "val" to choose; leave the'),
    ],
)
def test_a_split_that_is_not_there_is_said_with_those_that_are(tmp_path: Path, files: list[str], sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        opened(tmp_path / "pets", files, split="val")
    assert sentence in str(caught.value)


# Strays


def test_strays_are_named_and_do_not_switch_the_labels_off(tmp_path: Path) -> None:
    files = [f"{kind}/{number}{kind}.png" for kind in ("cats", "dogs") for number in range(3)]
    source = opened(tmp_path / "one", [*files, "cover.png"])
    assert source.classes == 2
    assert set(taken(source)) == {Path(name).name for name in files}
    assert source.warnings == (
        "left out 1 picture that lies beside the folders of the classes: cover.png; move it into these, or set "
        "dataset.labels = false to do without classes",
    )
    beside = ["a10.png", "a2.png", "a3.png", "a4.png", "a5.png"]
    source = opened(tmp_path / "five", [*files, *beside])
    assert source.classes == 2
    assert (
        "left out 5 pictures that lie beside the folders of the classes: a10.png, a2.png, a3.png and 2 more; "
        in (source.warnings[0])
    )
    packed = pack(ImageFolder(root=tmp_path / "five", resolution=8), "image_folder", print)
    assert packed.warnings == source.warnings
    assert len(ImageFolder(root=tmp_path / "five", labels=False).open()) == 11


def test_strays_beside_the_folder_that_all_classes_share_count_too(tmp_path: Path) -> None:
    source = opened(tmp_path, ["cover.png", "set/cats/1.png", "set/cats/2.png", "set/dogs/3.png", "set/b.png"])
    assert taken(source) == {"1.png": "cats", "2.png": "cats", "3.png": "dogs"}
    assert (
        "left out 2 pictures that lie beside the folders of the classes: cover.png and set/b.png; "
        in (source.warnings[0])
    )


def test_where_most_pictures_lie_beside_folders_these_are_no_classes_which_is_said(tmp_path: Path) -> None:
    source = opened(tmp_path, ["1.png", "2.png", "3.png", "more/4.png", "old/5.png"])
    assert (source.classes, len(source), source.warnings) == (0, 5, ())
    assert source.remarks == ["the folders are no classes, for 3 of the 5 pictures lie beside them"]


def test_paths_of_a_hostile_depth_are_given_up_on() -> None:
    names = [f"{'a/' * 30_000}{number}/x.png" for number in range(50)]
    assert by_folders(choose_split(names, None, Path("x"))).classes is None
    assert by_folders(Part(names, 0)).names == names
