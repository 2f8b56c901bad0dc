"""Pictures of 8 bits in any colours become sRGB: transparency first, then the profile, then the background."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ganlab.data.findings import Findings

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageCms import ImageCmsTransform

LARGEST_PROFILE_BYTES = 4 << 20
"""Profiles of presses take 2 MB; what is larger is no profile of a picture."""
GREY = ("1", "L", "LA", "La")
"""PIL's modes without colours."""
PROFILED = {("L", "GRAY"): "L", ("L", "RGB"): "RGB", ("RGB", "RGB"): "RGB", ("CMYK", "CMYK"): "CMYK"}
"""What a picture of a mode is turned into before a profile of a colour space fits it. Grey is a colour among others."""


class Conversion(NamedTuple):
    """How colours of a profile become sRGB."""

    source: str
    """PIL's mode of what it takes; it gives RGB."""
    transform: ImageCmsTransform


def as_mode(image: Image.Image, mode: str, background: str, profile: bytes | None, findings: Findings) -> Image.Image:
    """Convert a decoded picture of 8 bits to `mode`: L, RGB or RGBA.

    `profile` is the ICC profile of its colours, None where they are sRGB. What is transparent shows `background`,
    unless the mode keeps it.
    """
    from PIL import Image

    if image.mode == "LAB":
        profile = None  # these colours are absolute, and PIL's way from them ends in sRGB
    image = _plain(image)
    if profile is not None:
        image = _to_srgb(image, profile, findings)
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


def _to_srgb(image: Image.Image, profile: bytes, findings: Findings) -> Image.Image:
    """Apply a profile, and count it where it cannot be used; transparency stays."""
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colours = image if alpha is None else image.convert(image.mode[:-1])
    try:
        conversion = _conversion(profile, colours.mode)
        if conversion is None:
            return image
        converted = conversion.transform.apply(colours.convert(conversion.source))
    # A stranger's profile in lcms: there is no list of what it raises, and without the profile it is a picture still.
    except Exception:  # noqa: BLE001
        findings.profiles += 1
        return image
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


@lru_cache(maxsize=8)
def _conversion(profile: bytes, mode: str) -> Conversion | None:
    """Return how pictures of `mode` and a profile become sRGB, None where they are that already, but for rounding.

    Relative colours with black point compensation, as programs for pictures show them. Threads may share it: lcms
    changes nothing in a transform that it applies. Raise whatever where the profile cannot be used.
    """
    from PIL import Image, ImageCms

    if len(profile) > LARGEST_PROFILE_BYTES:
        raise ValueError("too large")
    opened = ImageCms.ImageCmsProfile(BytesIO(profile))
    source = PROFILED[mode, opened.profile.xcolor_space.strip()]
    transform = ImageCms.buildTransform(
        opened,
        ImageCms.createProfile("sRGB"),
        source,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if source != "CMYK":
        shades = np.arange(0, 256, 15, dtype=np.uint8)
        lattice = Image.fromarray(np.stack(np.meshgrid(shades, shades, shades), -1).reshape(len(shades), -1, 3))
        probe = lattice if source == "RGB" else lattice.convert("L")
        change = np.asarray(transform.apply(probe)).astype(np.int16) - np.asarray(probe.convert("RGB"))
        if np.abs(change).max() <= 1:
            return None
    return Conversion(source, transform)
