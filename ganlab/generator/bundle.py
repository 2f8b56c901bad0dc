"""One file for a format of several: a zip without compression, whose comment is the metadata."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from ganlab.durable import replacing_file
from ganlab.errors import ArtefactError, RunError
from ganlab.generator.file import seal
from ganlab.generator.metadata import parse_object

MOST_FILES = 1000
MOST_METADATA_BYTES = 65_535
"""As many as the comment of a zip holds."""
MOST_DIRECTORY_BYTES = 1_000_000
MOST_BYTES = 2**32 - 1
"""Of a zip that every program reads."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in it, so that the same files give the same bytes."""


_END = struct.Struct("<4s4H2LH")
"""A zip's last record: mark, numbers, the bytes of its list of files, where that begins, the bytes of the comment."""
_END_MARK, _LARGE_MARK = b"PK\5\6", b"PK\6\7"


def write_bundle(folder: Path, metadata: Mapping[str, str], path: Path) -> None:
    """Write the files below `folder` and the `metadata` of `Exporter.export` into the one file `path`, sealed.

    The same files give the same bytes. The files themselves must not hold the metadata. Raises `RunError` where it is
    too long, or the files are too large.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if (size := sum(file.stat().st_size for file in files)) > MOST_BYTES - 10 * MOST_DIRECTORY_BYTES:
        raise RunError(f"the files have {size:,} bytes, and a bundle holds 4 GB at most")
    comment = json.dumps(dict(metadata), sort_keys=True).encode("ascii")
    if len(comment) > MOST_METADATA_BYTES:
        raise RunError(f"the metadata has {len(comment):,} bytes, and a bundle holds {MOST_METADATA_BYTES:,} at most")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as bundle:
        for file in files:
            bundle.writestr(zipfile.ZipInfo(file.relative_to(folder).as_posix(), EPOCH), file.read_bytes())
        bundle.comment = comment
    with replacing_file(path) as temporary:
        temporary.write_bytes(seal(data.getvalue()))


def bundle_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of `path`, which `write_bundle` has written. Raise `ArtefactError` where it is none."""
    with _opened(path) as bundle:
        table = parse_object(bundle.comment, f"{path}: its metadata")
    if not all(isinstance(value, str) for value in table.values()):
        raise ArtefactError(f"{path}: its metadata is not what ganlab writes: copy or export it again")
    return table


@contextmanager
def unpacked_bundle(path: Path) -> Iterator[Path]:
    """Yield a temporary folder with the files that `write_bundle` has packed into `path`.

    Nothing is written outside it, and no more than the file has bytes. Raises `ArtefactError` for a damaged bundle.
    """
    with TemporaryDirectory(prefix="ganlab-") as name:
        with _opened(path) as bundle:
            for entry in _checked(path, bundle):
                temporary = Path(name) / entry.filename
                temporary.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_bytes(bundle.read(entry))
        yield Path(name)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        _refuse_large_directory(path)
        with zipfile.ZipFile(path) as bundle:
            yield bundle
    # What zipfile makes of a damaged or foreign archive, and a disk that does not answer.
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, EOFError) as error:
        raise ArtefactError(f"{path}: is a damaged bundle, or none: {error}; copy or export it again") from error


def _refuse_large_directory(path: Path) -> None:
    """Raise `ValueError` where the list of files claims more bytes than ours has: Python's reader believes it."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END.size - MOST_METADATA_BYTES))
        tail = file.read()
    start = tail.rfind(_END_MARK)  # the last, as the reader takes it: what is packed may be a zip, too
    if start < 0 or len(tail) - start < _END.size or tail[: max(0, start)][-20:].startswith(_LARGE_MARK):
        raise ValueError("it has no end of a zip")
    *_, directory_bytes, _, comment_bytes = _END.unpack_from(tail, start)
    if start + _END.size + comment_bytes != len(tail) or directory_bytes > MOST_DIRECTORY_BYTES:
        raise ValueError("its list of files is too long, or cut short")


def _checked(path: Path, bundle: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the entries where all of them are plain files in the bundle's own folder, no larger than they may be."""
    entries = bundle.infolist()
    names = [entry.filename for entry in entries]
    plain = all(
        name and PurePosixPath(name).as_posix() == name and not {"..", "."}.intersection(name.split("/"))
        for name in names
    )
    inside = plain and not any(name.startswith("/") or "\\" in name or "\0" in name for name in names)
    stored = all(entry.compress_type == zipfile.ZIP_STORED and entry.file_size >= 0 for entry in entries)
    if (
        not inside
        or not stored
        or len(names) > MOST_FILES
        or len(set(names)) != len(names)
        or sum(entry.file_size for entry in entries) > path.stat().st_size
    ):
        raise ArtefactError(f"{path}: is no bundle that ganlab has written: its files are not plainly stored in it")
    return entries
