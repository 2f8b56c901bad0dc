"""The colour profile of a PNG: PIL refuses the whole picture where it is damaged or above a megabyte."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PROFILE = b"iCCP"
PIXELS = b"IDAT"
LARGEST_PROFILE_BYTES = 8 << 20
"""No more is inflated. What is not whole then is a damaged profile."""


def apart(data: bytes) -> tuple[bytes, bytes | None]:
    """Return a file without its colour profile, and the profile: empty where it is damaged, None where there is none.

    Files that are no PNG come back as they are.
    """
    if not data.startswith(SIGNATURE):
        return data, None
    for begin, end in _chunks(data):
        kind = data[begin + 4 : begin + 8]
        if kind == PIXELS:
            break
        if kind == PROFILE:
            sound = zlib.crc32(data[begin + 4 : end - 4]) == struct.unpack_from(">I", data, end - 4)[0]
            return data[:begin] + data[end:], _inflated(data[begin + 8 : end - 4]) if sound else b""
    return data, None


def _chunks(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each whole chunk begins and ends."""
    begin = len(SIGNATURE)
    while begin + 12 <= len(data):
        end = begin + 12 + struct.unpack_from(">I", data, begin)[0]
        if end > len(data):
            return
        yield begin, end
        begin = end


def _inflated(content: bytes) -> bytes:
    """Return the profile in a chunk: a name, a zero, the method 0, then the profile in deflate."""
    _, _, rest = content.partition(b"\0")
    if not rest.startswith(b"\0"):
        return b""
    try:
        return zlib.decompressobj().decompress(rest[1:], LARGEST_PROFILE_BYTES)
    except zlib.error:
        return b""
