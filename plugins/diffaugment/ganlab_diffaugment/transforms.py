"""The transforms of pictures `(N, C, H, W)`: shapes are fixed, nothing waits for the device, gradients flow twice.

Each number is drawn for each picture from torch's default generator of the device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def color(images: Tensor) -> Tensor:
    """Change brightness, saturation and contrast, in the order of the authors' implementation."""
    return contrast(saturation(brightness(images)))


def brightness(images: Tensor) -> Tensor:
    """Add a number from -0.5 to 0.5, a quarter of the range from black to white."""
    return images + _uniform(images, -0.5, 0.5)


def saturation(images: Tensor) -> Tensor:
    """Multiply each pixel's distance from its own grey, the mean of its channels, by 0 to 2."""
    grey = images.mean(dim=1, keepdim=True)
    return grey + (images - grey) * _uniform(images, 0.0, 2.0)


def contrast(images: Tensor) -> Tensor:
    """Multiply each picture's distance from its mean by 0.5 to 1.5."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * _uniform(images, 0.5, 1.5)


def translation(images: Tensor) -> Tensor:
    """Move up or down, left or right by whole pixels, an eighth of the picture at most; 0 is moved in."""
    count, _, height, width = images.shape
    rows = _places(images, height) + _integers(images, -(height // 8), height // 8)
    columns = _places(images, width) + _integers(images, -(width // 8), width // 8)
    # Whatever comes from outside is read from a frame of zeros. Not grid_sample, which has no second derivative.
    framed = functional.pad(images, (1, 1, 1, 1))
    rows, columns = (rows + 1).clamp(0, height + 1), (columns + 1).clamp(0, width + 1)
    pictures = torch.arange(count, device=images.device)
    moved: Tensor = framed[pictures[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    return moved.permute(0, 3, 1, 2)


def cutout(images: Tensor) -> Tensor:
    """Set a box of half the height and width to 0; its middle lies anywhere, so a part of it may lie outside."""
    _, _, height, width = images.shape
    inside = _box(images, height)[:, None, :, None] & _box(images, width)[:, None, None, :]
    return images * ~inside


def _box(images: Tensor, length: int) -> Tensor:
    """Return which places `(N, length)` lie in an interval of half the length."""
    size = length // 2
    # The middle of an even interval lies between two places, which may be the last place and the edge.
    start = _integers(images, 0, length - size % 2) - size // 2
    places = _places(images, length)
    return (places >= start) & (places < start + size)


def _places(images: Tensor, length: int) -> Tensor:
    return torch.arange(length, device=images.device)


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    """Return a number for each picture, `(N, 1, 1, 1)`."""
    return torch.empty(len(images), 1, 1, 1, device=images.device).uniform_(low, high)


def _integers(images: Tensor, low: int, high: int) -> Tensor:
    """Return an integer for each picture, `(N, 1)`; `high` is included."""
    return torch.randint(low, high + 1, (len(images), 1), device=images.device)


BY_NAME = {"color": color, "translation": translation, "cutout": cutout}
