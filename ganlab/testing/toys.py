"""What components are tried with: a few pictures made of nothing, and models of a few hundred weights."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ganlab.data.packing import Packed
from ganlab.interfaces import Categorical, Dataset, ImageSpec, Input, Model, Normal, Source, Uniform

IMAGES = ImageSpec(1, 8, 8)
"""The pictures that losses and exporters are tried with."""
CLASSES = 3
"""Labels of the pictures that conditional models are tried with."""


class Waves(Dataset):
    """Smooth pictures of no file, which stand for the data of a run in memory."""

    api = 1

    def sources(self) -> Iterable[Path]:
        """Return nothing."""
        return []

    def open(self) -> Source:
        """Refuse: what is trained on has been packed already, by `waves`."""
        raise NotImplementedError


def waves(images: ImageSpec, count: int) -> Packed:
    """Return packed pictures, all different, the same in every call."""
    y, x = np.mgrid[0 : images.height, 0 : images.width] / max(images.height, images.width)
    index = np.arange(count)[:, None, None, None]
    channel = np.arange(images.channels)[:, None, None]
    values = np.sin(4.0 * x * (1 + index % 3) + 3.0 * y * (1 + index % 5) + channel + 0.37 * index)
    labels = np.arange(count, dtype=np.int64) % images.classes if images.classes else None
    pixels, names = np.rint(127.5 + 120.0 * values).astype(np.uint8), tuple(map(str, range(images.classes)))
    return Packed(pixels, labels, images, (), "contract", class_names=names)


class Tiny(Model):
    """A generator with BatchNorm, and a discriminator without: a logit is its own picture's, and smooth."""

    api = 1

    latent_dim: PositiveInt = 4
    """Length of the latent vector z."""

    def check(self, images: ImageSpec) -> None:
        """Refuse odd sides."""
        _refuse_odd(images)

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the networks."""
        return {"generator": _generator(self.latent_dim, images), "discriminator": _discriminator(images)}


class TinyLabelled(Model):
    """The same generator, told by a label what to draw."""

    api = 1
    conditional: ClassVar[bool] = True

    latent_dim: PositiveInt = 4
    """Length of the latent vector z."""

    def check(self, images: ImageSpec) -> None:
        """Refuse odd sides."""
        _refuse_odd(images)

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the networks; the discriminator does not look at labels."""
        generator = _Labelled(nn.Embedding(images.classes, self.latent_dim), _generator(self.latent_dim, images))
        return {"generator": generator, "discriminator": _discriminator(images)}


class TinyVaried(Model):
    """The same generator, told by inputs of every kind that has no label what to draw."""

    api = 1

    latent_dim: int = 4
    """Length of the latent vector z."""

    def check(self, images: ImageSpec) -> None:
        """Refuse odd sides."""
        _refuse_odd(images)

    def inputs(self, images: ImageSpec) -> dict[str, Input]:
        """Return z, a category, a few codes, and a map of noise of the pictures' size."""
        noise = (1, images.height, images.width)
        return {
            "z": Normal((self.latent_dim,)),
            "category": Categorical(CLASSES),
            "codes": Uniform((2,)),
            "noise": Normal(noise),
        }

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the networks."""
        generator = _Varied(_generator(self.latent_dim + CLASSES + 2, images))
        return {"generator": generator, "discriminator": _discriminator(images)}


class TinyEncoding(Tiny):
    """The same generator, with an encoder that is shipped beside it and seen by no loss."""

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "discriminator", "encoder")
    shipped: ClassVar[tuple[str, ...]] = ("generator", "encoder")

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the networks."""
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(images[:3]), self.latent_dim))
        return {**super().build(images), "encoder": encoder}


class _Varied(nn.Module):
    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator, self.strength = generator, nn.Parameter(torch.tensor(0.1))

    def forward(self, z: Tensor, category: Tensor, codes: Tensor, noise: Tensor) -> Tensor:
        pictures: Tensor = self.generator(torch.cat([z, category, codes], 1))
        return (pictures + self.strength * noise).clamp(-1.0, 1.0)


class _Labelled(nn.Module):
    def __init__(self, embedding: nn.Embedding, generator: nn.Module) -> None:
        super().__init__()
        self.embedding, self.generator = embedding, generator

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        pictures: Tensor = self.generator(z + self.embedding(labels))
        return pictures


def _refuse_odd(images: ImageSpec) -> None:
    if images.height % 2 or images.width % 2:
        raise ValueError(f"pictures of {images.height}x{images.width} cannot be made; both sides must be even")


def _generator(latent_dim: int, images: ImageSpec) -> nn.Module:
    start = (4, images.height // 2, images.width // 2)
    norm = nn.BatchNorm2d(4)
    with torch.no_grad():
        for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
            assert values is not None
            values.uniform_(0.5, 1.5)  # as after some training: an exporter that leaves it out is found out
    return nn.Sequential(
        nn.Linear(latent_dim, math.prod(start)),
        nn.Unflatten(1, start),
        norm,
        nn.ReLU(),
        nn.ConvTranspose2d(4, images.channels, 4, stride=2, padding=1),
        nn.Tanh(),
    )


def _discriminator(images: ImageSpec) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(images[:3]), 16), nn.SiLU(), nn.Linear(16, 1), nn.Flatten(0))
