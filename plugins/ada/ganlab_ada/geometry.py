"""Where the pixels of changed pictures come from: matrices `(N, 3, 3)` of places, drawn anew for each picture.

A place is `(x, y, 1)` in pixels from the middle of the picture, x to the right and y down. A matrix leads from a place
in the changed picture back to that in the picture before, so in a product the first change stands first (appendix B).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganlab_ada.draws import chosen, integers, normal, uniform

EIGHTH = 0.125
STRETCH = 0.2 * math.log(2.0)
"""The standard deviations of moves, in pictures, and of logarithms of scales."""


def blit(images: Tensor, p: Tensor) -> Tensor:
    """Flip left to right, turn by 90 degrees, move by an eighth at most: what only puts pixels elsewhere."""
    flip = 1 - 2 * chosen(p, integers(images, 2), 0)
    quarters = chosen(p, integers(images, 4), 0)
    # Not sin and cos, whose rounding would leave pixels between their places.
    sine, cosine = (quarters == 1).float() - (quarters == 3).float(), (quarters == 0).float() - (quarters == 2).float()
    moved = chosen(p, (uniform(images, 2, reach=EIGHTH) * _size(images)).round(), 0)
    return product(scaling(flip, torch.ones_like(flip)), turning(sine, cosine), moving(moved))


def free(images: Tensor, p: Tensor) -> Tensor:
    """Scale, turn, stretch along an axis of any direction, turn, and move by any amount."""
    half = 1 - (1 - p).sqrt()  # so that a turn, one of the two or both, comes with probability p
    scale = chosen(p, normal(images, deviation=STRETCH).exp(), 1)
    before = chosen(half, uniform(images, reach=math.pi), 0)
    stretch = chosen(p, normal(images, deviation=STRETCH).exp(), 1)
    after = chosen(half, uniform(images, reach=math.pi), 0)
    moved = chosen(p, normal(images, 2, deviation=EIGHTH) * _size(images), 0)
    return product(
        scaling(scale, scale),
        turning(before.sin(), before.cos()),
        scaling(stretch, 1 / stretch),
        turning(after.sin(), after.cos()),
        moving(moved),
    )


def identity(images: Tensor) -> Tensor:
    """Return matrices that leave every pixel where it is."""
    return torch.eye(3, device=images.device).expand(len(images), 3, 3)


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """Return the matrices that scale by x and y `(N,)`."""
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix((1 / x, zero, zero), (zero, 1 / y, zero), (zero, zero, one))


def turning(sine: Tensor, cosine: Tensor) -> Tensor:
    """Return the matrices that turn counter-clockwise, as it is seen, by angles of these sines and cosines `(N,)`."""
    zero, one = torch.zeros_like(sine), torch.ones_like(sine)
    return _matrix((cosine, -sine, zero), (sine, cosine, zero), (zero, zero, one))


def moving(by: Tensor) -> Tensor:
    """Return the matrices that move to the right and down by so many pixels `(N, 2)`."""
    zero, one = torch.zeros_like(by[:, 0]), torch.ones_like(by[:, 0])
    return _matrix((one, zero, -by[:, 0]), (zero, one, -by[:, 1]), (zero, zero, one))


def product(*matrices: Tensor) -> Tensor:
    """Multiply matrices `(N, 3, 3)`, exactly on devices whose own products round to fewer bits."""
    made, *others = matrices
    for other in others:
        made = (made[:, :, :, None] * other[:, None, :, :]).sum(2)
    return made


def _matrix(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def _size(images: Tensor) -> Tensor:
    """Return width and height `(2,)`."""
    size = torch.full((2,), float(images.shape[3]), device=images.device)
    size[1:].fill_(images.shape[2])
    return size
