"""Pictures larger than they are, and with words below them, for sheets that people read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ganlab.data.pictures import Pictures

LETTERS = 10
"""Height of the words, in pixels."""
MARGIN = 1


def enlarged(pictures: Pictures, scale: int) -> Pictures:
    """Return pictures `(N, H, W, C)` of which each pixel has become `scale` x `scale` of its colour."""
    return pictures.repeat(scale, axis=1).repeat(scale, axis=2)


def captioned(pictures: Pictures, captions: Sequence[str]) -> Pictures:
    """Return pictures `(N, H, W, C)` with a line of words below each, black on white; all are as wide as the widest."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(LETTERS)
    boxes = [font.getbbox(caption) for caption in captions]
    below = int(max(box[3] for box in boxes)) + 2 * MARGIN
    count, height, width, channels = pictures.shape
    wide = max(width, *(int(box[2]) + 2 * MARGIN for box in boxes))
    made = np.full((count, height + below, wide, channels), 255, np.uint8)
    left = (wide - width) // 2
    made[:, :height, left : left + width] = pictures
    colours = min(channels, 3)  # what is transparent stays so; words are opaque
    for place, caption in enumerate(captions):
        line = Image.new("L", (wide, below), 255)
        ImageDraw.Draw(line).text(((wide - boxes[place][2]) / 2, MARGIN), caption, fill=0, font=font)
        made[place, height:, :, :colours] = np.asarray(line)[..., None]
    return made
