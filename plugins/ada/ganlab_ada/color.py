"""Changes of colour (appendix B), on pictures in [-1, 1]; what needs colours leaves grey pictures alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganlab_ada.draws import chosen, integers, normal, uniform


def change(images: Tensor, p: Tensor) -> Tensor:
    """Change brightness, contrast, the sign of the grey, hue and saturation of pictures `(N, C, H, W)`."""
    colours = images.shape[1]
    images = images + chosen(p, normal(images, 1, 1, 1, deviation=0.2), 0)
    images = images * chosen(p, normal(images, 1, 1, 1, deviation=0.5).exp2(), 1)
    images = luma_flipped(images, chosen(p, integers(images, 2).view(-1, 1, 1, 1), 0))
    if colours == 3:
        images = hue_turned(images, chosen(p, uniform(images, 1, 1, 1, reach=math.pi), 0))
    if colours > 1:
        images = saturated(images, chosen(p, normal(images, 1, 1, 1, deviation=1.0).exp2(), 1))
    return images


def luma_flipped(images: Tensor, flips: Tensor) -> Tensor:
    """Mirror colours along the axis of the greys where `flips` `(N, 1, 1, 1)` is 1: dark and light are exchanged."""
    return images - 2 * flips * images.mean(1, keepdim=True)


def hue_turned(images: Tensor, angles: Tensor) -> Tensor:
    """Turn RGB around the axis of the greys by angles `(N, 1, 1, 1)`: Rodrigues' formula."""
    grey = images.mean(1, keepdim=True)
    across = (images.roll(1, 1) - images.roll(-1, 1)) / math.sqrt(3.0)  # the axis (1, 1, 1) / sqrt(3) times the colour
    turned: Tensor = grey + (images - grey) * torch.cos(angles) + across * torch.sin(angles)
    return turned


def saturated(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply each colour's distance from its own grey by `factors` `(N, 1, 1, 1)`."""
    grey = images.mean(1, keepdim=True)
    return grey + (images - grey) * factors
