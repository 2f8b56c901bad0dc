"""The values in files of more than 8 bits, all of their bits: PIL alone gives colours with 8, cut off."""

from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from ganlab.data.depth import Deep, UnfitError, Values, scaled

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile, _Tile

SWAPPED = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
"""How PIL is told to take the low byte of each 16 bits where the first order makes it take the high one."""
BITS_PER_SAMPLE, PHOTOMETRIC, PLANES, SAMPLE_FORMAT = 258, 262, 284, 339
"""TIFF tags."""
MIN_IS_WHITE, SEPARATE, UNSIGNED, SIGNED = 0, 2, 1, 2
"""Values of these."""


def read_deep(image: Image.Image) -> Deep | None:
    """Return the values of a picture that has more than 8 bits, None for one that has not.

    Call it before the picture is loaded: PIL gives colours with 8 bits only, and a little of how they lie in the
    file must be put otherwise to have the rest. Raise `UnfitError`, or what PIL raises.
    """
    from PIL.ImageFile import ImageFile

    if isinstance(image, ImageFile) and image.tile and image.fp is not None:
        if image.format == "PPM":
            return _read_ppm(image)
        rawmode = _rawmode(image.tile[0])
        if image.mode in ("RGB", "RGBA", "CMYK") and (rawmode.endswith(tuple(SWAPPED)) or _in_planes(image)):
            return _read_colours(image, rawmode)
        if image.format == "PNG" and rawmode in ("1", "L;2", "L;4") and "transparency" in image.info:
            # PIL spreads the samples over 0 to 255, and leaves the one that is transparent as the file has it: in
            # 2 and 4 bits always, in 1 bit in its older versions.
            image.info["transparency"] = _spread(int(image.info["transparency"]), int(rawmode[-1]))
    if image.mode.startswith("I") or image.mode == "F":
        return _read_single(image)
    return None


def _read_single(image: Image.Image) -> Deep:
    """Return a picture of one value a pixel, which PIL gives as it is."""
    from PIL.TiffImagePlugin import TiffImageFile

    key = image.info.get("transparency") if image.format == "PNG" else None
    full: tuple[int, int] | None = (0, 65535) if image.mode.startswith("I;16") or image.format == "PPM" else None
    inverted = unsigned = False
    if isinstance(image, TiffImageFile):
        bits = int(image.tag_v2.get(BITS_PER_SAMPLE, (16,))[0])
        signs = image.tag_v2.get(SAMPLE_FORMAT, (UNSIGNED,))[0]
        inverted = image.tag_v2.get(PHOTOMETRIC) == MIN_IS_WHITE
        unsigned = bits == 32 and signs == UNSIGNED
        if image.mode.startswith("I;16"):
            full = (0, 2**bits - 1)
        elif bits == 16 and signs == SIGNED:
            full = (-(2**15), 2**15 - 1)
    image.load()
    values = np.asarray(image)
    if unsigned and values.dtype == np.int32:
        values = values.view(np.uint32)
    return Deep(values, "L", full, None if key is None else _opaque_but(values[..., None], (key,)), inverted)


def _read_colours(image: ImageFile, rawmode: str) -> Deep | None:
    """Return colours of 16 bits, or grey with alpha, of a PNG or TIFF."""
    if rawmode == "LA;16B":
        _put_otherwise(image, rawmode, "RGBA")  # the four bytes of a pixel
        image.load()
        four = np.asarray(image).astype(np.uint16)
        grey, alpha = four[..., 0] << 8 | four[..., 1], four[..., 2] << 8 | four[..., 3]
        return Deep(grey, "L", (0, 65535), scaled(alpha, 0, 65535))
    order = _order(image, rawmode)
    if order is None:
        return None
    premultiplied = any("a" in _rawmode(place) for place in image.tile)
    low = _second(image)
    for one, bytes_order in ((image, order), (low, SWAPPED[order])):
        _put_otherwise(one, order, bytes_order)
        one.load()
    values = np.asarray(image).astype(np.uint16) << 8
    values |= np.asarray(low)
    key = image.info.get("transparency")
    if image.mode != "RGBA":
        return Deep(values, image.mode, (0, 65535), None if key is None else _opaque_but(values, key))
    alpha = values[..., 3]
    if premultiplied:
        for row in values:  # one at a time: the products take twice the memory
            products = row[:, :3].astype(np.uint32) * 65535 // np.maximum(row[:, 3:], 1)
            row[:, :3] = np.minimum(products, 65535)
    return Deep(values[..., :3], "RGB", (0, 65535), scaled(alpha, 0, 65535))


def _in_planes(image: ImageFile) -> bool:
    """Whether this is a TIFF of 16 bits with one plane after the other."""
    from PIL.TiffImagePlugin import TiffImageFile

    if not isinstance(image, TiffImageFile) or image.tag_v2.get(PLANES) != SEPARATE:
        return False
    return bool(image.tag_v2.get(BITS_PER_SAMPLE, (8,))[0] == 16)


def _order(image: ImageFile, rawmode: str) -> str | None:
    """Return PIL's word for the order of the two bytes; None where the low ones are out of reach."""
    from PIL.TiffImagePlugin import TiffImageFile

    if not isinstance(image, TiffImageFile) or not _in_planes(image):
        return rawmode[-4:]
    if image.tile[0].codec_name != "raw":
        return None  # libtiff puts the planes together by itself, of their high bytes
    if image.mode == "CMYK":
        raise UnfitError("has inks of 16 bits in planes of their own, which Pillow mixes up; save it with 8 bits")
    # PIL takes such planes for 8 bits, and makes noise of them.
    return ";16L" if image.tag_v2.prefix == b"II" else ";16B"


def _read_ppm(image: ImageFile) -> Deep | None:
    """Return the values of a PPM or PGM whose greatest value is above 255; PIL makes 8 bits of colours."""
    from PIL import Image

    decoder, _, offset, args = image.tile[0]
    kinds = {b"P2": "L", b"P5": "L", b"P3": "RGB", b"P6": "RGB"}
    assert image.fp is not None
    image.fp.seek(0)
    kind = image.fp.read(2)
    image.fp.seek(offset)
    most = args[1] if decoder != "raw" and isinstance(args, tuple) else 65535 if args == "I;16B" else 255
    if kind not in kinds or most <= 255:
        return None
    mode = kinds[kind]
    columns = image.width * len(mode)
    if kind in (b"P2", b"P3"):
        # As a grey one that is three times as wide: PIL scales grey to 16 bits, from which the file's values follow.
        text = b"P2 %d %d %d\n" % (columns, image.height, most) + image.fp.read()
        wide = np.asarray(Image.open(BytesIO(text), formats=("PPM",)))
        values = np.rint(wide * (most / 65535)).astype(np.uint16)
    else:
        data = image.fp.read(2 * columns * image.height)
        if len(data) < 2 * columns * image.height:
            raise OSError("image file is truncated")
        values = np.minimum(np.frombuffer(data, ">u2"), most).astype(np.uint16)
    shape = (image.height, image.width, 3) if mode == "RGB" else (image.height, image.width)
    return Deep(values.reshape(shape), mode, (0, most))


def _opaque_but(values: Values, key: tuple[int, ...]) -> Values:
    """Return the alpha of a picture `(H, W, C)` in which one colour is transparent."""
    return np.where((values == np.array(key)).all(-1), 0, 255).astype(np.uint8)


def _spread(sample: int, bits: int) -> int:
    most: int = 2**bits - 1
    return 255 // most * (sample & most)


def _rawmode(place: _Tile) -> str:
    """Return how the pixels of one part lie in the file, in PIL's words."""
    rawmode = place.args[0] if isinstance(place.args, tuple) and place.args else place.args
    return rawmode if isinstance(rawmode, str) else ""


def _put_otherwise(image: ImageFile, ending: str, instead: str) -> None:
    """Tell PIL that the pixels of each part lie otherwise in the file: not premultiplied, and with another ending."""
    rawmodes = [_rawmode(place).removesuffix(ending).replace("a", "A") + instead for place in image.tile]
    image.tile = [
        place._replace(args=(rawmode, *place.args[1:]) if isinstance(place.args, tuple) else rawmode)
        for place, rawmode in zip(image.tile, rawmodes, strict=True)
    ]


def _second(image: ImageFile) -> ImageFile:
    """Open the picture's file once more, at the same page."""
    from PIL import Image

    assert image.fp is not None
    place = image.fp.tell()
    image.fp.seek(0)
    data = image.fp.read()
    image.fp.seek(place)
    second = Image.open(BytesIO(data), formats=(image.format or "",))
    if image.tell():
        second.seek(image.tell())
    return second
