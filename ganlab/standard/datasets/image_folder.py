"""Pictures in a folder or zip."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ganlab import DataError, Dataset, Source, open_picture
from ganlab.standard.datasets.archives import FileStore, open_file_store
from ganlab.standard.datasets.formats import ENDINGS, PictureChannels
from ganlab.standard.datasets.label_file import by_file, located
from ganlab.standard.datasets.layout import Found, Split, by_folders, choose_split, class_name, natural

if TYPE_CHECKING:
    from PIL import Image

LabelFile = Annotated[str, Field(pattern=r"\.(csv|CSV|json|JSON)$", examples=["labels.csv", "dataset.json"])]


class ImageFolder(Dataset):
    """Pictures in a folder, in folders of a folder, or in a zip, which is read in place.

    Files are read whose names end in .jpg, .jpeg, .jpe, .jfif, .png, .apng, .webp, .avif, .heic, .heif, .hif, .bmp,
    .gif, .tif, .tiff, .ppm, .pgm, .pbm, .pnm, .jp2, .j2k, .jpx, .qoi, .psd, .tga, .dds, .pcx, .sgi, .pcd, .fli
    or .flc, and all others whose first bytes are those of a picture. Hidden ones are not.
    """

    api = 1

    channels: PictureChannels = 3
    """1 for greyscale, 3 for RGB, 4 for RGBA."""
    root: Path
    """The folder or zip; a relative path starts at the current directory."""
    labels: bool | Literal["auto"] | LabelFile = True
    """Where classes come from. true, or `"auto"`: folders that lie side by side, in natural order, 2 before 10; false:
    there are none; else a file in the root or beside it, CSV with the columns file and label, or the dataset.json of
    StyleGAN's tools."""
    split: Split | None = None
    """Which of the folders train, val, valid, validation and test to take, where the pictures lie in several;
    `"all"`: them all together; `"none"`: such folders are classes like any other."""

    def sources(self) -> Iterable[Path]:
        """Return the root, and the file of labels."""
        file = located(Path(os.path.expanduser(self.root)), self._label_file) if self._label_file else None
        return [self.root] if file is None else [self.root, file]

    def open(self) -> Source:
        """Find the pictures, in the order of their names."""
        root = Path(os.path.expanduser(self.root))
        if not root.exists():
            raise DataError(f"{root.absolute()} does not exist; set dataset.root to a folder or zip of pictures")
        store = open_file_store(root, largest_file(self), self._label_file)
        if not store.names:
            raise DataError(
                f"{root} holds no pictures; read are files that end in {' '.join(ENDINGS)}, and others that begin "
                "as pictures do"
            )
        part = choose_split(store.names, self.split, root)
        if self._label_file:
            return Files(store, by_file(store, self._label_file, part, self.on_bad == "skip"))
        return Files(store, by_folders(part) if self.labels else Found(part.names, None, part.remarks))

    @property
    def _label_file(self) -> str:
        return "" if isinstance(self.labels, bool) or self.labels == "auto" else self.labels


class Files(Source):
    """Picture files of a folder or zip, those that were found to count."""

    def __init__(self, store: FileStore, found: Found) -> None:
        self._store, self._names = store, found.names
        self.remarks, self.warnings = [*store.remarks, *found.remarks], found.warnings
        self._labels: list[int] = []
        if found.classes is not None:
            ordered = sorted(set(found.classes), key=natural)
            numbers = {name: number for number, name in enumerate(ordered)}
            self._labels = [numbers[name] for name in found.classes]
            self.classes, self.class_names = len(ordered), [class_name(name) for name in ordered]

    def __len__(self) -> int:
        return len(self._names)

    def image(self, index: int) -> Image.Image:
        return open_picture(self.encoded(index))

    def encoded(self, index: int) -> bytes:
        return self._store.read(self._names[index])

    def name(self, index: int) -> str:
        return str(self._store.path / self._names[index])

    def label(self, index: int) -> int:
        return self._labels[index]


def largest_file(dataset: Dataset) -> int:
    """Return how many bytes a file may have: every pixel of the largest picture uncompressed, and room for the rest.

    A pixel takes up to 8 bytes: four values of 16 bits.
    """
    return 8 * dataset.max_pixels + (64 << 20)
