"""Pictures for people: pixels from a generator's output, and grids of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ganlab.data.folders import SHEET_MARK
from ganlab.errors import GanlabError
from ganlab.messages import in_words
from ganlab.regular import named_path

Pictures = np.ndarray[Any, np.dtype[np.uint8]]
"""Pictures `(N, H, W, C)`, or one `(H, W, C)`: grey, RGB or RGBA, from 0 to 255."""

GAP = 2
"""Pixels between the pictures of a grid."""


class Encoding(NamedTuple):
    """How a picture becomes a file."""

    name: str
    """PIL's."""
    options: dict[str, Any]
    side: int
    """The longest that the format can hold, in pixels."""
    transparent: bool = True


_JPEG = Encoding("JPEG", {"quality": 95, "subsampling": 0}, 65_500, transparent=False)
ENCODINGS = {
    ".png": Encoding("PNG", {}, 2**31 - 1),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": Encoding("WEBP", {"lossless": True}, 16_383),
}
"""By the ending of the file's name. JPEG is the one that changes pixels, and it keeps the colours of single ones."""


def to_uint8(images: np.ndarray[Any, Any]) -> Pictures:
    """Turn `images` `(N, C, H, W)` in [-1, 1] into pixels `(N, H, W, C)`, 0 to 255; what lies outside is clamped."""
    count, channels, height, width = images.shape
    pictures = np.empty((count, height, width, channels), np.uint8)
    # A channel at a time and in place: half the time of the formula on whole arrays, and the same bits.
    for channel in range(channels):
        pixels = np.clip(images[:, channel], -1.0, 1.0)
        pixels += 1.0
        pixels *= 127.5
        pictures[..., channel] = np.rint(pixels, out=pixels)
    return pictures


class Sheet(np.ndarray[Any, np.dtype[np.uint8]]):
    """A picture `(H, W, C)` as an array that a notebook shows."""

    def _repr_png_(self) -> bytes | None:
        from PIL import Image

        if self.ndim != 3 or self.dtype != np.uint8 or not self.size:
            return None  # what has become of it is no picture any more
        file = io.BytesIO()
        Image.fromarray(np.asarray(self if self.shape[2] in (3, 4) else self[:, :, 0])).save(file, "PNG")
        return file.getvalue()


def grid(pictures: Pictures, columns: int) -> Pictures:
    """Lay pictures `(N, H, W, C)` out in rows of `columns`; return one picture `(H', W', C)` on white.

    Raise `GanlabError` for arrays of other dimensions, and where there are no columns.
    """
    _check(pictures, "(N, H, W, C)")
    if columns < 1:
        raise GanlabError(f"a grid has one column or more, not {columns}")
    count, height, width, channels = pictures.shape
    sheet = np.full((*grid_size(count, height, width, columns), channels), 255, np.uint8)
    columns = min(columns, count)
    for index, picture in enumerate(pictures):
        top, left = GAP + index // columns * (height + GAP), GAP + index % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = picture
    return sheet.view(Sheet)


def grid_size(count: int, height: int, width: int, columns: int) -> tuple[int, int]:
    """Return height and width of the grid of `count` pictures."""
    columns = min(columns, count)
    rows = -(-count // columns)
    return rows * (height + GAP) + GAP, columns * (width + GAP) + GAP


def pictures_of_grid(sheet: Pictures, count: int, height: int, width: int) -> Pictures:
    """Return the first `count` pictures of this size in a grid `(H', W', C)`, as many as it has places for."""
    rows, columns = ((side - GAP) // (length + GAP) for side, length in zip(sheet.shape, (height, width), strict=False))
    places = [
        (GAP + row * (height + GAP), GAP + column * (width + GAP)) for row in range(rows) for column in range(columns)
    ]
    parts = [sheet[top : top + height, left : left + width] for top, left in places[:count]]
    return np.stack(parts) if parts else np.empty((0, height, width, sheet.shape[2]), np.uint8)


def save_png(path: Path | str, picture: Pictures, flush: bool = True) -> None:
    """Write one picture `(H, W, C)` to `path` as PNG: greyscale, RGB or RGBA; of others, the first channel in grey.

    `flush` waits for the disk. Raises `GanlabError` for a path that does not end in `.png` and for what is no such
    array of uint8, `RunError` where the disk
    refuses.
    """
    if named_path(path).suffix.lower() != ".png":
        raise GanlabError(f"{path}: a PNG file has a name that ends in .png")
    _check(picture, "(H, W, C)")
    save_picture(Path(path), picture, flush)


def _check(pictures: Pictures, dimensions: str) -> None:
    """Raise `GanlabError` for what is no array of these dimensions of uint8."""
    if not isinstance(pictures, np.ndarray) or pictures.dtype != np.uint8 or pictures.ndim != dimensions.count(",") + 1:
        shape, dtype = getattr(pictures, "shape", None), getattr(pictures, "dtype", type(pictures).__name__)
        found = f"{dtype} {shape}" if shape is not None else str(dtype)
        raise GanlabError(f"must be an array {dimensions} of uint8, 0 to 255, not {found}")


def save_picture(path: Path, picture: Pictures, flush: bool = True, sheet: bool = False) -> None:
    """Write one picture in the format that the path's ending names. Raise `GanlabError` where that cannot hold it.

    A `sheet` is marked as one: where it lies among pictures to train on, it is none of them.
    """
    from PIL import Image

    from ganlab.durable import replacing_file

    check_holds(path, picture.shape)
    encoding = ENCODINGS[path.suffix.lower()]
    pixels = picture if picture.shape[2] in (3, 4) else picture[:, :, 0]
    with replacing_file(path, flush) as temporary:
        Image.fromarray(pixels).save(
            temporary, format=encoding.name, **encoding.options, **_mark(encoding.name) if sheet else {}
        )


def _mark(form: str) -> dict[str, Any]:
    """Return the options of PIL's with which a file says that it is a sheet."""
    from PIL import ExifTags, Image
    from PIL.PngImagePlugin import PngInfo

    text = SHEET_MARK.decode()
    if form == "PNG":
        words = PngInfo()
        words.add_text("Comment", text)
        return {"pnginfo": words}
    if form == "JPEG":
        return {"comment": text}
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = text
    return {"exif": exif}


def check_holds(path: Path, shape: tuple[int, ...]) -> None:
    """Raise `GanlabError` where no picture `(H, W, C)` can be written to `path`, by its ending."""
    encoding = ENCODINGS.get(path.suffix.lower())
    if encoding is None:
        raise GanlabError(f"{path}: pictures are written to names that end in {in_words(list(ENCODINGS), 'or')}")
    if max(shape[:2]) > encoding.side:
        raise GanlabError(
            f"{path}: a picture of {shape[1]}x{shape[0]} pixels does not fit {encoding.name}, "
            f"which ends at {encoding.side:,} a side; name a .png"
        )
    if shape[2] == 4 and not encoding.transparent:
        raise GanlabError(f"{path}: {encoding.name} keeps no transparency; name a .png or .webp")
