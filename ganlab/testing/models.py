"""The checks of models: what `build` makes, how it trains, and that it can be shipped."""

from __future__ import annotations

import copy
from contextlib import suppress
from functools import lru_cache
from itertools import product

import torch
from torch import Tensor, nn

from ganlab.artefact import read_artefact
from ganlab.errors import GanlabError, NonFiniteError
from ganlab.export import NOISE, export
from ganlab.interfaces import ImageSpec, Loss, Model
from ganlab.latents import latents
from ganlab.network import load_network
from ganlab.registry import registry
from ganlab.testing.subject import Check, ContractError, Subject, described
from ganlab.testing.surroundings import SEED, moved, random_states
from ganlab.testing.toys import CLASSES
from ganlab.testing.trial import Trial, artefact, resumes_exactly
from ganlab.training.state import State, build_networks

USUAL = ((28, 28), (32, 32), (64, 64), (48, 64))
UNUSUAL = ((8, 8), (16, 16), (128, 128), (256, 256))
"""Heights and widths that are tried; the unusual ones where no usual one is accepted."""
BATCHES = (1, 2, 7)
ITERATIONS = 3
"""How many are trained to see whether a run can be resumed after each."""


@lru_cache(maxsize=8)
def accepted(subject: Subject) -> tuple[ImageSpec, ...]:
    """Return pictures that the model accepts: those asked for, or one of each usual size; smallest first."""
    model = subject.make(Model)
    if subject.images:
        for images in subject.images:
            if (reason := _refusal(model, images)) is not None:
                raise ContractError(f"check() refuses {_size(images)}, which it was to be checked with: {reason}")
        classes = CLASSES if model.conditional else 0
        found = [images._replace(classes=images.classes or classes) for images in subject.images]
    else:
        found = _search(model, USUAL) or _search(model, UNUSUAL)
    if not found:
        tried = ", ".join(f"{height}x{width}" for height, width in (*USUAL, *UNUSUAL))
        raise ContractError(
            f"check() refuses pictures of {tried}, in grey and in colour: correct it, or say what can be built, "
            "contract(..., images=[ImageSpec(channels, height, width)])"
        )
    return tuple(sorted(found, key=lambda images: images.channels * images.height * images.width))


def accepts_pictures(subject: Subject) -> None:
    """Ask `check()` about pictures of several sizes."""
    accepted(subject)


def builds(subject: Subject) -> None:
    """Build the networks for each size."""
    for images in accepted(subject):
        _built(subject, images)


def leaves_random_states(subject: Subject) -> None:
    """Build, generate, and train an iteration, and see which random states have moved."""
    model, images = subject.make(Model), accepted(subject)[0]
    before = random_states()
    networks = build_networks(model, images)
    z, *condition = _inputs(model, images, 8)
    with suppress(Exception):  # what goes wrong is for the other checks to say
        for generator in (networks["generator"], copy.deepcopy(networks["generator"]).eval()):
            generator(z, *condition)
        if "discriminator" in networks:
            networks["discriminator"](torch.rand(8, *images[:3]), *condition)
    states = moved(before, torch_may_draw=True)
    with suppress(Exception):
        trial = Trial(model, _loss(subject), images, 1)
        trial.finish(trial.begin())  # which seeds torch
    states += [state for state in moved(before, torch_may_draw=True) if "torch" not in state and state not in states]
    if states:
        raise ContractError(
            f"build() or a forward draws from or seeds {' and '.join(states)}: draw from torch's default generator, "
            "which the run has seeded, as torch.randn and nn.init do"
        )


def follows_the_seed(subject: Subject) -> None:
    """Build three times, the third time with another seed."""
    first, again, other = (_weights(subject, seed) for seed in (SEED, SEED, SEED + 1))
    for name, weight in first.items():
        if not torch.equal(weight, again[name]):
            raise ContractError(
                f"{name} differs between two builds after the same seed: draw it from torch's default generator alone"
            )
    if all(torch.equal(weight, other[name]) for name, weight in first.items()):
        raise ContractError(
            "all weights are the same whatever the seed: draw them from torch's default generator, and never seed it"
        )


def makes_the_shape(subject: Subject) -> None:
    """Generate pictures of each size in batches of 1, 2 and 7."""
    for images, count in product(accepted(subject), BATCHES):
        made = _generated(subject, images, count)
        expected = (count, *images[:3])
        if tuple(made.shape) != expected:
            raise ContractError(
                f"for pictures of {_size(images)} and z ({count}, {subject.make(Model).latent_dim}) the generator makes "
                f"{tuple(made.shape)} instead of {expected}: take channels, height and width from the ImageSpec"
            )


def makes_float32(subject: Subject) -> None:
    """Look at the type of what is generated from float32."""
    for images in accepted(subject):
        made = _generated(subject, images, 2)
        if made.dtype != torch.float32:
            raise ContractError(
                f"for pictures of {_size(images)} the generator makes {made.dtype} of z in float32: return z's type"
            )


def stays_in_range(subject: Subject) -> None:
    """Generate with the first weights, and with larger ones and larger z, as training may lead to."""
    for images in accepted(subject):
        made = _generated(subject, images, 7)
        if not torch.isfinite(made).all():
            raise ContractError(f"for pictures of {_size(images)} the generator makes NaN or infinite values at once")
        generator = copy.deepcopy(_built(subject, images)["generator"])
        with torch.no_grad():
            for parameter in generator.parameters():
                parameter.mul_(4.0)
            wild = generator(*_inputs(subject.make(Model), images, 7, scale=10.0))
        # What such weights make infinite on the way says nothing.
        largest = max(_largest(made), _largest(wild))
        if largest > 1.0 + 1e-6:
            raise ContractError(
                f"pictures reach {largest:.3g}, but they must lie in [-1, 1] whatever the weights: end the generator "
                "with torch.tanh, or with clamp where it is not trained through"
            )


def makes_each_picture_alone(subject: Subject) -> str | None:
    """Compare a picture made alone with the same one made in a batch of seven, in eval mode."""
    model, images = subject.make(Model), accepted(subject)[0]
    together, again = (_generated(subject, images, 7, seed) for seed in (SEED, SEED + 1))
    if (together - again).abs().max() > NOISE:
        return "not checked: the same z gives another picture each time"
    alone = torch.cat([_generated(subject, images, 1), _generated(subject, images, 2)[1:]])
    if (difference := float((alone - together[:2]).abs().max())) > max(1e-5, model.export_tolerance):
        raise ContractError(
            f"a picture differs by {difference:.1g} when others are made beside it: in eval mode nothing may be "
            "averaged over the batch; give normalisations running statistics, or normalise each picture by itself"
        )
    return None


def saves_and_loads(subject: Subject) -> None:
    """Load each network's state into one that was built with another seed, and the generator's from its artefact."""
    model, images = subject.make(Model), accepted(subject)[0]
    networks = _built(subject, images)
    torch.manual_seed(SEED + 1)
    others = build_networks(model, images)
    for name, network in networks.items():
        others[name].load_state_dict(network.state_dict(), strict=True)
    remedy = "keep whatever forward needs in parameters and buffers (register_buffer), not in plain attributes"
    expected = _generated(subject, images, 2)
    if not _same(expected, _pictures(others["generator"].eval(), model, images)):
        raise ContractError(f"a generator with the same state makes other pictures: {remedy}")
    try:
        generator = copy.deepcopy(networks["generator"])
    # Whatever a stranger's module does when it is copied.
    except Exception as error:
        raise ContractError(
            f"the generator cannot be copied, as every sample and export does: {described(error, subject.cls)}; {remedy}"
        ) from error
    with artefact(model, generator, images) as path:
        loaded = load_network(read_artefact(path))
    if not _same(expected, _pictures(loaded, model, images)):
        raise ContractError(f"a generator loaded from its artefact makes other pictures: {remedy}")


def trains(subject: Subject) -> None:
    """Train one period of the loss, usually one iteration."""
    trained(subject)


def uses_every_parameter(subject: Subject) -> None:
    """Ask the optimizers which parameters have never had a gradient."""
    state, loss = trained(subject)[1], _loss(subject)
    stepped = {
        id(parameter)
        for optimizer in state.optimizers.values()
        for parameter, values in optimizer.state.items()
        if values["step"] > 0
    }
    idle = [
        f"{name}.{key}"
        for name in dict.fromkeys(("generator", *loss.networks))
        for key, parameter in state.networks[name].named_parameters()
        if parameter.requires_grad and id(parameter) not in stepped
    ]
    if idle:
        raise ContractError(
            f"{', '.join(idle[:5])}{' and others' if len(idle) > 5 else ''} never get a gradient: use them in forward, "
            "remove them, or make them buffers if they are not to be learned"
        )


def resumes(subject: Subject) -> None:
    """Put a run down after each iteration, and take it up anew."""
    trial = Trial(subject.make(Model), _loss(subject), accepted(subject)[0], ITERATIONS)
    resumes_exactly(trial, "a network")


def exports_to_onnx(subject: Subject) -> None:
    """Export the trained generator, and run it at batches 1, 2 and 7 against torch."""
    trial, state = trained(subject)
    with artefact(trial.recipe.model, trial.shipped(state), trial.images) as path:
        try:
            export(path, "onnx")
        except GanlabError as error:
            raise ContractError(str(error).replace(f"{path}: ", "").replace(str(path), path.name)) from error


@lru_cache(maxsize=8)
def trained(subject: Subject) -> tuple[Trial, State]:
    """Return a run of one period of the loss, and its state at the end."""
    loss = _loss(subject)
    trial = Trial(subject.make(Model), loss, accepted(subject)[0], loss.period)
    state = trial.begin()
    try:
        trial.finish(state)
    except NonFiniteError as error:
        raise ContractError(
            f"{error.what} is NaN or infinite after {error.iteration + 1} iteration(s) from the first weights: look for "
            "divisions by 0, and for roots and logarithms of it, whose gradient is infinite"
        ) from error
    return trial, state


CHECKS = (
    Check("images", "It accepts pictures of some size.", accepts_pictures, ("defaults",)),
    Check("build", "It builds the networks that it states, for each size it accepts.", builds, ("images",)),
    Check("random", "It leaves all random states but torch's default generator alone.", leaves_random_states, ("build",)),
    Check("seed", "The same seed gives the same weights, another seed others.", follows_the_seed, ("random",)),
    Check("shape", "The generator makes pictures of each shape at any batch size.", makes_the_shape, ("build",)),
    Check("dtype", "The generator makes float32.", makes_float32, ("shape",)),
    Check("range", "Pictures are finite and lie in [-1, 1].", stays_in_range, ("shape",)),
    Check("batch", "A picture does not depend on those made beside it.", makes_each_picture_alone, ("shape",)),
    Check("save_load", "What is saved and loaded makes the same pictures.", saves_and_loads, ("shape", "random")),
    Check("iteration", "An iteration leaves everything finite.", trains, ("dtype", "random")),
    Check("gradients", "Every parameter gets a gradient.", uses_every_parameter, ("iteration",)),
    Check("resume", "A run resumed at any iteration ends with the same bits.", resumes, ("iteration",)),
    Check("onnx", "Its ONNX file makes torch's pictures at batches 1, 2 and 7.", exports_to_onnx, ("iteration", "save_load")),
)


def _search(model: Model, sizes: tuple[tuple[int, int], ...]) -> list[ImageSpec]:
    """Return one shape of each size that is accepted, grey and colour in turns where the model takes both."""
    found = []
    for index, (height, width) in enumerate(sizes):
        shapes = (ImageSpec(channels, height, width) for channels in ((1, 3) if index % 2 == 0 else (3, 1)))
        found += [next((shape for shape in shapes if _refusal(model, shape) is None), None)]
    return [shape._replace(classes=CLASSES if model.conditional else 0) for shape in found if shape is not None]


def _refusal(model: Model, images: ImageSpec) -> str | None:
    """Return why `check()` refuses the pictures, or None."""
    try:
        model.check(images)
    except ValueError as error:
        if not str(error):
            raise ContractError(f"check() refuses {_size(images)} without a word: say what to do instead") from error
        return str(error)
    # A stranger's code.
    except Exception as error:
        raise ContractError(
            f"check() raises {described(error, type(model))} over {_size(images)}: raise ValueError with what to do instead"
        ) from error
    return None


@lru_cache(maxsize=8)
def _built(subject: Subject, images: ImageSpec) -> dict[str, nn.Module]:
    """Return the networks for these pictures, in eval mode; nobody may change them."""
    torch.manual_seed(SEED)
    networks = build_networks(subject.make(Model), images)
    return {name: network.eval() for name, network in networks.items()}


def _weights(subject: Subject, seed: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    networks = build_networks(subject.make(Model), accepted(subject)[0])
    return {f"{name}.{key}": value for name, network in networks.items() for key, value in network.state_dict().items()}


def _inputs(model: Model, images: ImageSpec, count: int, scale: float = 1.0) -> list[Tensor]:
    z = torch.from_numpy(latents(range(count), model.latent_dim, model.latent)) * scale
    return [z, torch.arange(count) % images.classes] if model.conditional else [z]


def _generated(subject: Subject, images: ImageSpec, count: int, seed: int = SEED) -> Tensor:
    return _pictures(_built(subject, images)["generator"], subject.make(Model), images, count, seed)


def _pictures(generator: nn.Module, model: Model, images: ImageSpec, count: int = 2, seed: int = SEED) -> Tensor:
    torch.manual_seed(seed)  # a generator may draw noise: that is for the export to refuse
    with torch.no_grad():
        made: Tensor = generator(*_inputs(model, images, count))
    return made


def _same(first: Tensor, second: Tensor) -> bool:
    return bool((first - second).abs().max() <= NOISE)


def _largest(made: Tensor) -> float:
    return float(made[torch.isfinite(made)].abs().max()) if bool(torch.isfinite(made).any()) else 0.0


def _loss(subject: Subject) -> Loss:
    """Return the loss that the model is trained with."""
    networks = subject.make(Model).networks
    if subject.loss is not None:
        return subject.loss
    if "discriminator" not in networks:
        raise ContractError(
            f"its networks are {' and '.join(networks)}, so ganlab's own losses cannot train it: say which can, "
            "contract(..., loss=...), --with NAME on the command line"
        )
    loss: Loss = registry.get("loss", "bce")()
    return loss


def _size(images: ImageSpec) -> str:
    return f"{images.channels}x{images.height}x{images.width}"
