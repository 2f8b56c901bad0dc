"""What is said of a data set, on pictures that are made to be so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlab.data.census import duplicates, is_grey, remarks_on
from ganlab.data.packing import pack
from ganlab.standard.datasets.image_folder import ImageFolder


def folder(tmp_path: Path, sides: list[int], colour: bool = True, classes: list[int] | None = None) -> Path:
    random = np.random.default_rng(0)
    for index, side in enumerate(sides):
        shape = (side, side, 3) if colour else (side, side)
        place = tmp_path / "data" / (f"class{classes[index]}" if classes else ".")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(place / f"{index:03}.png")
    return tmp_path / "data"


def remarks(root: Path, resolution: int = 16) -> list[str]:
    dataset = ImageFolder(root=root, resolution=resolution)
    packed = pack(dataset, "image_folder", lambda *_: None)
    return list(remarks_on(packed, dataset))


def test_usual_pictures_raise_nothing(tmp_path: Path) -> None:
    assert remarks(folder(tmp_path, [16] * 8 + [32] * 8)) == []


def test_duplicates_are_counted(tmp_path: Path) -> None:
    root = folder(tmp_path, [16] * 8)
    for index in range(2):
        (root / f"again{index}.png").write_bytes((root / "000.png").read_bytes())
    assert remarks(root) == ["2 pictures are there already, pixel by pixel: 20% of 10 teach nothing new"]
    assert duplicates(np.zeros((5, 1, 4, 4), np.uint8)) == 4


def test_grey_pictures_as_colour_are_told(tmp_path: Path) -> None:
    assert remarks(folder(tmp_path, [16] * 8, colour=False)) == [
        "the pictures are grey and stored as colour: dataset.channels = 1 trains the same with less"
    ]
    assert not is_grey(np.arange(48, dtype=np.uint8).reshape(1, 3, 4, 4))


def test_pictures_that_are_enlarged_are_told(tmp_path: Path) -> None:
    (remark,) = remarks(folder(tmp_path, [16] * 7 + [64] * 3), resolution=64)
    assert "7 of 10 pictures that were looked at are smaller than dataset.resolution = 64, most about 16" in remark
    assert remarks(folder(tmp_path / "other", [50] * 10), resolution=64) == []


def test_a_rare_class_is_told(tmp_path: Path) -> None:
    remark = remarks(folder(tmp_path, [16] * 43, classes=[0] * 42 + [1]))
    assert remark == ["class class1 has 1 picture, and class0 42: rare ones are drawn badly"]


@pytest.mark.parametrize("count", [1, 2])
def test_very_few_pictures_are_looked_at_too(tmp_path: Path, count: int) -> None:
    assert remarks(folder(tmp_path, [16] * count)) == []
