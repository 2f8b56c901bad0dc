"""Pictures as text: each character is two pixels, the upper half in its colour and the lower half as its ground."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    Pictures = np.ndarray[Any, np.dtype[np.uint8]]

UPPER_HALF = "\N{UPPER HALF BLOCK}"
GAP = " "


def shrunk(pictures: Pictures, height: int) -> Pictures:
    """Return pictures `(N, H, W, C)` as `(N, height, width, 3)` of the same proportions; none becomes larger.

    Grey ones become colour, transparent ones are laid on white, and of other channels the first is shown in grey.
    """
    from PIL import Image

    channels = pictures.shape[3]
    mode = {3: "RGB", 4: "RGBA"}.get(channels, "L")
    made = []
    for pixels in pictures if mode != "L" else pictures[..., 0]:
        picture = Image.fromarray(np.ascontiguousarray(pixels), mode)
        if mode == "RGBA":
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        factor = min(1.0, height / picture.height)
        size = max(1, round(picture.width * factor)), max(2, round(picture.height * factor) // 2 * 2)
        made.append(np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BOX)))
    return np.stack(made)


def strip(pictures: Pictures) -> list[list[Segment]]:
    """Return the lines of text that show pictures `(N, H, W, 3)`, uint8, of an even height, side by side."""
    lines = []
    for row in range(0, pictures.shape[1], 2):
        line: list[Segment] = []
        for picture in pictures:
            line += [Segment(GAP)] if line else []
            line += [Segment(UPPER_HALF, _style(*pair)) for pair in zip(picture[row], picture[row + 1], strict=True)]
        lines.append(line)
    return lines


def _style(upper: np.ndarray[Any, Any], lower: np.ndarray[Any, Any]) -> Style:
    return Style(color=Color.from_rgb(*map(int, upper)), bgcolor=Color.from_rgb(*map(int, lower)))
