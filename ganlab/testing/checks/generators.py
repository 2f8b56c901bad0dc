"""What a model builds, and the checks of what its generator makes: shape, type, range, each picture by itself."""

from __future__ import annotations

import inspect
from contextlib import suppress
from functools import lru_cache
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganlab.data.inputs import declared_inputs, of_seeds
from ganlab.generator.export import BATCHES, NOISE
from ganlab.interfaces import Categorical, ImageSpec, Labels, Model, Normal, Uniform
from ganlab.messages import in_words
from ganlab.testing.shapes import accepted, shown
from ganlab.testing.subject import Check, ContractError, NotRunError, Subject, described
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
    """Return a generator's arguments: its inputs of the seeds from 0, in their order."""
    arrays = of_seeds(declared_inputs(model, images), range(count), images.classes)
    return [torch.from_numpy(array) for array in arrays.values()]


def generated(subject: Subject[Model], images: ImageSpec, count: int, seed: int = SEED) -> Tensor:
    """Return what the generator of `built` makes."""
    return pictures(built(subject, images)["generator"], subject.make(), images, count, seed)


def pictures(generator: nn.Module, model: Model, images: ImageSpec, count: int, seed: int = SEED) -> Tensor:
    """Return what a generator makes of the first latents; what it draws by itself depends on `seed`."""
    torch.default_generator.manual_seed(seed)
    with torch.no_grad():
        made: Tensor = generator(*inputs(model, images, count))
    return made


def declares_inputs(subject: Subject[Model]) -> None:
    """Ask twice what the generator takes, and compare with the names of its arguments."""
    model = subject.make()
    for images in accepted(subject):
        declared = declared_inputs(model, images)
        if declared != declared_inputs(model, images):
            raise ContractError("inputs() declares something else each time: it must follow from options and pictures")
        generator = built(subject, images)["generator"]
        arguments = list(inspect.signature(generator.forward).parameters)
        if sorted(arguments) == sorted(declared) and arguments != list(declared):
            raise ContractError(
                f"the generator takes {in_words(arguments)}, and inputs() declares {in_words(list(declared))}: "
                "they are given in the order in which inputs() returns them"
            )
        try:
            with suppress(ArithmeticError, RuntimeError, ValueError):  # what goes wrong inside is for others to say
                generated(subject, images, 2)
        except TypeError as error:
            raise ContractError(
                f"the generator cannot be called with {in_words(list(declared))}, which inputs() declares: "
                f"{described(error, subject.cls)}"
            ) from error


def uses_every_input(subject: Subject[Model]) -> None:
    """Change one input after the other, and see whether the pictures change, with weights moved from their start."""
    model, images = subject.make(), accepted(subject)[0]
    generator = seeded(model, images, SEED)["generator"].eval()
    random = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for parameter in generator.parameters():  # a weight may be 0 at first, so that an input matters later only
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
    arguments, others = inputs(model, images, 7), [values.roll(1, 0) for values in inputs(model, images, 7)]
    for place, (name, kind) in enumerate(declared_inputs(model, images).items()):
        if isinstance(kind, Categorical):  # which may be drawn alike
            others[place] = functional.one_hot((arguments[place].argmax(1) + 1) % kind.n, kind.n).float()
        elif isinstance(kind, Labels):
            others[place] = (arguments[place] + 1) % images.classes
        if torch.equal(arguments[place], others[place]):
            continue  # of one category there is no other
        changed = [*arguments[:place], others[place], *arguments[place + 1 :]]
        with torch.no_grad():
            torch.default_generator.manual_seed(SEED)
            made = generator(*arguments)
            torch.default_generator.manual_seed(SEED)
            same = torch.equal(made, generator(*changed))
        if same:
            raise ContractError(f"{name} changes nothing about the pictures: use it, or take it out of inputs()")


def makes_the_shape(subject: Subject[Model]) -> None:
    """Generate pictures of each size in batches of 1, 2 and 7."""
    for images, count in product(accepted(subject), BATCHES):
        made, expected = generated(subject, images, count), (count, *images[:3])
        if tuple(made.shape) != expected:
            raise ContractError(
                f"for pictures of {shown(images)} and {count} seeds the generator makes {tuple(made.shape)} instead of "
                f"{expected}: take channels, height and width from the ImageSpec, and the batch size from its inputs"
            )


def makes_float32(subject: Subject[Model]) -> None:
    """Look at the type of what is generated from float32."""
    for images in accepted(subject):
        if (dtype := generated(subject, images, 2).dtype) != torch.float32:
            raise ContractError(
                f"for pictures of {shown(images)} the generator makes {dtype} of float32: give back its inputs' type"
            )


def stays_in_range(subject: Subject[Model]) -> None:
    """Generate with the first weights, and with larger ones and larger z, as training may lead to."""
    for images in accepted(subject):
        made = generated(subject, images, 7)
        if not torch.isfinite(made).all():
            raise ContractError(f"for pictures of {shown(images)} the first weights make NaN or infinite values")
        model = subject.make()
        generator = seeded(model, images, SEED)["generator"].eval()
        # Those that are drawn from a distribution of numbers can be far out; a category or a label cannot.
        far = [10.0 if isinstance(kind, Normal | Uniform) else 1 for kind in declared_inputs(model, images).values()]
        with torch.no_grad():
            for parameter in generator.parameters():
                parameter.mul_(4.0)
            wild = generator(*(factor * values for factor, values in zip(far, inputs(model, images, 7), strict=True)))
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
        raise NotRunError("the same inputs give another picture each time")
    alone = torch.cat([generated(subject, images, 1), generated(subject, images, 2)[1:]])
    difference = float((alone - together[:2]).abs().max())
    if difference > max(NOISE, subject.make().export_tolerance):
        raise ContractError(
            f"a picture differs by {difference:.1g} when others are made beside it: in eval mode nothing may be "
            "averaged over the batch; give normalisations running statistics, or normalise each picture by itself"
        )


CHECKS = (
    Check("inputs", "The generator takes the inputs that it declares, in their order.", declares_inputs, ("build",)),
    Check("shape", "The generator makes pictures of the right shape at any batch size.", makes_the_shape, ("inputs",)),
    Check("dtype", "The generator makes float32.", makes_float32, ("shape",)),
    Check("range", "Pictures are finite and lie in [-1, 1].", stays_in_range, ("shape",)),
    Check("batch", "A picture does not depend on those made beside it.", makes_each_picture_alone, ("shape",)),
    Check("every_input", "Each input changes the pictures.", uses_every_input, ("shape",)),
)


def _largest(made: Tensor) -> float:
    """Return the largest finite magnitude: what wild weights make infinite on the way says nothing."""
    finite = made[torch.isfinite(made)]
    return float(finite.abs().max()) if len(finite) else 0.0
