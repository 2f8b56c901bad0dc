"""CelebA: found wherever its pictures lie, cut to the face where that is asked for, and clear when it is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from stand_ins import make, png_bytes, write_files, write_zip

from ganlab import DataError
from ganlab.data.packing import pack
from ganlab.standard.datasets.celeba import CelebA


@pytest.mark.parametrize("layout", ["folder", "zip", "itself", "zip itself", "kaggle", "kaggle zip", "torchvision"])
def test_it_is_found_wherever_it_lies(tmp_path: Path, layout: str) -> None:
    data = tmp_path / "data"
    root = make("celeba_zip" if layout.startswith("zip") else "celeba", data, 6)
    inner = data / "img_align_celeba"
    if layout == "itself":
        root = inner
    elif layout == "zip itself":
        root = data / "img_align_celeba.zip"
    elif layout == "kaggle":
        shutil.move(inner, tmp_path / "moved")
        inner.mkdir()
        shutil.move(tmp_path / "moved", inner / "img_align_celeba")
        (data / "list_attr_celeba.csv").write_text("")
    elif layout == "kaggle zip":
        files = {f"img_align_celeba/img_align_celeba/{path.name}": path.read_bytes() for path in inner.iterdir()}
        shutil.rmtree(inner)
        write_zip(data / "archive.zip", files | {"list_attr_celeba.csv": b""})
    elif layout == "torchvision":
        shutil.move(data, tmp_path / "celeba")
        root = tmp_path
    result = pack(CelebA(root=root), "celeba", lambda *_: None)
    assert result.images.shape == (6, 3, 64, 64)
    assert result.labels is None
    assert result.spec.classes == 0


def test_pictures_are_preferred_to_an_empty_folder(tmp_path: Path) -> None:
    make("celeba_zip", tmp_path, 3)
    (tmp_path / "img_align_celeba").mkdir()
    assert len(CelebA(root=tmp_path).open()) == 3


def test_the_face_crop_is_that_of_karras(tmp_path: Path) -> None:
    face = np.random.default_rng(0).integers(0, 256, (218, 178, 3), dtype=np.uint8)
    write_files(tmp_path / "img_align_celeba", {"000001.jpg": png_bytes(face)})
    data = pack(CelebA(root=tmp_path, face_crop=True, resolution=128), "celeba", lambda *_: None)
    cx, cy = 89, 121
    assert np.array_equal(data.images[0], face[cy - 64 : cy + 64, cx - 64 : cx + 64].transpose(2, 0, 1))
    write_files(tmp_path / "img_align_celeba", {"000002.jpg": png_bytes(face[:100])})
    with pytest.raises(DataError, match="is 178x100 pixels; face_crop is for the aligned pictures, 178x218"):
        pack(CelebA(root=tmp_path, face_crop=True), "celeba", lambda *_: None)


def remedy(root: Path) -> str:
    return (
        "CelebA may be used for research, and is not downloaded for you. It can be had from\n"
        "  its authors: mmlab.ie.cuhk.edu.hk/projects/CelebA.html, the file Img/img_align_celeba.zip\n"
        "  Kaggle: the dataset jessicali9530/celeba-dataset\n"
        "  Hugging Face: the dataset eurecom-ds/celeba, whose pictures must be saved as files\n"
        f"Put img_align_celeba.zip, or the folder img_align_celeba, into {root}, "
        "or set dataset.root to where one of them lies"
    )


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (None, "no CelebA pictures in {root}"),
        (b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title>",
         "{root}/img_align_celeba.zip is a web page, not a zip: "
         "a download was answered by a page such as a quota notice; download it again"),
        (b"PK\3\4" + bytes(4000),
         "{root}/img_align_celeba.zip is a zip that was cut off or damaged (4,004 bytes); download it again"),
        (b"", "{root}/img_align_celeba.zip is neither a folder nor a zip"),
    ],
)  # fmt: skip
def test_what_is_not_there_says_where_it_can_be_had(tmp_path: Path, data: bytes | None, what: str) -> None:
    if data is not None:
        (tmp_path / "img_align_celeba.zip").write_bytes(data)
    with pytest.raises(DataError) as caught:
        pack(CelebA(root=tmp_path), "celeba", lambda *_: None)
    assert str(caught.value) == f"{what.format(root=tmp_path)}\n{remedy(tmp_path)}"
