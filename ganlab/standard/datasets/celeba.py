"""CelebA: where its aligned faces lie, and which part of a picture is the face."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ganlab import DataError, Dataset, Source, open_picture
from ganlab.standard.datasets.archives import open_file_store, refuse_special
from ganlab.standard.datasets.formats import PictureChannels
from ganlab.standard.datasets.image_folder import Files, largest_file
from ganlab.standard.datasets.layout import Found

if TYPE_CHECKING:
    from PIL import Image

ALIGNED = (178, 218)
"""Width and height of CelebA's aligned pictures."""
FACE = (89 - 64, 121 - 64, 89 + 64, 121 + 64)
"""The 128x128 box around the face in them: left, top, right, bottom (Karras et al. 2018, its dataset tool)."""
ALIGNED_PLACES = (
    "img_align_celeba/img_align_celeba",
    "img_align_celeba",
    "celeba/img_align_celeba",
    "img_align_celeba.zip",
    "celeba/img_align_celeba.zip",
    "celeba-dataset.zip",
    "archive.zip",
)
"""Where the pictures lie below the root, as the authors, torchvision, Kaggle's site and Kaggle's program leave them."""


class CelebA(Dataset):
    """The 202,599 aligned faces of CelebA (Liu et al. 2015), from a folder or from its zip, which is read in place."""

    api = 1

    channels: PictureChannels = 3
    """1 for greyscale, 3 for RGB, 4 for RGBA."""
    root: Path = Path("data/celeba")
    """The folder that holds img_align_celeba/ or img_align_celeba.zip, or one of these itself."""
    face_crop: bool = False
    """Cut out the 128x128 pixels around the face (Karras et al. 2018), before `crop`."""

    def sources(self) -> Iterable[Path]:
        """Return the folder or zip of the pictures."""
        root = Path(os.path.expanduser(self.root))
        return [_aligned_pictures(root) or root]

    def open(self) -> Source:
        """Find the pictures, in the order of their numbers."""
        root = Path(os.path.expanduser(self.root))
        refuse_special(root)
        place = _aligned_pictures(root)
        if place is None:
            raise DataError(f"no CelebA pictures in {root}\n{_where_to_get_it(root)}")
        try:
            store = open_file_store(place, largest_file(self))
        except DataError as error:
            raise DataError(f"{error}\n{_where_to_get_it(root)}") from error
        if not store.names:
            raise DataError(f"{place} holds no pictures\n{_where_to_get_it(root)}")
        files = Files(store, Found(store.names, None))
        return Faces(files) if self.face_crop else files


class Faces(Source):
    """The faces of CelebA's aligned pictures."""

    box = FACE

    def __init__(self, files: Files) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def image(self, index: int) -> Image.Image:
        return _aligned(self._files.encoded(index))

    def encoded(self, index: int) -> bytes:
        data = self._files.encoded(index)
        _aligned(data)  # which reads no more than the header
        return data

    def name(self, index: int) -> str:
        return self._files.name(index)


def _aligned(data: bytes) -> Image.Image:
    image = open_picture(data)
    if image.size != ALIGNED:
        raise DataError(f"is {image.width}x{image.height} pixels; face_crop is for the aligned pictures, 178x218")
    return image


def _aligned_pictures(root: Path) -> Path | None:
    if root.is_file():
        return root
    for place in ALIGNED_PLACES:
        path = root / place
        if path.is_file() or (path.is_dir() and _holds_pictures(path)):
            return path
    return root if root.is_dir() and _holds_pictures(root) else None


def _holds_pictures(folder: Path) -> bool:
    """Whether pictures lie in the folder itself; stops at the first."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.lower().endswith(".jpg") and not entry.name.startswith(".") for entry in entries)
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror}") from error


def _where_to_get_it(root: Path) -> str:
    return (
        "CelebA may be used for research, and is not downloaded for you. It can be had from\n"
        "  its authors: mmlab.ie.cuhk.edu.hk/projects/CelebA.html, the file Img/img_align_celeba.zip\n"
        "  Kaggle: the dataset jessicali9530/celeba-dataset\n"
        "  Hugging Face: the dataset eurecom-ds/celeba, whose pictures must be saved as files\n"
        f"Put img_align_celeba.zip, or the folder img_align_celeba, into {root}, "
        "or set dataset.root to where one of them lies"
    )
