"""Picture files made byte by byte, after the documents of their formats: what is expected of them owes PIL nothing."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

Values = np.ndarray[Any, Any]
Order = Literal["<", ">"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
"""PNG's colour types."""
SHORT, LONG, UNDEFINED = 3, 4, 7
"""TIFF's types of fields."""
D50 = (0.9642, 1.0, 0.8249)
"""The white of all profiles: what their colours are measured against, XYZ."""


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """Return a chunk of a PNG: length, kind, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples: Values, bits: int, colour: int, chunks: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """Return a PNG of samples `(H, W)` or `(H, W, C)` as they stand in it, each of `bits` bits.

    `chunks` come between header and pixels. Rows take turns in their filters: none, sub and up.
    """
    height, width = samples.shape[:2]
    rows = packed(samples.reshape(height, -1), bits)
    step = max(1, bits * (samples.size // (height * width)) // 8)
    before, lines = np.zeros_like(rows[0]), []
    for number, row in enumerate(rows):
        shifted = np.concatenate([np.zeros(step, np.uint8), row])[: len(row)]
        lines.append(bytes([number % 3]) + (row - (0 * row, shifted, before)[number % 3]).tobytes())
        before = row
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = [chunk(b"IHDR", header), *(chunk(*one) for one in chunks), chunk(b"IDAT", zlib.compress(b"".join(lines)))]
    return PNG_SIGNATURE + b"".join(body) + chunk(b"IEND")


def packed(rows: Values, bits: int, order: Order = ">") -> Values:
    """Return rows of samples as rows of bytes, the first sample in the highest bits, each row filled up to a byte."""
    if bits in (8, 16, 32):
        kind = "f4" if rows.dtype == np.float32 else f"u{bits // 8}"
        return np.ascontiguousarray(rows.astype(np.dtype(kind).newbyteorder(order))).view(np.uint8)
    places = (rows[..., None].astype(np.int64) >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(places.reshape(len(rows), -1).astype(np.uint8), axis=1)


def tiff(
    samples: Values,
    bits: int,
    photometric: int,
    order: Order = "<",
    tags: Mapping[int, tuple[int, Sequence[int] | bytes]] | None = None,
    deflate: bool = False,
    pages: int = 1,
    planes: bool = False,
) -> bytes:
    """Return an uncompressed TIFF, or one in deflate, of samples `(H, W)` or `(H, W, C)` as they stand in it.

    `photometric`: 0 min is white, 1 min is black, 2 RGB, 5 CMYK, 8 CIELAB. `tags` are added: type, then the values.
    All `pages` are the same. With `planes`, one colour stands in the file after the other.
    """
    height, width = samples.shape[:2]
    count = samples.size // (height * width)
    parts = list(np.moveaxis(samples, -1, 0)) if planes else [samples]
    strips = [packed(part.reshape(height, -1), bits, order).tobytes() for part in parts]
    strips = [zlib.compress(strip) if deflate else strip for strip in strips]
    data = b"".join(strips)
    sizes = [len(strip) for strip in strips]
    fields: dict[int, tuple[int, Sequence[int] | bytes]] = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [bits] * count),
        259: (SHORT, [8 if deflate else 1]),
        262: (SHORT, [photometric]),
        273: (LONG, [8 + sum(sizes[:number]) for number in range(len(sizes))]),
        277: (SHORT, [count]),
        278: (LONG, [height]),
        279: (LONG, sizes),
        284: (SHORT, [1 + planes]),
    } | dict(tags or {})
    file = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data)) + data
    for page in range(pages):
        begin = len(file)
        after = begin + 2 + 12 * len(fields) + 4
        entries, beyond = b"", b""
        for tag, (kind, values) in sorted(fields.items()):
            raw = values if isinstance(values, bytes) else _numbers(values, kind, order)
            number = len(raw) // {SHORT: 2, LONG: 4, UNDEFINED: 1}[kind]
            place = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(order + "I", after + len(beyond))
            beyond += raw + bytes(len(raw) % 2) if len(raw) > 4 else b""
            entries += struct.pack(order + "HHI", tag, kind, number) + place
        following = after + len(beyond) if page < pages - 1 else 0
        file += struct.pack(order + "H", len(fields)) + entries + struct.pack(order + "I", following) + beyond
    return file


def _numbers(values: Sequence[int], kind: int, order: str) -> bytes:
    return struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values)


def icc(space: bytes, tags: Mapping[bytes, bytes], pcs: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    """Return an ICC profile of version 2 (ICC.1:2001-04): its colour space such as `b"RGB "`, and its tags."""
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"made\0" + bytes(78), b"wtpt": xyz(D50), **tags}
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, place + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", place + len(body), bytes(4), 0x02100000, kind, space, pcs)
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + xyz(D50)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def xyz(values: Sequence[float]) -> bytes:
    """Return a tag's data: one colour."""
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def gamma(exponent: float) -> bytes:
    """Return a tag's data: a curve that is a power."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(exponent * 256))


def curve(values: Values) -> bytes:
    """Return a tag's data: a curve through values from 0 to 1."""
    points = np.rint(np.asarray(values) * 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", len(points)) + points.tobytes()


def grid(corners: Values) -> bytes:
    """Return a tag's data: a table of 8 bits from four inks to CIELAB, `(2, 2, 2, 2, 3)`, the first ink first."""
    identity = bytes(range(256))
    head = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    return head + 4 * identity + np.rint(corners).astype(np.uint8).tobytes() + 3 * identity


def rgb_profile(matrix: Values, tone: bytes) -> bytes:
    """Return a profile of a matrix from its colours to XYZ under D50, and one curve."""
    primaries = {name: xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True)}
    return icc(b"RGB ", primaries | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), tone))


def iccp(profile: bytes) -> tuple[bytes, bytes]:
    """Return the chunk that holds a profile in a PNG: a name, the method, and the profile in deflate."""
    return b"iCCP", b"made\0\0" + zlib.compress(profile)


def qoi(pixels: Values) -> bytes:
    """Return a QOI of RGB `(H, W, 3)` (qoiformat.org): every pixel written out."""
    height, width = pixels.shape[:2]
    body = b"".join(b"\xfe" + pixel.astype(np.uint8).tobytes() for pixel in pixels.reshape(-1, 3))
    return b"qoif" + struct.pack(">IIBB", width, height, 3, 0) + body + bytes(7) + b"\1"


def psd(pixels: Values) -> bytes:
    """Return a Photoshop file of RGB `(H, W, 3)`: the merged picture, without layers."""
    height, width = pixels.shape[:2]
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, height, width, 8, 3) + bytes(12) + bytes(2)
    return head + pixels.astype(np.uint8).transpose(2, 0, 1).tobytes()


def sun(pixels: Values) -> bytes:
    """Return a Sun raster of RGB `(H, W, 3)`, whose rows have an even length."""
    height, width = pixels.shape[:2]
    body = pixels[..., ::-1].astype(np.uint8).tobytes()
    return struct.pack(">8I", 0x59A66A95, width, height, 24, len(body), 1, 0, 0) + body


def tga(pixels: Values, mark: bytes = b"TRUEVISION-XFILE.\0") -> bytes:
    """Return a Targa of RGB `(H, W, 3)`, the top row first."""
    height, width = pixels.shape[:2]
    head = struct.pack("<BBB5xHHHHBB", 0, 0, 2, 0, 0, width, height, 24, 0x20)
    return head + pixels[..., ::-1].astype(np.uint8).tobytes() + (bytes(8) + mark if mark else b"")


def sgi(pixels: Values) -> bytes:
    """Return an SGI file of RGB `(H, W, 3)`: plane after plane, the bottom row first."""
    height, width = pixels.shape[:2]
    head = struct.pack(">HBBHHHH", 474, 0, 1, 3, width, height, 3).ljust(512, b"\0")
    return head + pixels[::-1].astype(np.uint8).transpose(2, 0, 1).tobytes()


def pcx(pixels: Values) -> bytes:
    """Return a PCX of RGB `(H, W, 3)`: in each row plane after plane, every byte as a run of one."""
    height, width = pixels.shape[:2]
    corners = struct.pack("<6H", 0, 0, width - 1, height - 1, 72, 72)
    head = b"\x0a\5\1\x08" + corners + bytes(49) + b"\3" + struct.pack("<HH", width, 1)
    runs = np.stack([np.full(pixels.size, 0xC1), pixels.transpose(0, 2, 1).ravel()], -1)
    return head.ljust(128, b"\0") + runs.astype(np.uint8).tobytes()


def bmp(pixels: Values) -> bytes:
    """Return a BMP of RGB `(H, W, 3)`, rows of a multiple of four bytes, the bottom row first."""
    height, width = pixels.shape[:2]
    body = pixels[::-1, :, ::-1].astype(np.uint8).tobytes()
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(body), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, 54) + head + body
