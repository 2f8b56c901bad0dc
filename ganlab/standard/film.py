"""A film of pictures: frames of one size and one palette."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def film(paths: Sequence[Path], size: int) -> list[Image.Image]:
    """Read the frames of a film, grey or with the same 256 colours in all, at most `size` pixels wide and high.

    Pictures that differ from the last one in size or mode are left out: a run whose number of samples was changed on
    the way has grids of several sizes, and a film has one.
    """
    frames = [_frame(path, size) for path in paths]
    frames = [frame for frame in frames if (frame.size, frame.mode) == (frames[-1].size, frames[-1].mode)]
    return frames if frames[0].mode == "L" else _share_palette(frames)


def _frame(path: Path, size: int) -> Image.Image:
    from PIL import Image

    with Image.open(path) as image:
        if image.mode == "RGBA":
            frame = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        else:
            frame = image.convert("L" if image.mode == "L" else "RGB")
    frame.thumbnail((size, size), Image.Resampling.LANCZOS)
    return frame


def _share_palette(frames: list[Image.Image]) -> list[Image.Image]:
    """Choose the colours over the whole film: with a palette for each frame, they would flicker."""
    import numpy as np
    from PIL import Image

    # About 256 thousand pixels from all over the film decide; an odd step does not stay in one column of a grid.
    width, height = frames[0].size
    step = width * height * len(frames) // 256_000 | 1
    pixels = np.concatenate([np.asarray(frame).reshape(-1, 3)[i % step :: step] for i, frame in enumerate(frames)])
    colours = Image.fromarray(pixels[None]).quantize(255, Image.Quantize.MEDIANCUT).getpalette() or []
    # The ground between the pictures stays white: Pillow would take a colour that is almost white for it.
    others = [colour for colour in zip(*[iter(colours)] * 3, strict=True) if min(colour) < 248]
    palette = Image.new("P", (1, 1))
    palette.putpalette([255, 255, 255, *(level for colour in others for level in colour)])
    # Without dithering: its grain would move from frame to frame.
    return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
