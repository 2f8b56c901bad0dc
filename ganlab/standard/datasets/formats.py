"""Which files of a folder or zip are pictures, by their names and first bytes."""

from __future__ import annotations

import re

from ganlab import file_kind

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
