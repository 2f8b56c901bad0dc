"""Which values of a picture with more than 8 bits become black and white, and how the rest becomes 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ganlab.data.findings import Findings

if TYPE_CHECKING:
    from PIL import Image

Range = Literal["full", "data"] | tuple[float, float]
Values = np.ndarray[Any, np.dtype[Any]]

BLOCK_VALUES = 1 << 20
"""How many values are scaled at once: in floating point they take four times the memory that they have in the file."""


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


def to_8_bits(deep: Deep, wanted: Range, findings: Findings) -> Image.Image:
    """Return the picture with 8 bits, in mode L, RGB or CMYK, or LA or RGBA where it is transparent somewhere.

    Raise `UnfitError` where nobody says which values are black and white.
    """
    from PIL import Image

    low, high = _bounds(deep, wanted, findings)
    pixels = scaled(deep.values, low, high)
    if deep.inverted:
        np.subtract(255, pixels, out=pixels)
    height, width = pixels.shape[:2]
    image = Image.frombytes(deep.mode, (width, height), pixels.tobytes())
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


def scaled(values: Values, low: float, high: float) -> Values:
    """Map `low` to 0 and `high` to 255, rounded to the nearest; a picture of one value only becomes black."""
    pixels = np.empty(values.shape, np.uint8)
    step = max(1, BLOCK_VALUES // (values[0].size or 1))
    for top in range(0, len(values), step):
        block = values[top : top + step].astype(np.float64)
        if not np.isfinite(block).all():
            raise UnfitError("has values that are not finite")
        block = (block - low) * (255 / (high - low) if high > low else 0.0)
        pixels[top : top + step] = np.rint(np.clip(block, 0, 255))
    return pixels
