"""Files of pictures: which formats are read, and how the bytes of one become an image, in any process."""

from __future__ import annotations

import re
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Literal

from ganlab.data.png import apart
from ganlab.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = (
    *("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "HEIF", "JPEG2000", "QOI", "PSD"),
    *("DCX", "DDS", "FLI", "FTEX", "MSP", "PCD", "PCX", "PIXAR", "SGI", "SUN", "XPM", "XVTHUMB"),
)
"""What a file may hold, whatever its name, in PIL's words.

Not among them, though PIL knows them: EPS and WMF, which start programs; BUFR, GRIB, HDF5 and MPEG, which it cannot
read; FITS, MCIDAS and SPIDER, which are measurements, and GBR, which are brushes; BLP, CUR, ICNS, ICO and IPTC, which
hold another file, larger than they claim; XBM, whose two colours nobody knows; DIB and IM, which nothing tells from
other data. TGA is read by its mark.
"""
TGA_MARK = b"TRUEVISION-XFILE.\0"
"""How a TGA ends since 1989. Without it, any file might be one."""
HEIC = rb"....ftyp(hei[cxms]|hev[cx]|mif1|msf1)"
AVIF = rb"....ftypavi[fs]"
SIGNATURE = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|BM....\0{4}....[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0|"
    rb"P[1-6]\s+\d+\s+\d+\s|\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51\0|qoif|8BPS\0\x01|DDS \x7c\0\0\0|"
    rb"\x59\xa6\x6a\x95\0|/\* XPM \*/|P7 332|\xb1\x68\xde\x3a|\x80\xe8\0\0|FTEX|DanM|LinS|" + AVIF + b"|" + HEIC,
    re.DOTALL,
)
"""How files begin that are pictures for certain, but for TIFF: raw files of cameras begin in the same way."""
PLUGINS = {"HEIF": (HEIC, "HEIC", "pillow-heif"), "AVIF": (AVIF, "AVIF", "pillow-avif-plugin")}
"""The formats that PIL may need a plugin for: how their files begin, what people call them, what is to be installed."""


def file_kind(start: bytes) -> Literal["picture", "web page"] | None:
    """Tell what a file is for certain by its `start`, 512 bytes or fewer, whatever its name.

    A web page is what is saved where a download was refused.
    """
    if SIGNATURE.match(start):
        return "picture"
    begin = start[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "web page" if begin.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")) else None


def open_picture(data: bytes) -> Image.Image:
    """Read the header of a picture file's `data`; pixels are decoded later. Raise `DataError`, or what PIL raises."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise DataError("is empty")
    data, profile = apart(data)
    formats = ("TGA",) if data.endswith(TGA_MARK) and not SIGNATURE.match(data) else readable()
    try:
        image = Image.open(BytesIO(data), formats=formats)
    except UnidentifiedImageError as error:
        raise DataError(_what_it_is(data)) from error
    except Image.DecompressionBombError as error:  # PIL's own limit, which no option of ours lifts
        raise DataError("claims more pixels than PIL opens") from error
    if profile is not None:
        image.info["icc_profile"] = profile
    return image


@lru_cache(maxsize=1)
def readable() -> tuple[str, ...]:
    """Return those of `FORMATS` that PIL reads here, with the plugins that are installed."""
    from PIL import Image, features

    Image.init()
    known = {name for name in FORMATS if name in Image.OPEN}
    try:
        if "HEIF" not in known:
            from pillow_heif import register_heif_opener

            register_heif_opener()
            known.add("HEIF")
    except ImportError:  # a picture of this format will say what is missing
        pass
    try:
        if not features.check("avif"):
            known.discard("AVIF")
            import pillow_avif  # noqa: F401  # which registers itself

            known.add("AVIF")
    except ImportError:
        pass
    return tuple(name for name in FORMATS if name in known)


def _what_it_is(data: bytes) -> str:
    """Say of a file that PIL does not open what it is, or is not."""
    if file_kind(data) == "web page":
        return "is a web page"
    for name, (start, title, plugin) in PLUGINS.items():
        if re.match(start, data, re.DOTALL) and name not in readable():
            return f"is {title}, for which Pillow needs a plugin: pip install {plugin}"
    return f"is not one of {', '.join(FORMATS[:8])} and the rarer formats that are read, or is damaged at its start"
