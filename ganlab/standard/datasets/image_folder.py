"""Pictures in a folder or zip."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ganlab import DataError, Dataset, Source
from ganlab.standard.datasets.archives import FileStore, folders, open_file_store
from ganlab.standard.datasets.formats import ENDINGS, open_picture

if TYPE_CHECKING:
    from PIL import Image


class ImageFolder(Dataset):
    """Pictures in a folder, in folders of a folder, or in a zip, which is read in place.

    Files are read whose names end in .jpg, .jpeg, .jpe, .jfif, .png, .apng, .webp, .avif, .heic, .heif, .hif, .bmp,
    .gif, .tif, .tiff, .ppm, .pgm, .pbm, .pnm, .jp2, .j2k, .jpx, .qoi, .psd, .tga, .dds, .pcx, .sgi, .pcd, .fli
    or .flc, and all others whose first bytes are those of a picture. Hidden ones are not.
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
        store = open_file_store(root, largest_file(self))
        if not store.names:
            raise DataError(
                f"{root} holds no pictures; read are files that end in {' '.join(ENDINGS)}, and others that begin "
                "as pictures do"
            )
        return Files(store, class_folders(store.names) if self.labels else None)


class Files(Source):
    """Picture files of a folder or zip."""

    def __init__(self, store: FileStore, class_names: list[str] | None) -> None:
        self._store = store
        self.remarks = store.remarks
        self._labels: list[int] = []
        if class_names is not None:
            numbers = {name: number for number, name in enumerate(sorted(set(class_names)))}
            self._labels = [numbers[name] for name in class_names]
            self.classes = len(numbers)

    def __len__(self) -> int:
        return len(self._store.names)

    def image(self, index: int) -> Image.Image:
        return open_picture(self._store.read(self._store.names[index]))

    def name(self, index: int) -> str:
        return str(self._store.path / self._store.names[index])

    def label(self, index: int) -> int:
        return self._labels[index]


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


def largest_file(dataset: Dataset) -> int:
    """Return how many bytes a file may have: every pixel of the largest picture uncompressed, and room for the rest.

    A pixel takes up to 8 bytes: four values of 16 bits.
    """
    return 8 * dataset.max_pixels + (64 << 20)
