"""Pictures of 8 bits in any colours become grey, RGB or RGBA: transparency, then colours, then background."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

GREY = ("1", "L", "LA", "La")
"""PIL's modes without colours."""


def as_mode(image: Image.Image, mode: str, background: str) -> Image.Image:
    """Convert a decoded picture of 8 bits to `mode`: L, RGB or RGBA.

    What is transparent shows `background`, unless the mode keeps it.
    """
    from PIL import Image

    image = _plain(image)
    if image.mode in ("LA", "RGBA") and mode != "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image.convert("RGBA")).convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _plain(image: Image.Image) -> Image.Image:
    """Return the picture as L, RGB or CMYK, or as LA or RGBA where something may be transparent."""
    if image.has_transparency_data:
        return image.convert("LA" if image.mode in GREY else "RGBA")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode in GREY else "RGB")
