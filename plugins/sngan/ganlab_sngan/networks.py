"""The residual networks of the paper's appendix B.4, with the initial weights of its authors' implementation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganlab_sngan.widths import START

if TYPE_CHECKING:
    from ganlab_sngan.widths import Step

Linear = TypeVar("Linear", nn.Linear, nn.Conv2d)


def generator(latent_dim: int, widths: Sequence[int], channels: int) -> nn.Sequential:
    """Return the network from z `(N, latent_dim)` to pictures `(N, channels, H, W)` in [-1, 1]."""
    return nn.Sequential(
        _drawn(nn.Linear(latent_dim, widths[0] * START**2)),
        nn.Unflatten(1, (widths[0], START, START)),
        *(_doubling_block(before, after) for before, after in pairwise(widths)),
        nn.BatchNorm2d(widths[-1]),
        nn.ReLU(inplace=True),
        _drawn(nn.Conv2d(widths[-1], channels, 3, padding=1)),
        nn.Tanh(),
    )


def discriminator(channels: int, steps: Sequence[Step]) -> nn.Sequential:
    """Return the network from pictures `(N, channels, H, W)` to logits `(N,)`; every layer is spectrally normalised."""
    return nn.Sequential(
        _first_block(channels, steps[0].channels),
        *(_block(before.channels, after.channels, after.halves) for before, after in pairwise(steps)),
        nn.ReLU(inplace=True),
        SumPool(),
        spectral_norm(_drawn(nn.Linear(steps[-1].channels, 1))),
        nn.Flatten(0),
    )


class Residual(nn.Module):
    """The sum of two paths."""

    def __init__(self, residual: nn.Sequential, shortcut: nn.Sequential) -> None:
        super().__init__()
        self.residual, self.shortcut = residual, shortcut

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.residual(x) + self.shortcut(x)
        return total


class SumPool(nn.Module):
    """The sum over all places: `(N, C, H, W)` to `(N, C)`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(dim=(2, 3))


def _doubling_block(before: int, after: int) -> Residual:
    """Return a block of the generator, which doubles the resolution."""
    residual = nn.Sequential(
        nn.BatchNorm2d(before),
        nn.ReLU(inplace=True),
        nn.Upsample(scale_factor=2),
        _drawn(nn.Conv2d(before, after, 3, padding=1), math.sqrt(2)),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        _drawn(nn.Conv2d(after, after, 3, padding=1), math.sqrt(2)),
    )
    # A 1x1 convolution before doubling gives the same as after it, at a quarter of the cost.
    return Residual(residual, nn.Sequential(_drawn(nn.Conv2d(before, after, 1)), nn.Upsample(scale_factor=2)))


def _first_block(channels: int, after: int) -> Residual:
    """Return the discriminator's first block: no ReLU before it, which would hide the dark half of the pictures."""
    residual = nn.Sequential(
        _normalised(channels, after, 3),
        nn.ReLU(inplace=True),
        _normalised(after, after, 3),
        nn.AvgPool2d(2),
    )
    return Residual(residual, nn.Sequential(nn.AvgPool2d(2), _normalised(channels, after, 1)))


def _block(before: int, after: int, halves: bool) -> Residual:
    """Return a later block of the discriminator."""
    pool = [nn.AvgPool2d(2)] if halves else []
    residual = nn.Sequential(
        nn.ReLU(),  # not in place: the shortcut needs the input
        _normalised(before, before, 3),
        nn.ReLU(inplace=True),
        _normalised(before, after, 3),
        *pool,
    )
    # Means before a 1x1 convolution give the same as after it, at a quarter of the cost.
    projection = [_normalised(before, after, 1)] if halves or before != after else []
    return Residual(residual, nn.Sequential(*pool, *projection))


def _normalised(before: int, after: int, kernel: int) -> nn.Module:
    convolution = nn.Conv2d(before, after, kernel, padding=kernel // 2)
    return spectral_norm(_drawn(convolution, 1.0 if kernel == 1 else math.sqrt(2)))


def _drawn(layer: Linear, gain: float = 1.0) -> Linear:
    """Draw the weights as Glorot and Bengio 2010 do, times a gain; biases start at 0."""
    nn.init.xavier_uniform_(layer.weight, gain)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
