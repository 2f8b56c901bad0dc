"""Numbers for each picture, from torch's default generator of the pictures' device."""

from __future__ import annotations

import torch
from torch import Tensor


def chosen(p: Tensor, drawn: Tensor, neutral: float) -> Tensor:
    """Return what was drawn for each picture `(N, ...)` with probability p, else what changes nothing."""
    alike = [1] * (drawn.ndim - 1)
    return drawn.where(torch.rand(len(drawn), *alike, device=drawn.device) < p, neutral)


def integers(images: Tensor, count: int) -> Tensor:
    """Return whole numbers `(N,)` from 0 to `count - 1`."""
    return torch.randint(count, (len(images),), device=images.device).float()


def uniform(images: Tensor, *shape: int, reach: float) -> Tensor:
    """Return numbers `(N, *shape)` from `-reach` to `reach`."""
    return torch.empty(len(images), *shape, device=images.device).uniform_(-reach, reach)


def normal(images: Tensor, *shape: int, deviation: float) -> Tensor:
    """Return normally distributed numbers `(N, *shape)` of mean 0."""
    return torch.randn(len(images), *shape, device=images.device) * deviation
