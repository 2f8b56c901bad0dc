"""Pictures of more than 8 bits: their values as the file has them, and which of these become black and white."""

from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ganlab.data.findings import Findings

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

Range = Literal["full", "data"] | tuple[float, float]
Values = np.ndarray[Any, np.dtype[Any]]

BLOCK_VALUES = 1 << 20
"""How many values are scaled at once: in floating point they take four times the memory that they have in the file."""
NATIVE, OTHER = (";16L", ";16B") if sys.byteorder == "little" else (";16B", ";16L")
SWAPPED = {";16B": ";16L", ";16L": ";16B", ";16N": OTHER}
"""How PIL is told to take the low byte of each 16 bits where the first order makes it take the high one."""
BITS_PER_SAMPLE, PHOTOMETRIC, PLANES, SAMPLE_FORMAT = 258, 262, 284, 339
"""TIFF tags."""
MIN_IS_WHITE, SEPARATE, UNSIGNED, SIGNED = 0, 2, 1, 2
"""Values of these."""


class UnfitError(ValueError):
    """A picture that cannot be used; the message is the reason."""


class Deep(NamedTuple):
    """A picture of more than 8 bits."""

    values: Values
    """`(H, W)` or `(H, W, C)`, in the file's own numbers."""
    mode: str
    """PIL's name of the same with 8 bits: L, RGB or CMYK."""
    full: tuple[int, int] | None
    """The least and the greatest value that there can be; None where the format does not say."""
    alpha: Values | None = None
    """`(H, W)`, uint8; None where all is opaque."""
    inverted: bool = False
    """Whether the least value is white."""


def read_deep(image: Image.Image) -> Deep | None:
    """Return the values of a picture that has more than 8 bits, None for one that has not.

    Call it before the picture is loaded: PIL gives colours with 8 bits only, and a little of how they lie in the
    file must be put otherwise to have the rest. Raise `UnfitError`, or what PIL raises.
    """
    from PIL.ImageFile import ImageFile

    if isinstance(image, ImageFile) and image.tile and image.fp is not None:
        if image.format == "PPM":
            return _read_ppm(image)
        rawmode = _rawmode(image)
        if image.mode in ("RGB", "RGBA", "CMYK") and rawmode.endswith(tuple(SWAPPED)):
            return _read_colours(image, rawmode)
        if image.format == "PNG" and rawmode in ("L;2", "L;4") and "transparency" in image.info:
            # PIL spreads the samples over 0 to 255, and leaves the one that is transparent as the file has it.
            image.info["transparency"] = _spread(int(image.info["transparency"]), int(rawmode[-1]))
    if image.mode.startswith("I") or image.mode == "F":
        return _read_single(image)
    return None


def to_8_bits(deep: Deep, wanted: Range, findings: Findings) -> Image.Image:
    """Return the picture with 8 bits, in mode L, RGB or CMYK, or LA or RGBA where it is transparent somewhere.

    Raise `UnfitError` where nobody says which values are black and white.
    """
    from PIL import Image

    low, high = _bounds(deep, wanted, findings)
    scaled = _scaled(deep.values, low, high)
    if deep.inverted:
        np.subtract(255, scaled, out=scaled)
    height, width = scaled.shape[:2]
    image = Image.frombytes(deep.mode, (width, height), scaled.tobytes())
    if deep.alpha is not None:
        image.putalpha(Image.fromarray(deep.alpha))
    return image


def _bounds(deep: Deep, wanted: Range, findings: Findings) -> tuple[float, float]:
    if not isinstance(wanted, str):
        return wanted
    if deep.full is None and wanted == "full":
        kind = "floating-point" if deep.values.dtype.kind == "f" else "32-bit"
        raise UnfitError(
            f"has {kind} pixels, whose range is not known; save it with 8 or 16 bits, or set dataset.range"
        )
    data = float(deep.values.min()), float(deep.values.max())
    if not np.isfinite(data).all():
        raise UnfitError("has values that are not finite")
    if wanted == "data" or deep.full is None:
        return data
    findings.deep += 1
    if data[1] - data[0] < (deep.full[1] - deep.full[0]) / 8:
        findings.narrow += 1
        findings.least = min(findings.least, data[0])
        findings.greatest = max(findings.greatest, data[1])
    return deep.full


def _scaled(values: Values, low: float, high: float) -> Values:
    """Map `low` to 0 and `high` to 255, rounded to the nearest; a picture of one value only becomes black."""
    scaled = np.empty(values.shape, np.uint8)
    step = max(1, BLOCK_VALUES // (values[0].size or 1))
    for top in range(0, len(values), step):
        block = values[top : top + step].astype(np.float64)
        if not np.isfinite(block).all():
            raise UnfitError("has values that are not finite")
        block = (block - low) * (255 / (high - low) if high > low else 0.0)
        scaled[top : top + step] = np.rint(np.clip(block, 0, 255))
    return scaled


def _read_single(image: Image.Image) -> Deep:
    """Return a picture of one value a pixel, which PIL gives as it is."""
    from PIL.TiffImagePlugin import TiffImageFile

    key = image.info.get("transparency") if image.format == "PNG" else None
    full: tuple[int, int] | None = (0, 65535) if image.mode.startswith("I;16") else None
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
    from PIL.TiffImagePlugin import TiffImageFile

    if isinstance(image, TiffImageFile) and image.tag_v2.get(PLANES) == SEPARATE:
        return None  # libtiff gives their high bytes, and nothing asks it for the others
    if rawmode == "LA;16B":
        _set_rawmode(image, "RGBA")  # the four bytes of a pixel
        image.load()
        four = np.asarray(image).astype(np.uint16)
        return Deep(
            four[..., 0] << 8 | four[..., 1], "L", (0, 65535), _scaled(four[..., 2] << 8 | four[..., 3], 0, 65535)
        )
    order, premultiplied = rawmode[-4:], rawmode.startswith("RGBa")
    plain = "RGBA" + order if premultiplied else rawmode
    low = _second(image)
    _set_rawmode(image, plain)
    _set_rawmode(low, plain[:-4] + SWAPPED[order])
    image.load()
    low.load()
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
    return Deep(values[..., :3], "RGB", (0, 65535), _scaled(alpha, 0, 65535))


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


def _rawmode(image: ImageFile) -> str:
    """Return how the pixels lie in the file, in PIL's words."""
    args: object = image.tile[0].args
    rawmode = args[0] if isinstance(args, tuple) and args else args
    return rawmode if isinstance(rawmode, str) else ""


def _set_rawmode(image: ImageFile, rawmode: str) -> None:
    image.tile = [
        place._replace(args=(rawmode, *place.args[1:]) if isinstance(place.args, tuple) else rawmode)
        for place in image.tile
    ]


def _second(image: ImageFile) -> ImageFile:
    """Open the picture's file once more."""
    from PIL import Image

    assert image.fp is not None
    place = image.fp.tell()
    image.fp.seek(0)
    data = image.fp.read()
    image.fp.seek(place)
    return Image.open(BytesIO(data), formats=(image.format or "",))
