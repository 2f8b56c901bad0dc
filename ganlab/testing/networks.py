"""The networks of the model that is checked, and the pictures that its generator makes."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from ganlab.data.latents import latents
from ganlab.interfaces import ImageSpec, Model
from ganlab.testing.subject import Subject
from ganlab.testing.surroundings import SEED
from ganlab.training.state import build_networks


@lru_cache(maxsize=8)
def built(subject: Subject[Model], images: ImageSpec) -> dict[str, nn.Module]:
    """Return the networks for these pictures, in eval mode; nobody may change them."""
    return {name: network.eval() for name, network in seeded(subject.make(), images, SEED).items()}


def seeded(model: Model, images: ImageSpec, seed: int) -> dict[str, nn.Module]:
    """Build the networks after seeding torch's default generator."""
    torch.default_generator.manual_seed(seed)
    return build_networks(model, images)


def inputs(model: Model, images: ImageSpec, count: int) -> list[Tensor]:
    """Return a generator's arguments: z `(N, latent_dim)`, and labels `(N,)` where the model is conditional."""
    z = torch.from_numpy(latents(range(count), model.latent_dim, model.latent))
    return [z, torch.arange(count) % images.classes] if model.conditional else [z]


def generated(subject: Subject[Model], images: ImageSpec, count: int, seed: int = SEED) -> Tensor:
    """Return what the generator of `built` makes."""
    return pictures(built(subject, images)["generator"], subject.make(), images, count, seed)


def pictures(generator: nn.Module, model: Model, images: ImageSpec, count: int, seed: int = SEED) -> Tensor:
    """Return what a generator makes of the first latents; what it draws by itself depends on `seed`."""
    torch.default_generator.manual_seed(seed)
    with torch.no_grad():
        made: Tensor = generator(*inputs(model, images, count))
    return made
