"""What counts of a folder that is looked through, for the cache and for datasets alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ganlab.errors import DataError

UNLISTED = "__MACOSX"
"""The folder that macOS adds to archives."""


def walk_folder(root: Path | str, *, skip_unreadable: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield for `root` and each folder below it what `os.walk` does: path, names of folders, names of files.

    The order is fixed: names are sorted. What `is_listed` leaves out is passed over, and linked folders are followed,
    but no folder comes twice. Raises `DataError` for a folder that cannot be read, unless such are to be skipped.
    """
    seen = set()
    for folder, subfolders, files in os.walk(root, onerror=None if skip_unreadable else _refuse, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(filter(is_listed, subfolders))
        yield folder, subfolders, sorted(name for name in files if not name.startswith("."))


def is_listed(name: str) -> bool:
    """Whether a folder of this name counts: hidden ones do not, nor what macOS adds to archives."""
    return not name.startswith(".") and name != UNLISTED


def _refuse(error: OSError) -> None:
    raise DataError(f"cannot read the folder {error.filename}: {error.strerror}") from error
