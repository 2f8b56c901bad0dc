"""A game with a known end: a generator of shades of grey must find the mean of those that it is shown."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ganlab.interfaces import Batch, ImageSpec, Loss, Model
from ganlab.testing.trial import Trial, usual_optimizer

MEAN, SPREAD = 0.4, 0.2
"""Of the real pictures' shades, which are normally distributed."""
START = -0.6
"""The mean of the generator's first pictures; their spread is right from the start."""
ITERATIONS, BATCH_SIZE, LR = 100, 32, 3e-2
IMAGES = ImageSpec(1, 4, 4)


class Shades(Model):
    """A generator with two weights against a discriminator of two layers."""

    api = 1

    latent_dim: PositiveInt = 1
    """Length of the latent vector z."""

    def check(self, images: ImageSpec) -> None:
        """Accept the pictures of the game."""

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        """Return the networks."""
        discriminator = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 1), nn.Flatten(0))
        return {"generator": _Shade(), "discriminator": discriminator}


class _Shade(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(START))
        self.spread = nn.Parameter(torch.tensor(SPREAD))

    def forward(self, z: Tensor) -> Tensor:
        return (self.mean + self.spread * z).view(-1, 1, 1, 1).expand(-1, *IMAGES[:3])


def mean_found(loss: Loss) -> float:
    """Return where the loss leads the generator's mean: its average over the second half of the game.

    Players circle around the optimum (Mescheder et al. 2018), so no single moment says where it is.
    """
    trial = Trial(Shades(), loss, IMAGES, ITERATIONS, optimizer=usual_optimizer(lr=LR))
    trainer = trial.begin()
    shade = trainer.state.networks["generator"]
    assert isinstance(shade, _Shade)
    batches = _batches()
    found = []
    for index in range(ITERATIONS):
        trial.iterate(trainer, index, batches=batches)
        found.append(shade.mean.item())
    return sum(found[ITERATIONS // 2 :]) / (ITERATIONS - ITERATIONS // 2)


def _batches() -> Iterator[Batch]:
    random = torch.Generator().manual_seed(0)
    while True:
        shades = MEAN + SPREAD * torch.randn(BATCH_SIZE, 1, 1, 1, generator=random)
        yield Batch(shades.expand(-1, *IMAGES[:3]), {"z": torch.randn(BATCH_SIZE, 1, generator=random)}, ())
