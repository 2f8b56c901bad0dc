"""Which files of a folder or zip are pictures, by their names and first bytes."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, PositiveInt

from ganlab import file_kind


def _of_a_picture(channels: int) -> int:
    if channels not in (1, 3, 4):
        raise ValueError("must be 1, 3 or 4, as pictures have")
    return channels


PictureChannels = Annotated[PositiveInt, AfterValidator(_of_a_picture)]
"""How many channels a picture of a file can be given."""

ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".heic", ".heif", ".hif", ".bmp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".qoi", ".psd", ".tga", ".dds", ".pcx"),
    *(".sgi", ".pcd", ".fli", ".flc"),
)
"""File names, in small or capital letters, whose files must be pictures: what is none is a bad one."""
START_BYTES = 64
"""How much of any other file is looked at."""
TIFF = rb"II\*\0|MM\0\*|II\x2b\0|MM\0\x2b"
"""How TIFF begins, and raw files of cameras, too."""


def ends_like_picture(name: str) -> bool:
    """Whether a file must be a picture by its name."""
    return name.lower().endswith(ENDINGS)


def starts_like_picture(start: bytes, name: str) -> bool:
    """Whether a file is a picture by its first `START_BYTES`, whatever its name."""
    if file_kind(start) == "picture":
        return True
    return "." not in name.rpartition("/")[2] and re.match(TIFF, start) is not None
