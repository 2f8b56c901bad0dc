"""What counts of a folder that is looked through, for the cache and for datasets alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ganlab.durable import INDEX, INDEX_START, MARKER
from ganlab.errors import DataError, printable
from ganlab.regular import read_regular

UNLISTED = "__MACOSX"
"""The folder that macOS adds to archives."""


SHEET_MARK = b"a sheet of pictures drawn by ganlab"
"""What a sheet of `ganlab sample` says of itself, near its beginning or its end, in the words of its format."""
SHEET_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
"""How the names of sheets may end."""
NEAR_BYTES = 512

CACHE_TAG = "CACHEDIR.TAG"
"""The file by which programs know a folder for a cache."""
CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
"""How it begins (bford.info/cachedir)."""
MOST_TAG_BYTES = 65536


def walk_folder(
    root: Path | str, *, skip_unreadable: bool = False, passed_over: list[str] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield for `root` and each folder below it what `os.walk` does: path, names of folders, names of files.

    The order is fixed: names are sorted. What `is_listed` leaves out is passed over, and so are ganlab's own runs,
    their index, and caches below `root`: what was drawn is not to be trained on. The paths of runs and caches are added
    to `passed_over`. Where that is given, the sheets of `ganlab sample` are passed over and added, too; they are found
    by a look into every file that may be one. Linked folders are followed, but no folder comes twice. Raises
    `DataError` for a folder that cannot be read, but for `skip_unreadable`.
    """
    seen = set()
    for folder, subfolders, files in os.walk(root, onerror=None if skip_unreadable else _refuse, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        listed = sorted(filter(is_listed, subfolders))
        subfolders[:] = [name for name in listed if not _is_own(f"{folder}/{name}")]
        if passed_over is not None:
            passed_over += [f"{folder}/{name}" for name in listed if name not in subfolders]
        visible = sorted(name for name in files if not name.startswith(".") and not _is_index(folder, name))
        if passed_over is not None:
            sheets = {name for name in visible if is_sheet(f"{folder}/{name}")}
            passed_over += [f"{folder}/{name}" for name in visible if name in sheets]
            visible = [name for name in visible if name not in sheets]
        yield folder, subfolders, visible


def is_listed(name: str) -> bool:
    """Whether a folder called `name` counts: hidden ones do not, nor what macOS adds to archives."""
    return not name.startswith(".") and name != UNLISTED


def is_sheet(path: str) -> bool:
    """Tell whether a file is a sheet of pictures that `ganlab sample` has drawn, by the mark in it."""
    if not path.lower().endswith(SHEET_ENDINGS):
        return False
    try:
        # Whoever reads the pictures says what is wrong with one; a pipe is not waited for.
        with open(path, "rb", buffering=0, opener=_at_once) as file:
            found = SHEET_MARK in file.read(NEAR_BYTES)
            if not found and path.lower().endswith(".webp"):  # which has its metadata at the end
                file.seek(max(0, os.fstat(file.fileno()).st_size - NEAR_BYTES))
                found = SHEET_MARK in file.read(NEAR_BYTES)
            return found
    except (OSError, TypeError):  # nothing to read: None
        return False


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _is_index(folder: str, name: str) -> bool:
    """Tell whether a file is the index of ganlab's runs, by its place and its beginning."""
    if not f"{folder}/{name}".endswith(f"/{INDEX}"):
        return False
    try:
        with open(f"{folder}/{name}", "rb", buffering=0, opener=_at_once) as file:
            return file.read(len(INDEX_START)) == INDEX_START
    except (OSError, TypeError):  # nothing to read: None
        return False


def _is_own(folder: str) -> bool:
    """Tell whether a folder is a run of ganlab's, or a cache, by the marker that lies in it."""
    if os.path.isfile(f"{folder}/{MARKER}"):
        return True
    try:
        return read_regular(Path(folder, CACHE_TAG), MOST_TAG_BYTES).startswith(CACHE_SIGNATURE)
    except OSError:
        return False


def _refuse(error: OSError) -> None:
    raise DataError(f"cannot read the folder {printable(str(error.filename))}: {error.strerror}") from error
