"""Datasets of picture files: any folder or zip, and CelebA."""

from __future__ import annotations

import os
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from ganlab import DataError, Dataset, Source
from ganlab.standard.archives import ENDINGS, Shelf, folders, open_shelf, web_page

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What a file may hold, whatever its name: PIL knows other formats, and some of them start programs."""

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


class ImageFolder(Dataset):
    """Pictures in a folder, in folders of a folder, or in a zip, which is read in place.

    Files whose names end in .jpg, .jpeg, .jpe, .jfif, .png, .webp, .bmp, .gif, .tif, .tiff, .ppm, .pgm or .pnm are
    read; hidden ones are not.
    """

    api = 1

    root: Path
    """The folder or zip; a relative path starts at the current directory."""
    labels: bool = True
    """Take the folders as classes, in alphabetical order, where every picture lies in one of several."""

    def sources(self) -> Iterable[Path]:
        """Return the root."""
        return [self.root]

    def open(self) -> Source:
        """Find the pictures, in the order of their names."""
        root = Path(os.path.expanduser(self.root))
        if not root.exists():
            raise DataError(f"{root.absolute()} does not exist; set dataset.root to a folder or zip of pictures")
        shelf = open_shelf(root, _limit(self))
        if not shelf.names:
            raise DataError(f"{root} holds no pictures; read are files that end in {' '.join(ENDINGS)}")
        return Files(shelf, class_folders(shelf.names) if self.labels else None)


class CelebA(Dataset):
    """The 202,599 aligned faces of CelebA (Liu et al. 2015), from a folder or from its zip, which is read in place."""

    api = 1

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
        place = _aligned_pictures(root)
        if place is None:
            raise DataError(f"no CelebA pictures in {root}\n{_where_to_get_it(root)}")
        try:
            shelf = open_shelf(place, _limit(self))
        except DataError as error:
            raise DataError(f"{error}\n{_where_to_get_it(root)}") from error
        if not shelf.names:
            raise DataError(f"{place} holds no pictures\n{_where_to_get_it(root)}")
        files = Files(shelf, None)
        return Faces(files) if self.face_crop else files


class Files(Source):
    """Picture files of a folder or zip."""

    def __init__(self, shelf: Shelf, class_names: list[str] | None) -> None:
        self._shelf = shelf
        self._labels: list[int] = []
        if class_names is not None:
            numbers = {name: number for number, name in enumerate(sorted(set(class_names)))}
            self._labels = [numbers[name] for name in class_names]
            self.classes = len(numbers)

    def __len__(self) -> int:
        return len(self._shelf.names)

    def image(self, index: int) -> Image.Image:
        return open_picture(self._shelf.read(self._shelf.names[index]))

    def name(self, index: int) -> str:
        return str(self._shelf.path / self._shelf.names[index])

    def label(self, index: int) -> int:
        return self._labels[index]


class Faces(Source):
    """The faces of CelebA's aligned pictures."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def image(self, index: int) -> Image.Image:
        image = self._files.image(index)
        if image.size != ALIGNED:
            raise DataError(f"is {image.width}x{image.height} pixels; face_crop is for the aligned pictures, 178x218")
        return image.crop(FACE)

    def name(self, index: int) -> str:
        return self._files.name(index)


def open_picture(data: bytes) -> Image.Image:
    """Read the header of a picture file; its pixels are decoded later. Raise `DataError`, or what PIL raises."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise DataError("is empty")
    try:
        return Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        what = "a web page" if web_page(data) else f"not one of {', '.join(FORMATS)}"
        raise DataError(f"is {what}") from error
    except Image.DecompressionBombError as error:  # PIL's own limit, which no option of ours lifts
        raise DataError("claims more pixels than PIL opens") from error


def class_folders(names: list[str]) -> list[str] | None:
    """Return for each picture the folder that is its class, or None where some lie beside the folders.

    Folders that all pictures share say nothing and are passed over, such as the one that a zip was made of.
    """
    ways = [folders(name) for name in names]
    first, last = min(ways), max(ways)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    if any(len(way) == shared for way in ways):
        return None
    return [way[shared] for way in ways]


def _limit(dataset: Dataset) -> int:
    """Return how many bytes a file may have: every pixel of the largest picture uncompressed, and room for the rest."""
    return 4 * dataset.max_pixels + (64 << 20)


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
