"""Files of pictures where they lie: below a folder, or inside a zip, which is read in place and never extracted."""

from __future__ import annotations

import io
import os
import stat
import struct
import weakref
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ganlab import DataError, file_kind, is_listed, printable, walk_folder
from ganlab.standard.datasets.formats import START_BYTES, ends_like_picture, starts_like_picture

LOCAL_HEADER = struct.Struct("<4s22xHH")
"""What precedes a member in a zip: signature, then the lengths of the name and of the extra field that follow it."""
ENCRYPTED = 0x1
TOO_LARGE = "is read of such a file"
LARGEST_DIRECTORY = 256 << 20
"""Bytes of a zip's list of members: about two million pictures."""


class FileStore(ABC):
    """Named picture files, read by several threads at a time."""

    path: Path
    """The folder or archive."""
    names: list[str]
    """Relative paths of the files that end or begin like a picture, sorted; hidden ones are left out."""
    remarks: list[str]
    """What was left out, a sentence each."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a file's bytes. Raise `DataError` where it is no file, larger than the limit, or damaged."""

    @abstractmethod
    def read_apart(self, limit: int) -> bytes | None:
        """Return the bytes of the file that is no picture and not left out, None where it is not there."""


class Folder(FileStore):
    """The picture files below a folder; linked folders are followed, each once."""

    def __init__(self, path: Path, limit: int, apart: str) -> None:
        self.path, self._limit, self._apart = path, limit, apart
        self.names, self.remarks = _pictures_below(path, apart)

    def read(self, name: str) -> bytes:
        return read_file(self.path / name, self._limit)

    def read_apart(self, limit: int) -> bytes | None:
        path = self.path / self._apart
        return read_file(path, limit, TOO_LARGE) if path.exists() else None


class Archive(FileStore):
    """The picture files in a zip. Of members with the same name the last counts, as for any unzip program."""

    def __init__(self, path: Path, limit: int, apart: str) -> None:
        self.path, self._limit = path, limit
        listed = _members(path)
        self._apart = listed.get(apart)
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        self._members = {name: info for name, info in listed.items() if self._is_picture(name, info)}
        self.names = sorted(self._members)
        self.remarks = _left_out(name for name in listed if name not in self._members and name != apart)
        if locked := next((name for name, info in self._members.items() if info.flag_bits & ENCRYPTED), None):
            raise DataError(
                f"{path} is encrypted ({printable(locked)}); "
                "unpack it with its password and set dataset.root to the folder"
            )

    def read(self, name: str) -> bytes:
        return self._read(self._members[name], self._limit)

    def read_apart(self, limit: int) -> bytes | None:
        return None if self._apart is None else self._read(self._apart, limit, TOO_LARGE)

    def _read(self, member: zipfile.ZipInfo, limit: int, beyond: str = "") -> bytes:
        _check_size(max(member.file_size, member.compress_size), limit, beyond)
        # Never more than the directory says, which has been compared with the limit.
        # Not ZipFile.open, which is one stream with one lock: threads read here without waiting for each other.
        data = _inflate(self._pread(member.compress_size, self._begin(member)), member, member.file_size + 1)
        if len(data) != member.file_size or zlib.crc32(data) != member.CRC:
            raise DataError("is damaged: its checksum is wrong")
        return data

    def _is_picture(self, name: str, member: zipfile.ZipInfo) -> bool:
        """Tell by the name, or else by the first bytes; what cannot be read is no picture then."""
        if ends_like_picture(name) or member.flag_bits & ENCRYPTED:
            return ends_like_picture(name)
        try:
            packed = self._pread(min(member.compress_size, 16 * START_BYTES), self._begin(member))
            return starts_like_picture(_inflate(packed, member, START_BYTES)[:START_BYTES], name)
        except DataError:
            return False

    def _begin(self, member: zipfile.ZipInfo) -> int:
        """Return where the compressed bytes of a member begin."""
        signature, name_bytes, extra_bytes = LOCAL_HEADER.unpack(self._pread(LOCAL_HEADER.size, member.header_offset))
        if signature != b"PK\3\4":
            raise DataError("is not where the archive's directory says")
        return member.header_offset + LOCAL_HEADER.size + int(name_bytes) + int(extra_bytes)

    def _pread(self, count: int, offset: int) -> bytes:
        data = os.pread(self._descriptor, count, offset)
        while 0 < len(data) < count and (more := os.pread(self._descriptor, count - len(data), offset + len(data))):
            data += more
        if len(data) != count:
            raise DataError("lies beyond the end of the archive")
        return data


class _Bounded(io.FileIO):
    """A zip whose list of members is read whole only where it is no longer than one of pictures can be."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > LARGEST_DIRECTORY:
            raise DataError(
                f"{self.name} claims a list of its members of {size:,} bytes; up to {LARGEST_DIRECTORY:,} are read: "
                "unpack it and set dataset.root to the folder"
            )
        return super().read(size) or b""


def open_file_store(path: Path, limit: int, apart: str = "") -> FileStore:
    """Open the folder or zip at `path`; no picture of more than `limit` bytes will be read. Raise `DataError`.

    `apart` is the relative path of a file that is no picture and will be read nevertheless.
    """
    try:
        refuse_special(path)
        return Folder(path, limit, apart) if path.is_dir() else Archive(path, limit, apart)
    except OSError as error:
        raise DataError(f"cannot read {path.absolute()}: {error.strerror or error}") from error


def refuse_special(path: Path) -> None:
    """Raise `DataError` for a pipe, which would be waited for, and for a device, which may not end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DataError(f"{path} is a pipe or a device, neither a file nor a folder; set dataset.root to one of these")


def read_file(path: Path, limit: int, beyond: str = "") -> bytes:
    """Return the bytes of a file. Raise `DataError` where it is none, or has more than `limit`, which is `beyond`."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise DataError("is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
    _check_size(status.st_size, limit, beyond)
    with path.open("rb", buffering=0) as file:
        return file.readall()


def _pictures_below(root: Path, apart: str) -> tuple[list[str], list[str]]:
    names, suspects, others = [], [], []
    own: list[str] = []
    for folder, subfolders, files in walk_folder(root, passed_over=own):
        below = os.path.relpath(folder, root)
        prefix = "" if below == "." else f"{below}/"
        pictures = [name for name in files if ends_like_picture(name) or _holds_picture(f"{folder}/{name}")]
        names += [prefix + name for name in pictures]
        others += [name for name in sorted(set(files).difference(pictures)) if prefix + name != apart]
        suspects += [prefix + name for name in subfolders if ends_like_picture(name)]
    # A folder called x.jpg that holds no pictures is a bad picture, which is to be named and not passed over.
    names += [suspect for suspect in suspects if not any(name.startswith(f"{suspect}/") for name in names)]
    runs = [path for path in own if os.path.isdir(path)]
    remarks = _left_out(others)
    if len(runs) == 1:
        remarks.append(f"left out {runs[0]}: a run or a cache of ganlab's own")
    elif runs:
        remarks.append(f"left out {len(runs):,} folders, runs or caches of ganlab's own: the first is {runs[0]}")
    if sheets := len(own) - len(runs):
        remarks.append(f"left out {sheets:,} {'sheet' if sheets == 1 else 'sheets'} that ganlab sample has drawn")
    return sorted(names), remarks


def _left_out(names: Iterable[str]) -> list[str]:
    """Say in one sentence which files do not count, with their numbers by ending."""
    counts = Counter(os.path.splitext(name)[1].lower() or "no ending" for name in names)
    if not counts:
        return []
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kinds = ", ".join(f"{count:,} {ending}" for ending, count in ordered[:5])
    rest = sum(count for _, count in ordered[5:])
    return [f"left out as no pictures: {kinds}{f' and {rest:,} others' if rest else ''}"]


def _holds_picture(path: str) -> bool:
    """Tell by the first bytes of a file; what cannot be read, or is no file, is no picture then."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for ever
            return False
        with open(path, "rb", buffering=0) as file:
            return starts_like_picture(file.read(START_BYTES), path)
    except OSError:
        return False


def _members(path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the files of a zip by their names, but for hidden ones."""
    try:
        with _Bounded(path) as file, zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError) as error:
        raise DataError(f"{path} {_what_it_is(path)}") from error
    files = {info.filename: info for info in infos if not info.is_dir()}
    return {name: info for name, info in files.items() if all(map(is_listed, folders(name, whole=True)))}


def folders(name: str, *, whole: bool = False) -> list[str]:
    """Return the folders on the way to a file, with the file where `whole`; Windows' separators are understood."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return parts if whole else parts[:-1]


def _what_it_is(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(512)
    if file_kind(start) == "web page":
        return "is a web page, not a zip: a download was answered by a page such as a quota notice; download it again"
    if start.startswith(b"PK\3\4"):
        return f"is a zip that was cut off or damaged ({path.stat().st_size:,} bytes); download it again"
    return "is neither a folder nor a zip"


def _inflate(data: bytes, member: zipfile.ZipInfo, limit: int) -> bytes:
    """Return what a member holds, no more than `limit` bytes where it is compressed."""
    if member.compress_type == zipfile.ZIP_STORED:
        return data
    if member.compress_type != zipfile.ZIP_DEFLATED:
        raise DataError(f"is compressed by method {member.compress_type}; only stored and deflated members are read")
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, limit)
    except zlib.error as error:
        raise DataError("is damaged: it cannot be decompressed") from error


def _check_size(size: int, limit: int, beyond: str = "") -> None:
    if size > limit:
        raise DataError(f"has {size:,} bytes, more than {beyond or 'any picture within dataset.max_pixels'}")
