"""The checks of augmentations: what comes out, what flows back, and that the seed decides."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.errors import NonFiniteError
from ganlab.interfaces import Augmentation, ImageSpec, Loss, Position
from ganlab.registry.lookup import registry
from ganlab.testing.checks.adaptation import (
    adapts_nothing_else,
    builds_what_it_states,
    real_pictures,
    remembers_in_place,
    tried_on,
)
from ganlab.testing.checks.schedules import follow
from ganlab.testing.shapes import shown
from ganlab.testing.subject import Check, ContractError, Subject
from ganlab.testing.surroundings import SEED, modes, moved, random_states
from ganlab.testing.toys import Tiny
from ganlab.testing.trial import Trial, resumes_exactly
from ganlab.training.brought import build_brought
from ganlab.training.cuda_graphs import PROBES
from ganlab.training.operators import Operators, Work, difference

BATCHES = (1, 7)
ITERATIONS = 3
"""How many are trained to see whether a run can be resumed after each."""


def keeps_the_shape(subject: Subject[Augmentation]) -> None:
    """Augment grey and coloured pictures, square and not, one and several."""
    for images in tried_on(subject):
        for count in BATCHES:
            made = _augmented(subject, real_pictures(images, count))
            if (shape := tuple(made.shape)) != (count, *images[:3]):
                raise ContractError(
                    f"of pictures {(count, *images[:3])} it makes {shape}: give back the shape that came in, for any "
                    "number of channels"
                )


def keeps_the_type(subject: Subject[Augmentation]) -> None:
    """Augment float32, as data is, and bfloat16, as generators make on CUDA."""
    for images in tried_on(subject):
        for dtype in (torch.float32, torch.bfloat16):
            try:
                made = _augmented(subject, real_pictures(images, 7).to(dtype))
            except RuntimeError as error:
                raise ContractError(
                    f"it cannot compute with {dtype}: {' '.join(str(error).split())[:200]}; make what it draws with "
                    "dtype=images.dtype, or compute in float32 and give back images.dtype"
                ) from error
            if made.dtype not in (dtype, torch.float32):  # more exact does no harm
                raise ContractError(f"of {dtype} it makes {made.dtype}: give back images.dtype")


def stays_finite(subject: Subject[Augmentation]) -> None:
    """Augment with several seeds, and flat pictures too: all black, grey and white."""
    for images in tried_on(subject):
        flat = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1).expand(-1, *images[:3])
        pictures = torch.cat([real_pictures(images, 7), flat])
        for seed in range(5):
            torch.default_generator.manual_seed(seed)
            if not torch.isfinite(_augmented(subject, pictures)).all():
                raise ContractError(
                    f"it makes NaN or infinite values of pictures of {shown(images)}, some of them of one colour: look "
                    "for divisions by a picture's own spread or mean"
                )


def lets_gradients_flow(subject: Subject[Augmentation]) -> None:
    """Differentiate what comes out by what came in; over several seeds, since an augmentation may cut all away."""
    for images in tried_on(subject):
        total = torch.zeros(images[:3])
        for seed in range(5):
            torch.default_generator.manual_seed(seed)
            pictures = real_pictures(images, 7).requires_grad_()
            made = _augmented(subject, pictures)
            if not made.requires_grad:
                raise ContractError(
                    "no gradient comes through it, so a generator would learn nothing: no detach(), no "
                    "torch.no_grad(), no rounding, no numpy"
                )
            (gradient,) = torch.autograd.grad(made.square().sum(), pictures, allow_unused=True)
            total += torch.zeros(images[:3]) if gradient is None else gradient.abs().sum(0)
        if not torch.isfinite(total).all() or not total.any():
            raise ContractError(
                "the gradients that come through it are all 0, NaN or infinite: compute from the pictures"
            )


def follows_the_seed(subject: Subject[Augmentation]) -> None:
    """Augment twice after the same seed, with the same component and with a new one, from the same state."""
    for images in tried_on(subject):
        component, made = subject.live(), []
        for augmentation in (component, component, subject.live()):
            torch.default_generator.manual_seed(SEED)
            made.append(_augmented(subject, real_pictures(images, 7), augmentation))
        if not all(torch.equal(made[0], other) for other in made[1:]):
            raise ContractError(
                "the same pictures come out differently after the same seed: draw from torch's default generator "
                "alone, and remember nothing from call to call but in buffers of what build() returns"
            )


def leaves_surroundings(subject: Subject[Augmentation]) -> None:
    """Augment, and see which random states and modes have changed."""
    before_states, before_modes = random_states(), modes()
    for images in tried_on(subject):
        _augmented(subject, real_pictures(images, 7))
    states = moved(before_states, torch_may_draw=True)
    if states:
        raise ContractError(
            f"it draws from or seeds {' and '.join(states)}: draw from torch's default generator, which the run has "
            "seeded, and never seed it"
        )
    for name, value in modes()._asdict().items():
        if value != (before := before_modes._asdict()[name]):
            raise ContractError(f"it leaves torch in other modes: {name} is {value} instead of {before}")


def resumes(subject: Subject[Augmentation]) -> None:
    """Put a run down after each iteration, and take it up anew."""
    resumes_exactly(_trial(subject, ITERATIONS), "an augmentation")


def repeats_its_work(subject: Subject[Augmentation]) -> str | None:
    """Watch what iterations with it ask of the device, three times, after one that is not watched."""
    trial = _trial(subject, 1 + PROBES)
    trainer = trial.begin()
    works: list[Work] = []
    for index in range(1 + PROBES):
        operators = Operators(trainer.device, trainer.state.tensors())
        trial.iterate(trainer, index, batches=operators.batches(trainer.batches), around=operators)
        works += [operators.work()] if index else []
    if why := difference(works):
        return f"on CUDA iterations with it will be computed eagerly, which is slower than as one graph: {why}"
    return None


def follows_schedules(subject: Subject[Augmentation]) -> str | None:
    """Compare what a discriminator says of pictures that come through it."""

    def compute(subject: Subject[Augmentation]) -> list[Tensor]:
        images = tried_on(subject)[0]
        trial = Trial(Tiny(), registry.get("loss", "bce")(), images, 1, augmentation=subject.make())
        state = trial.begin().state
        state.schedules.begin(Position(0, 0, 0, progress=0))
        torch.default_generator.manual_seed(SEED)
        return [state.seen_by_loss["discriminator"](real_pictures(images, 7))]

    return follow(subject, compute)


def trains(subject: Subject[Augmentation]) -> None:
    """Train an iteration with it before every call of a discriminator."""
    trial = _trial(subject, 1)
    try:
        trial.finish(trial.begin())
    except NonFiniteError as error:
        raise ContractError(
            f"{error.what} is NaN or infinite in an iteration with it: look at its gradients, of roots and divisions"
        ) from error


CHECKS = (
    Check("brings", "It builds what it states that it brings along.", builds_what_it_states, ("defaults",)),
    Check("shape", "Pictures keep their shape, in grey and in colour.", keeps_the_shape, ("brings",)),
    Check("dtype", "Pictures keep their type, float32 or bfloat16.", keeps_the_type, ("shape",)),
    Check("random", "It moves no random state but torch's, and no mode.", leaves_surroundings, ("shape",)),
    Check("seed", "The same seed changes the same pictures in the same way.", follows_the_seed, ("random",)),
    Check("finite", "Pictures stay finite.", stays_finite, ("shape",)),
    Check("gradients", "Gradients flow through it.", lets_gradients_flow, ("random", "finite")),
    Check("adapt", "It adapts to any update, and changes nothing but its own state.", adapts_nothing_else, ("random",)),
    Check("state", "What it remembers stays in buffers, in place.", remembers_in_place, ("adapt",)),
    Check("schedules", "It does the same with a schedule as with a number.", follows_schedules, ("seed",)),
    Check("iteration", "An iteration with it leaves everything finite.", trains, ("dtype", "gradients", "state")),
    Check("resume", "A run resumed after any iteration ends with the same bits.", resumes, ("seed", "iteration")),
    Check(
        "capture",
        "Iterations with it are the same work each time, as a CUDA graph is.",
        repeats_its_work,
        ("iteration",),
    ),
)


def _augmented(subject: Subject[Augmentation], images: Tensor, component: Augmentation | None = None) -> Tensor:
    """Return what the component, by default a new one, makes of pictures in its first state."""
    component = component or subject.live()
    _, channels, height, width = images.shape
    return component.augment(images, build_brought(component, ImageSpec(channels, height, width)))


def _trial(subject: Subject[Augmentation], iterations: int) -> Trial:
    loss: Loss = registry.get("loss", "bce")()
    return Trial(Tiny(), loss, tried_on(subject)[0], iterations, augmentation=subject.make())
