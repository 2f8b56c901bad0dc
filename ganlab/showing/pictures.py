"""Pictures in a page: small ones of many snapshots, and the last one as it is."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from ganlab.errors import DataError
from ganlab.messages import told
from ganlab.showing.account import Picture

if TYPE_CHECKING:
    from PIL import Image

FRAMES = 25
"""Of a film."""
FILM_BYTES = 1_000_000
"""Of all frames together, so that a page stays small: they are made coarser until they fit."""
WHOLE_BYTES = 800_000
"""A file of up to so many bytes is shown as it is."""
PIXELS = 50_000_000
"""A picture that claims more is not opened."""
SIDE = 1280
COARSER = ((85, SIDE), (75, SIDE), (60, SIDE), (45, 1024), (45, 720), (35, 480), (25, 320), (15, 160))
"""The quality of a frame and its longest side in pixels, from fine to coarse."""
TRIED = 3
"""So many frames tell about how large all of them will be: to encode each at every quality would take seconds."""


def whole(data: bytes) -> Picture:
    """Return the picture in the bytes of a PNG as it is; a large one with hardly a loss.

    Raises `DataError` where there is none.
    """
    image = _opened(data)
    if len(data) <= WHOLE_BYTES:
        return Picture(_uri("png", data), image.width, image.height)
    return Picture(_uri("jpeg", _jpeg(image, 90, 2560)), image.width, image.height)


def frame(data: bytes) -> Image.Image:
    """Return the picture in the bytes of a PNG as small as a film needs it. Raise `DataError` where there is none."""
    image = _opened(data)
    image.thumbnail((SIDE, SIDE))
    return image


def film(images: Sequence[Image.Image], limit: int = FILM_BYTES) -> list[Picture]:
    """Return pictures as frames of one quality: the finest with about `limit` bytes in all, or the coarsest."""
    if not images:
        return []
    step = max(1, len(images) // TRIED)
    for quality, side in COARSER:
        tried = [len(_jpeg(image, quality, side)) for image in images[step - 1 :: step]]
        if sum(tried) / len(tried) * len(images) <= limit:
            break
    return [Picture(_uri("jpeg", _jpeg(image, quality, side)), image.width, image.height) for image in images]


def _opened(data: bytes) -> Image.Image:
    """Return the picture in the bytes of a PNG, grey or in colours, on white. Raise `DataError` where there is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(BytesIO(data), formats=("PNG",))
            if image.width * image.height > PIXELS:
                raise DataError(f"claims {image.width} x {image.height} pixels, more than a page shows")
            image.load()
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError("is no PNG") from error
    except Exception as error:  # whatever the decoder raises of damaged bytes
        raise DataError(f"is damaged: {told(error)}") from error
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        shown = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _jpeg(image: Image.Image, quality: int, side: int) -> bytes:
    """Encode a picture of at most `side` pixels a side: WebP is hardly smaller and takes eight times as long."""
    from PIL import Image

    if max(image.size) > side:
        image = image.copy()
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = BytesIO()
    image.save(file, format="JPEG", quality=quality)
    return file.getvalue()


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
