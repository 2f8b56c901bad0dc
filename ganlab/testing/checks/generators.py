"""What a model builds, and the checks of what its generator makes: shape, type, range, each picture by itself."""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import torch
from torch import Tensor, nn

from ganlab.data.latents import Latent
from ganlab.generator.export import BATCHES, NOISE
from ganlab.interfaces import ImageSpec, Model
from ganlab.testing.shapes import accepted, shown
from ganlab.testing.subject import Check, ContractError, NotRunError, Subject
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
    z = torch.from_numpy(Latent.of(model).of_seeds(range(count)))
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


def makes_the_shape(subject: Subject[Model]) -> None:
    """Generate pictures of each size in batches of 1, 2 and 7."""
    for images, count in product(accepted(subject), BATCHES):
        made, expected = generated(subject, images, count), (count, *images[:3])
        if tuple(made.shape) != expected:
            raise ContractError(
                f"for pictures of {shown(images)} and {count} z the generator makes {tuple(made.shape)} instead of "
                f"{expected}: take channels, height and width from the ImageSpec, and the batch size from z"
            )


def makes_float32(subject: Subject[Model]) -> None:
    """Look at the type of what is generated from float32."""
    for images in accepted(subject):
        if (dtype := generated(subject, images, 2).dtype) != torch.float32:
            raise ContractError(
                f"for pictures of {shown(images)} the generator makes {dtype} of z in float32: give back z's type"
            )


def stays_in_range(subject: Subject[Model]) -> None:
    """Generate with the first weights, and with larger ones and larger z, as training may lead to."""
    for images in accepted(subject):
        made = generated(subject, images, 7)
        if not torch.isfinite(made).all():
            raise ContractError(f"for pictures of {shown(images)} the first weights make NaN or infinite values")
        model = subject.make()
        generator = seeded(model, images, SEED)["generator"].eval()
        z, *condition = inputs(model, images, 7)
        with torch.no_grad():
            for parameter in generator.parameters():
                parameter.mul_(4.0)
            wild = generator(10.0 * z, *condition)
        largest = max(_largest(made), _largest(wild))
        if largest > 1.0 + 1e-6:
            raise ContractError(
                f"pictures reach {largest:.3g}, but must lie in [-1, 1] whatever the weights: end the generator with "
                "torch.tanh, or with clamp where nothing is trained through it"
            )


def makes_each_picture_alone(subject: Subject[Model]) -> None:
    """Compare pictures made alone or in pairs with the same ones made in a batch of seven, in eval mode."""
    images = accepted(subject)[0]
    together, again = (generated(subject, images, 7, seed) for seed in (SEED, SEED + 1))
    if (together - again).abs().max() > NOISE:
        raise NotRunError("the same z gives another picture each time")
    alone = torch.cat([generated(subject, images, 1), generated(subject, images, 2)[1:]])
    difference = float((alone - together[:2]).abs().max())
    if difference > max(NOISE, subject.make().export_tolerance):
        raise ContractError(
            f"a picture differs by {difference:.1g} when others are made beside it: in eval mode nothing may be "
            "averaged over the batch; give normalisations running statistics, or normalise each picture by itself"
        )


CHECKS = (
    Check("shape", "The generator makes pictures of the right shape at any batch size.", makes_the_shape, ("build",)),
    Check("dtype", "The generator makes float32.", makes_float32, ("shape",)),
    Check("range", "Pictures are finite and lie in [-1, 1].", stays_in_range, ("shape",)),
    Check("batch", "A picture does not depend on those made beside it.", makes_each_picture_alone, ("shape",)),
)


def _largest(made: Tensor) -> float:
    """Return the largest finite magnitude: what wild weights make infinite on the way says nothing."""
    finite = made[torch.isfinite(made)]
    return float(finite.abs().max()) if len(finite) else 0.0
