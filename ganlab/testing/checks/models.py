"""The checks of models: what `build` makes, how it trains, and that it can be shipped."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, wraps

import torch
from torch import Tensor

from ganlab.errors import GanlabError, NonFiniteError
from ganlab.generator.export import NOISE, export
from ganlab.generator.file import read_artefact
from ganlab.generator.network import load_network
from ganlab.interfaces import Iteration, Loss, Model
from ganlab.messages import line_of
from ganlab.networks.one_pass import apart
from ganlab.registry.lookup import registry
from ganlab.testing.checks.generators import CHECKS as GENERATOR
from ganlab.testing.checks.generators import built, generated, inputs, pictures, seeded
from ganlab.testing.checks.shipping import CHECKS as SHIPPING
from ganlab.testing.shapes import accepted
from ganlab.testing.subject import Check, ContractError, Subject, described
from ganlab.testing.surroundings import SEED, moved, random_states
from ganlab.testing.trial import Trial, artefact, resumes_exactly
from ganlab.training.state import State, build_networks

ITERATIONS = 3
"""How many are trained to see whether a run can be resumed after each."""


def accepts_pictures(subject: Subject[Model]) -> None:
    """Ask `check()` about pictures of several sizes."""
    accepted(subject)


def builds(subject: Subject[Model]) -> None:
    """Build the networks for each size."""
    for images in accepted(subject):
        built(subject, images)


def leaves_random_states(subject: Subject[Model]) -> None:
    """Build, generate, and train an iteration, and see which random states have moved."""
    model, images = subject.make(), accepted(subject)[0]
    before = random_states()
    networks = build_networks(model, images)
    arguments = inputs(model, images, 8)
    with suppress(Exception):  # what goes wrong is for other checks to say
        for generator in (networks["generator"], copy.deepcopy(networks["generator"]).eval()):
            generator(*arguments)
        if "discriminator" in networks:
            condition = (torch.arange(8) % images.classes,) if model.conditional else ()
            networks["discriminator"](torch.rand(8, *images[:3]), *condition)
    states = moved(before, torch_may_draw=True)
    with suppress(Exception):
        trial = Trial(model, _loss(subject), images, 1)
        trial.finish(trial.begin())
    # The loop seeds torch by itself.
    states += [state for state in moved(before, torch_may_draw=True) if "torch" not in state and state not in states]
    if states:
        raise ContractError(
            f"build() or a forward draws from or seeds {' and '.join(states)}: draw from torch's default generator, "
            "which the run has seeded, as torch.randn and nn.init do"
        )


def follows_the_seed(subject: Subject[Model]) -> None:
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


def saves_and_loads(subject: Subject[Model]) -> None:
    """Load each network's state into one that was built with another seed, and the generator's from its artefact."""
    model, images = subject.make(), accepted(subject)[0]
    networks, others = built(subject, images), seeded(model, images, SEED + 1)
    for name, network in networks.items():
        others[name].load_state_dict(network.state_dict(), strict=True)
    remedy = "keep whatever forward needs in parameters and buffers (register_buffer), not in plain attributes"
    expected = generated(subject, images, 2)
    if not _same(expected, pictures(others["generator"].eval(), model, images, 2)):
        raise ContractError(f"a generator with the same state makes other pictures: {remedy}")
    try:
        generator = copy.deepcopy(networks["generator"])
    # Whatever a stranger's module does when it is copied.
    except Exception as error:
        raise ContractError(
            f"the generator cannot be copied, as samples and exports do: {described(error, subject.cls)}; {remedy}"
        ) from error
    with artefact(model, generator, images) as path:
        loaded = load_network(read_artefact(path))
    if not _same(expected, pictures(loaded, model, images, 2)):
        raise ContractError(f"a generator loaded from its artefact makes other pictures: {remedy}")


def _naming_the_loss(check: Callable[[Subject[Model]], None]) -> Callable[[Subject[Model]], None]:
    """Let a check that trains say with which loss, and where that is written: the fault may be in either."""

    @wraps(check)
    def named(subject: Subject[Model]) -> None:
        loss = _loss(subject)
        try:
            check(subject)
        # A stranger's code.
        except (Exception, SystemExit) as error:
            title, sentence = registry.title(loss), described(error, subject.cls)
            place = "" if title in sentence else f"trained with {title}{line_of(type(loss).updates)}: "
            raise ContractError(f"{place}{sentence}") from error

    return named


def judges_each_picture_alone(subject: Subject[Model]) -> None:
    """Where the class states `one_pass`, compare logits of two batches with those of both together, and state."""
    model, images = subject.make(), accepted(subject)[0]
    if not model.one_pass:
        return
    random = torch.Generator().manual_seed(SEED)
    batches = [torch.rand(4, *images[:3], generator=random).mul_(2.0).sub_(1.0) for _ in range(2)]
    condition = (torch.arange(4) % images.classes,) if model.conditional else ()

    @torch.no_grad()
    def judged(one_pass: bool, training: bool, seed: int = SEED) -> dict[str, Tensor]:
        discriminator = seeded(model, images, SEED)["discriminator"].train(training)
        torch.default_generator.manual_seed(seed)
        logits = torch.cat(apart(discriminator, batches, condition, Iteration(0, torch.zeros(()), one_pass)))
        return {"a logit": logits, **dict(discriminator.named_buffers())}

    for training in (False, True):
        expected, found, again = judged(False, training), judged(True, training), judged(False, training, SEED + 1)
        for name, values in expected.items():
            scale = NOISE * max(1.0, _farthest(values, torch.zeros_like(values)))
            difference = _farthest(values, found[name])
            # What the layers draw differs from pass to pass.
            if difference > scale and _farthest(values, again[name]) <= scale:
                raise ContractError(
                    f"it states one_pass, but {name} differs by {difference:.1g} when other pictures are judged "
                    "beside it: leave one_pass out where the discriminator compares the pictures of a batch, or "
                    "remembers something of each but in torch's BatchNorm layers"
                )


def _farthest(one: Tensor, other: Tensor) -> float:
    """Return the largest difference of two tensors of numbers, or of truths."""
    return float((one.double() - other.double()).abs().max()) if one.numel() else 0.0


@_naming_the_loss
def trains(subject: Subject[Model]) -> None:
    """Train one period of the loss, usually one iteration."""
    trained(subject)


@_naming_the_loss
def uses_every_parameter(subject: Subject[Model]) -> None:
    """Ask the optimizers which parameters have never had a gradient."""
    state = trained(subject)[1]
    stepped = {
        id(parameter)
        for optimizer in state.optimizers.values()
        for parameter, values in optimizer.state.items()
        if values["step"] > 0
    }
    idle = [
        f"{name}.{key}"
        for name in dict.fromkeys((*subject.cls.shipped, *_loss(subject).networks))
        for key, parameter in state.networks[name].named_parameters()
        if parameter.requires_grad and id(parameter) not in stepped
    ]
    if idle:
        raise ContractError(
            f"{', '.join(idle[:5])}{' and others' if len(idle) > 5 else ''} never get a gradient: use them in forward, "
            "remove them, or make them buffers if they are not to be learned"
        )


@_naming_the_loss
def resumes(subject: Subject[Model]) -> None:
    """Put a run down after each iteration, and take it up anew."""
    trial = Trial(subject.make(), _loss(subject), accepted(subject)[0], ITERATIONS)
    resumes_exactly(trial, "a network")


@_naming_the_loss
def exports_to_onnx(subject: Subject[Model]) -> None:
    """Export the trained generator, and run it at batches 1, 2 and 7 against torch."""
    trial, state = trained(subject)
    with artefact(trial.recipe.model, trial.shipped(state), trial.images) as path:
        try:
            export(path, "onnx")
        except GanlabError as error:
            raise ContractError(str(error).replace(f"{path}: ", "").replace(str(path), path.name)) from error


@lru_cache(maxsize=8)
def trained(subject: Subject[Model]) -> tuple[Trial, State]:
    """Return a run of one period of the loss, and its state at the end."""
    loss = _loss(subject)
    trial = Trial(subject.make(), loss, accepted(subject)[0], loss.period)
    trainer = trial.begin()
    try:
        trial.finish(trainer)
    except NonFiniteError as error:
        raise ContractError(
            f"{error.what} is NaN or infinite in iteration {error.iteration} from the first weights: look for "
            "divisions by 0, and for roots and logarithms of it, whose gradient is infinite"
        ) from error
    return trial, trainer.state


CHECKS = (
    Check("images", "It accepts pictures of some size.", accepts_pictures, ("defaults",)),
    Check("build", "It builds the networks that it states, for each size it accepts.", builds, ("images",)),
    Check("random", "It moves no random state but torch's default generator.", leaves_random_states, ("build",)),
    Check("seed", "The same seed gives the same weights, another seed others.", follows_the_seed, ("random",)),
    *GENERATOR,
    Check("save_load", "What is saved and loaded makes the same pictures.", saves_and_loads, ("shape", "random")),
    *SHIPPING,
    Check("one_pass", "Where it states so, a logit is its own picture's.", judges_each_picture_alone, ("build",)),
    Check("iteration", "An iteration leaves everything finite.", trains, ("dtype", "save_load")),
    Check("gradients", "Every parameter gets a gradient.", uses_every_parameter, ("iteration",)),
    Check("resume", "A run resumed after any iteration ends with the same bits.", resumes, ("iteration",)),
    Check("onnx", "As ONNX it makes torch's pictures at batches 1, 2 and 7.", exports_to_onnx, ("iteration",)),
)


def _weights(subject: Subject[Model], seed: int) -> dict[str, Tensor]:
    networks = seeded(subject.make(), accepted(subject)[0], seed)
    return {
        f"{name}.{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
        if isinstance(value, Tensor)
    }


def _same(first: Tensor, second: Tensor) -> bool:
    return bool((first - second).abs().max() <= NOISE)


def _loss(subject: Subject[Model]) -> Loss:
    """Return the loss that the model is trained with."""
    networks = subject.make().networks
    if subject.loss is not None:
        return subject.loss
    if "discriminator" not in networks:
        fitting = registry.losses_for(networks)
        fits = f", of those installed {' or '.join(fitting)}" if fitting else "; none that is installed can"
        raise ContractError(
            f"its networks are {' and '.join(networks)}, which the loss bce cannot train: say what can{fits}, "
            "contract(..., loss=...), or --with NAME on the command line"
        )
    loss: Loss = registry.get("loss", "bce")()
    return loss
