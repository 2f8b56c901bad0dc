"""One picture of any kind as training pixels: turned upright, cropped, resized, converted to the channels asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ganlab.data.colour import as_mode
from ganlab.data.depth import Range, UnfitError, to_8_bits
from ganlab.data.findings import Findings
from ganlab.data.samples import read_deep
from ganlab.interfaces import Dataset, size_pair

if TYPE_CHECKING:
    from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""

ORIENTATION = 0x0112
"""The EXIF tag that says how a camera was held."""
LAZY = ("JPEG", "MPO")
"""The formats, all JPEG inside, that can be decoded at a fraction of their size."""
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""The PIL mode of each number of channels that pictures can have."""
ONE_PICTURE = ("JPEG", "MPO", "PSD")
"""The formats whose further pictures are parts of the first or its previews."""


class Target(NamedTuple):
    """What every picture of a dataset is turned into."""

    channels: int
    height: int
    width: int
    crop: Literal["center", "none"] | tuple[int, int]
    background: str
    max_pixels: int
    range: Range = "full"
    box: Box | None = None
    """The part of each picture that counts, before the crop."""


def target_of(dataset: Dataset, box: Box | None = None) -> Target:
    """Return what the pictures of `dataset` are turned into, where its source says that `box` of each counts."""
    crop = dataset.crop
    return Target(
        dataset.channels,
        *size_pair(dataset.resolution),
        crop if crop == "center" or crop == "none" else size_pair(crop),
        dataset.background,
        dataset.max_pixels,
        dataset.range,
        box,
    )


def decode(picture: Image.Image | Pixels, target: Target, findings: Findings | None = None) -> Pixels:
    """Return `picture` as `(C, H, W)`, uint8, and count in `findings` what is to be said of it.

    Raise `UnfitError` where it cannot be used, or what PIL raises.
    """
    findings = Findings() if findings is None else findings
    if target.box is not None:
        picture, target = _boxed(picture, target.box, target), target._replace(box=None)
    if isinstance(picture, np.ndarray):
        return _decode_array(picture, target, findings)
    return _decode_image(picture, target, findings)


def crop_box(width: int, height: int, target: Target) -> Box:
    """Return the part of a picture of `width` x `height` that is used. Raise `UnfitError` where it is too small."""
    if target.crop == "none":
        return (0, 0, width, height)
    if target.crop == "center":
        if width * target.height >= height * target.width:
            rows, columns = height, max(1, round(height * target.width / target.height))
        else:
            rows, columns = max(1, round(width * target.height / target.width)), width
    else:
        rows, columns = target.crop
        if rows > height or columns > width:
            raise UnfitError(f"is {width}x{height} pixels, smaller than the crop of {columns}x{rows}")
    left, top = (width - columns) // 2, (height - rows) // 2
    return (left, top, left + columns, top + rows)


def _boxed(picture: Image.Image | Pixels, box: Box, target: Target) -> Image.Image | Pixels:
    height, width = picture.shape[:2] if isinstance(picture, np.ndarray) else picture.size[::-1]
    _check_size(width, height, target)
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise UnfitError(f"is {width}x{height} pixels, and the part that counts, {box}, does not lie in it")
    return picture[top:bottom, left:right] if isinstance(picture, np.ndarray) else picture.crop(box)


def _decode_image(image: Image.Image, target: Target, findings: Findings) -> Pixels:
    _check_size(*image.size, target)
    if target.channels not in MODES:
        raise UnfitError(f"is a picture, which can have 1, 3 or 4 channels, not {target.channels}")
    findings.several += _holds_several(image)
    deep = read_deep(image)
    turn = _turn(image)
    box = crop_box(*(image.size[::-1] if _swaps(turn) else image.size), target)
    scale = _draft(image, box, target)
    shallow = image if deep is None else to_8_bits(deep, target.range, findings)
    if turn is not None:
        shallow = shallow.transpose(turn)
    shallow = as_mode(shallow, MODES[target.channels], target.background, _profile(image), findings)
    pixels = np.asarray(_fit(shallow, box, scale, target))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _decode_array(array: Pixels, target: Target, findings: Findings) -> Pixels:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or 0 in array.shape:
        raise UnfitError(f"is an array {array.shape} of {array.dtype}, not uint8 (H, W) or (H, W, C)")
    planes = array[:, :, None] if array.ndim == 2 else array
    height, width, channels = planes.shape
    _check_size(width, height, target)
    box = crop_box(width, height, target)
    if channels == target.channels and _is_exact(box, target):
        return planes[box[1] : box[3], box[0] : box[2]].transpose(2, 0, 1)
    from PIL import Image  # only now: most data that comes as arrays needs no PIL

    if channels in MODES and target.channels in MODES:
        plain = planes[:, :, 0] if channels == 1 else planes
        return _decode_image(Image.fromarray(np.ascontiguousarray(plain)), target, findings)
    if channels != target.channels:
        raise UnfitError(f"has {channels} channels, which cannot become {target.channels}")
    fitted = [_fit(Image.fromarray(np.ascontiguousarray(planes[:, :, i])), box, 1.0, target) for i in range(channels)]
    return np.stack([np.asarray(plane) for plane in fitted])


def _check_size(width: int, height: int, target: Target) -> None:
    if width < 1 or height < 1:
        raise UnfitError(f"is {width}x{height} pixels")
    if width * height > target.max_pixels:
        raise UnfitError(f"claims {width}x{height} pixels, more than dataset.max_pixels = {target.max_pixels}")


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return what turns the picture upright."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    if image.format not in LAZY and image.format != "PPM":
        image.load()  # PNG keeps its EXIF data behind the pixels, so PIL would load them there and hide their errors
    try:
        return turns.get(image.getexif().get(ORIENTATION, 1))
    # A stranger's file and PIL's parser: a garbled EXIF block says nothing about the pixels.
    except Exception:  # noqa: BLE001
        return None


def _swaps(turn: Image.Transpose | None) -> bool:
    """Whether the turn exchanges width and height."""
    from PIL.Image import Transpose

    return turn in (Transpose.TRANSPOSE, Transpose.TRANSVERSE, Transpose.ROTATE_90, Transpose.ROTATE_270)


def _draft(image: Image.Image, box: Box, target: Target) -> float:
    """Let a JPEG decode to a half, quarter or eighth of its size where that leaves twice the target; return the scale.

    The decoder then skips most of its work, and the resize that follows still has two pixels for each that it makes.
    """
    factor = min((box[2] - box[0]) // (2 * target.width), (box[3] - box[1]) // (2 * target.height))
    if factor < 2:
        return 1.0
    full = image.size[0]
    drafted = image.draft(None, (-(-full // factor), -(-image.size[1] // factor)))
    return 1.0 if drafted is None else drafted[1][2] / full


def _holds_several(image: Image.Image) -> bool:
    """Whether the file holds further pictures, which are left alone."""
    try:
        return image.format not in ONE_PICTURE and bool(getattr(image, "is_animated", False))
    # A stranger's file and PIL's parsers: what is damaged behind the first picture says nothing about it.
    except Exception:  # noqa: BLE001
        return False


def _profile(image: Image.Image) -> bytes | None:
    """Return the picture's ICC profile: None where it has none, nothing in it where PIL could not read it."""
    if "icc_profile" not in image.info:
        return None
    profile = image.info["icc_profile"]
    return profile if isinstance(profile, bytes) else b""


def _is_exact(box: Box, target: Target) -> bool:
    return (box[2] - box[0], box[3] - box[1]) == (target.width, target.height)


def _fit(image: Image.Image, box: Box, scale: float, target: Target) -> Image.Image:
    """Return the part of `image` in `box`, at the target's size; untouched pixels where it has that size already.

    Bicubic, with the kernel widened when it shrinks (antialiasing): sharper than bilinear, without Lanczos' rings
    at hard edges, and the filter that the usual FID implementations settled on (Parmar et al. 2022). Pixels just
    outside the box take part at its edges, as when a picture is resized first and cropped after.
    """
    from PIL.Image import Resampling

    if scale == 1.0 and _is_exact(box, target):
        return image if box == (0, 0, *image.size) else image.crop(box)
    left, top, right, bottom = (edge * scale for edge in box)
    part = (left, top, min(right, image.size[0]), min(bottom, image.size[1]))
    return image.resize((target.width, target.height), Resampling.BICUBIC, part, reducing_gap=3.0)
