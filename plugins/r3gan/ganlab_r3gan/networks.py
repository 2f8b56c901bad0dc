"""The paper's networks: residual blocks with grouped convolutions, and initial weights that need no normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganlab_r3gan.model import START

if TYPE_CHECKING:
    from ganlab_r3gan.model import Residual

SLOPE = 0.2
"""Of the leaky ReLU below 0."""
LAYERS = 3
"""Convolutions in a block: m of Zhang et al. 2019 (Fixup), by which the first weights of all but the last shrink."""


class Generator(nn.Module):
    """Maps z `(N, latent_dim)`, and labels `(N,)` if there are classes, to pictures `(N, C, H, W)`.

    In training they are not bounded; in eval mode they are cut off at [-1, 1].
    """

    def __init__(self, options: Residual, widths: Sequence[int], channels: int, classes: int) -> None:
        super().__init__()
        dim, count = options.latent_dim, options.blocks * len(widths)
        self.classes = _embedding(classes, dim) if classes else None
        self.project = _drawn(nn.Linear(2 * dim if classes else dim, widths[0], bias=False))
        self.basis = nn.Parameter(torch.randn(widths[0], START, START))
        layers: list[nn.Module] = _blocks(options, widths[0], count)
        for before, after in pairwise(widths):
            layers += [*_projection(before, after), Double(), *_blocks(options, after, count)]
        self.layers = nn.Sequential(*layers, _convolution(widths[-1], channels))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.classes is not None:
            z = torch.cat([z, self.classes(labels)], 1)
        # A learned picture of 4x4 in each channel, and how much of it this z has.
        pictures: Tensor = self.layers(self.project(z)[:, :, None, None] * self.basis)
        return pictures if self.training else pictures.clamp(-1, 1)


class Discriminator(nn.Module):
    """Maps pictures `(N, C, H, W)`, and labels `(N,)` if there are classes, to logits `(N,)`."""

    def __init__(self, options: Residual, widths: Sequence[int], channels: int, classes: int) -> None:
        super().__init__()
        widths, count = widths[::-1], options.blocks * len(widths)
        layers: list[nn.Module] = [_convolution(channels, widths[0]), *_blocks(options, widths[0], count)]
        for before, after in pairwise(widths):
            layers += [Halve(), *_projection(before, after), *_blocks(options, after, count)]
        last = widths[-1]
        basis = _drawn(nn.Conv2d(last, last, START, groups=last, bias=False))
        # 768 in the paper's for CIFAR-10, whose maps are all as wide; of several widths, our choice.
        features = widths[0] if classes else 1
        self.layers = nn.Sequential(*layers, basis, nn.Flatten(), _drawn(nn.Linear(last, features, bias=False)))
        self.classes = _embedding(classes, features, 1 / math.sqrt(features)) if classes else None

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features: Tensor = self.layers(images)
        if self.classes is not None:
            features = features * self.classes(labels)
        return features.sum(1)


class Block(nn.Module):
    """Adds to maps `(N, C, H, W)` what three convolutions make of them, the second in groups and twice as wide."""

    def __init__(self, channels: int, group_size: int, count: int) -> None:
        super().__init__()
        inner = 2 * channels
        # He et al. 2015 for the leaky ReLU, times L^(-1 / (2m - 2)) of Zhang et al. 2019 for L blocks in the network.
        gain = math.sqrt(2 / (1 + SLOPE**2)) * count ** (-1 / (2 * LAYERS - 2))
        grouped = nn.Conv2d(inner, inner, 3, padding=1, groups=inner // group_size)
        self.residual = nn.Sequential(
            _drawn(nn.Conv2d(channels, inner, 1), gain),
            nn.LeakyReLU(SLOPE, inplace=True),
            _drawn(grouped, gain),
            nn.LeakyReLU(SLOPE, inplace=True),
            _drawn(nn.Conv2d(inner, channels, 1, bias=False), 0.0),  # so that a block begins as the identity
        )

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.residual(x)
        return total


class Resample(nn.Module):
    """The filter of both changes of resolution: [1, 2, 1] over doubled pixels, which is [1, 3, 3, 1] over single ones.

    Beyond the edge lies 0, as beside every convolution here.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(taps, taps)[None, None], persistent=False)


class Double(Resample):
    """Doubles height and width."""

    def forward(self, x: Tensor) -> Tensor:
        kernel = 4 * self.kernel.expand(x.shape[1], -1, -1, -1)  # a pixel becomes four, and keeps its brightness
        return functional.conv_transpose2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


class Halve(Resample):
    """Halves height and width."""

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel.expand(x.shape[1], -1, -1, -1)
        return functional.conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


def _blocks(options: Residual, channels: int, count: int) -> list[nn.Module]:
    return [Block(channels, options.group_size, count) for _ in range(options.blocks)]


def _projection(before: int, after: int) -> list[nn.Module]:
    return [] if before == after else [_convolution(before, after)]


def _convolution(before: int, after: int) -> nn.Module:
    return _drawn(nn.Conv2d(before, after, 1, bias=False))


def _embedding(classes: int, dim: int, gain: float = 1.0) -> nn.Embedding:
    """Return a vector for each class: the columns of a linear layer that takes classes one-hot, drawn as that one."""
    embedding = nn.Embedding(classes, dim)
    nn.init.normal_(embedding.weight, 0.0, gain / math.sqrt(classes))
    return embedding


def _drawn(layer: nn.Linear | nn.Conv2d, gain: float = 1.0) -> nn.Module:
    """Draw the weights from N(0, gain^2 / fan-in); biases start at 0."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
