"""What components are tried with: a few pictures made of nothing, and models of a few hundred weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ganlab.data.packing import Packed
from ganlab.interfaces import Dataset, ImageSpec, Model, Source

IMAGES = ImageSpec(1, 8, 8)
"""The pictures that losses are tried with."""
CLASSES = 3


class Waves(Dataset):
    """Smooth pictures of no file, which stand for the data of a run in memory."""

    api = 1

    def sources(self) -> Iterable[Path]:
        """Return nothing."""
        return []

    def open(self) -> Source:
        """Refuse: what is trained on is packed already."""
        raise NotImplementedError


def waves(images: ImageSpec, count: int) -> Packed:
    """Return packed pictures, all different, the same in every call."""
    y, x = np.mgrid[0 : images.height, 0 : images.width] / max(images.height, images.width)
    index = np.arange(count)[:, None, None, None]
    channel = np.arange(images.channels)[:, None, None]
    values = np.sin(4.0 * x * (1 + index % 3) + 3.0 * y * (1 + index % 5) + channel + 0.37 * index)
    labels = np.arange(count, dtype=np.int64) % images.classes if images.classes else None
    return Packed(np.rint(127.5 + 120.0 * values).astype(np.uint8), labels, images, (), "contract")


class Tiny(Model):
    """A generator and a discriminator of two layers each, without BatchNorm, smooth enough for gradient penalties."""

    api = 1
    latent_dim: int = 4
    """Length of the latent vector z."""

    def check(self, images: ImageSpec) -> None:
        """Accept pictures of any size."""

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the networks."""
        shape = images[:3]
        size = int(np.prod(shape))
        return {
            "generator": nn.Sequential(
                nn.Linear(self.latent_dim, 16), nn.SiLU(), nn.Linear(16, size), nn.Unflatten(1, shape), nn.Tanh()
            ),
            "discriminator": nn.Sequential(
                nn.Flatten(), nn.Linear(size, 16), nn.SiLU(), nn.Linear(16, 1), nn.Flatten(0)
            ),
        }


class TinyGenerator(Model):
    """A generator of one transposed convolution with BatchNorm: what exporters are tried with."""

    api = 1
    latent_dim: int = 4
    """Length of the latent vector z."""

    def check(self, images: ImageSpec) -> None:
        """Accept pictures of any size; those of 8x8 are made."""

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the networks."""
        return {"generator": _upsampler(self.latent_dim, images), "discriminator": nn.Flatten()}


class TinyLabelled(Model):
    """The same generator, told by a label what to draw."""

    api = 1
    conditional: ClassVar[bool] = True
    latent_dim: int = 4
    """Length of the latent vector z."""

    def check(self, images: ImageSpec) -> None:
        """Accept pictures of any size; those of 8x8 are made."""

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the networks."""
        return {"generator": _Labelled(self.latent_dim, images), "discriminator": nn.Flatten()}


class _Labelled(nn.Module):
    def __init__(self, latent_dim: int, images: ImageSpec) -> None:
        super().__init__()
        self.embedding = nn.Embedding(images.classes, latent_dim)
        self.upsampler = _upsampler(latent_dim, images)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        pictures: Tensor = self.upsampler(z + self.embedding(labels))
        return pictures


def _upsampler(latent_dim: int, images: ImageSpec) -> nn.Sequential:
    norm = nn.BatchNorm2d(4)
    with torch.no_grad():
        for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
            assert values is not None
            values.uniform_(0.5, 1.5)  # as after some training, so that it cannot be left out unnoticed
    return nn.Sequential(
        nn.Linear(latent_dim, 4 * 4 * 4),
        nn.Unflatten(1, (4, 4, 4)),
        norm,
        nn.ReLU(),
        nn.ConvTranspose2d(4, images.channels, 4, stride=2, padding=1),
        nn.Tanh(),
    )
