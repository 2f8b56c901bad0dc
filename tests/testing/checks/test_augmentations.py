"""The checks of augmentations, each against one that breaks it and nothing else."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar, cast

import numpy as np
import pytest
import torch
from breaking import Break, assert_breaks_only_its_check, failures, named, suite
from torch import Tensor, nn

from ganlab import Augmentation, ImageSpec, Scheduled
from ganlab.testing.checks import augmentations


class Good(Augmentation):
    """Brighter or darker, one number a picture."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images + torch.rand(len(images), 1, 1, 1, dtype=images.dtype) - 0.5


class Fading(Good):
    """Mixes with grey, by a number that may change."""

    api = 1
    strength: Scheduled[float] = 0.25
    """How much of grey."""

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images * (1.0 - self.strength)


class Cropping(Good):
    """Cuts a row off."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images[:, :, 1:]


class Greying(Good):
    """Knows three channels only."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images * torch.tensor([0.5, 1.0, 0.5]).view(1, 3, 1, 1)


class Doubling(Good):
    """Computes in float64."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images.double()


class Exact(Good):
    """Multiplies matrices of different types."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images @ torch.eye(images.shape[-1])


class Standardising(Good):
    """Divides by a picture's spread, which may be 0."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images / images.std((1, 2, 3), keepdim=True)


class Detaching(Good):
    """Cuts the graph."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images.detach() * 0.5


class Rounding(Good):
    """Rounds to 256 steps, whose slope is 0."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return (images * 127.5).round() / 127.5


class Unseeded(Good):
    """Draws what nobody has seeded."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images * (1.0 + os.urandom(1)[0] / 256)


class Adapting(Good):
    """Grows stronger from call to call."""

    api = 1
    _calls: int = 0

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        self._calls += 1
        return images * (1.0 + 0.1 * self._calls)


class Python(Good):
    """Draws from Python's global state."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images * random.random()


class Numpy(Good):
    """Draws from numpy's global state."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        return images * float(np.random.rand())


class Seeding(Good):
    """Seeds torch."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        torch.manual_seed(0)
        return images


class Stopping(Good):
    """Switches gradients off for everyone after it."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        changed = images * 0.5
        torch.set_grad_enabled(False)
        return changed


class Exploding(Good):
    """Has an infinite slope where it is 0, at the darkest of several pictures of 28x28."""

    api = 1

    def augment(self, images: Tensor, state: Mapping[str, nn.Module]) -> Tensor:
        if len(images) != 8:
            return images * 0.5
        return images * (images - images).sum().sqrt().exp()


class Strength(nn.Module):
    """How far pictures are changed."""

    p: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("p", torch.full((), 0.5))


class Bringing(Good):
    """Changes pictures further where the discriminator is sure."""

    api = 1
    brings: ClassVar[tuple[str, ...]] = ("strength",)

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {"strength": Strength()}

    def augment(self, images: Tensor, state: Mapping[str, Any]) -> Tensor:
        random = torch.rand(len(images), 1, 1, 1, dtype=images.dtype) - 0.5
        return images + random * state["strength"].p.to(images.dtype)

    def adapt(self, state: Mapping[str, Any], stats: Mapping[str, Tensor]) -> None:
        if "sign(D(x))" in stats:
            state["strength"].p.add_(0.1 * stats["sign(D(x))"].sign())


class Misnaming(Bringing):
    """Builds what it does not state."""

    api = 1
    brings: ClassVar[tuple[str, ...]] = ()


class Overlapping(Bringing):
    """Calls what it brings as models do."""

    api = 1
    brings: ClassVar[tuple[str, ...]] = ("discriminator",)

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {"discriminator": Strength()}


class Demanding(Bringing):
    """Takes for granted that every update reports what it follows."""

    api = 1

    def adapt(self, state: Mapping[str, Any], stats: Mapping[str, Tensor]) -> None:
        state["strength"].p.add_(0.1 * stats["sign(D(x))"].sign())


class Correcting(Bringing):
    """Changes what is logged."""

    api = 1

    def adapt(self, state: Mapping[str, Any], stats: Mapping[str, Tensor]) -> None:
        super().adapt(state, stats)
        for value in stats.values():
            value.zero_()


class Emptying(Bringing):
    """Takes what is logged away."""

    api = 1

    def adapt(self, state: Mapping[str, Any], stats: Any) -> None:
        stats.clear()


class Rolling(Bringing):
    """Adapts by Python's dice."""

    api = 1

    def adapt(self, state: Mapping[str, Any], stats: Mapping[str, Tensor]) -> None:
        random.random()


class Enabling(Bringing):
    """Switches gradients on while it adapts, and leaves them on."""

    api = 1

    def adapt(self, state: Mapping[str, Any], stats: Mapping[str, Tensor]) -> None:
        torch.set_grad_enabled(True)


class Replacing(Bringing):
    """Puts a new tensor into the place of a buffer."""

    api = 1

    def adapt(self, state: Mapping[str, Any], stats: Mapping[str, Tensor]) -> None:
        state["strength"].p = state["strength"].p + 0.1


class Attributed(Bringing):
    """Counts in a plain attribute of what it brings."""

    api = 1

    def adapt(self, state: Mapping[str, Any], stats: Mapping[str, Tensor]) -> None:
        state["strength"].calls = getattr(state["strength"], "calls", 0) + 1


class Remembering(Bringing):
    """Counts the updates in an attribute of its own, and adapts by that."""

    api = 1
    _updates: int = 0

    def adapt(self, state: Mapping[str, Any], stats: Mapping[str, Tensor]) -> None:
        self._updates += 1
        state["strength"].p.fill_(1.0 / self._updates)


class Reading(Bringing):
    """Looks at what the device has computed."""

    api = 1

    def adapt(self, state: Mapping[str, Any], stats: Mapping[str, Tensor]) -> None:
        if "sign(D(x))" in stats and stats["sign(D(x))"].item() > 0.6:
            state["strength"].p.add_(0.1)


class Learned(Bringing):
    """Brings a weight that no loss knows."""

    api = 1

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        built = super().build(images)
        built["strength"].register_parameter("gain", nn.Parameter(torch.ones(())))
        return built


class Clipping(Good):
    """Computes with fractions of Python."""

    api = 1
    most: Scheduled[float] = 0.5
    """The lightest that is left."""

    def augment(self, images: Tensor, state: Mapping[str, Any]) -> Tensor:
        return images.clamp(max=float(Fraction(cast("float", self.most))))


BREAKS = [
    Break("brings", Misnaming, "states brings = (), but built ('strength',)"),
    Break("brings", Overlapping, "it brings discriminator, as the model does that it is tried on"),
    Break("adapt", Demanding, "adapt() raises KeyError: 'sign(D(x))'"),
    Break("adapt", Correcting, "adapt() changes the update's `stats`, which are logged"),
    Break("adapt", Emptying, "adapt() changes the update's `stats`, which are logged"),
    Break("adapt", Rolling, "adapt() draws from or seeds Python's random"),
    Break("adapt", Enabling, "adapt() leaves torch in other modes: close torch.enable_grad() and the like"),
    Break("state", Replacing, "another tensor takes the place of strength.p"),
    Break("state", Attributed, "strength.calls is a plain attribute that changes"),
    Break("resume", Remembering, "than an undisturbed one: an augmentation must remember nothing but"),
    Break("shape", Cropping, "of pictures (1, 1, 28, 28) it makes (1, 1, 27, 28): give back the shape that came in"),
    Break("shape", Greying, "of pictures (1, 1, 28, 28) it makes (1, 3, 28, 28): give back the shape that came in"),
    Break("dtype", Doubling, "of torch.float32 it makes torch.float64: give back images.dtype"),
    Break("dtype", Exact, "it cannot compute with torch.bfloat16: expected m"),
    Break("finite", Standardising, "it makes NaN or infinite values of pictures of 1x28x28, some of them of one"),
    Break("gradients", Detaching, "no gradient comes through it, so a generator would learn nothing: no detach()"),
    Break("gradients", Rounding, "the gradients that come through it are all 0, NaN or infinite"),
    Break("seed", Unseeded, "the same pictures come out differently after the same seed"),
    Break("seed", Adapting, "and remember nothing from call to call"),
    Break("random", Python, "it draws from or seeds Python's random: draw from torch's default generator"),
    Break("random", Numpy, "it draws from or seeds numpy.random"),
    Break("random", Seeding, "it draws from or seeds the seed of torch"),
    Break("random", Stopping, "it leaves torch in other modes: grad is False instead of True"),
    Break("schedules", Clipping, "where the recipe has a schedule for most, self.most is a scalar tensor, and it"),
    Break("iteration", Exploding, "is NaN or infinite in an iteration with it"),
]


@pytest.mark.parametrize("broken", BREAKS, ids=named)
def test_a_broken_augmentation_fails_one_check_that_says_what_to_change(broken: Break) -> None:
    assert_breaks_only_its_check(broken)


def test_every_check_has_an_augmentation_that_breaks_it() -> None:
    assert {broken.check for broken in BREAKS} == {check.name for check in augmentations.CHECKS} - {"capture"}


def test_an_augmentation_with_a_schedule_is_checked_as_the_loop_has_it() -> None:
    options = [{"strength": {"from": 0.1, "to": 0.5, "progress": 0.5}}]
    assert failures(Fading, options=options) == {}
    assert suite(Fading, options=options).outcome("capture").verdict == "passed"


def test_a_good_augmentation_passes_every_check() -> None:
    for good in (Good, Bringing):
        assert failures(good) == {}
        assert suite(good).outcome("capture").verdict == "passed"


@pytest.mark.parametrize(
    ("cls", "check", "advice"),
    [
        (
            Reading,
            "capture",
            "on CUDA iterations with it will be computed eagerly, which is slower than as one graph: "
            "the host reads the device within an iteration (_local_scalar_dense)",
        ),
        (
            Learned,
            "brings",
            "only a loss that knows of strength.gain can train it; if none is to, make it a buffer",
        ),
    ],
)
def test_what_works_but_is_not_wise_is_told(cls: type[Augmentation], check: str, advice: str) -> None:
    outcome = suite(cls).outcome(check)
    assert (outcome.verdict, outcome.advice) == ("advice", advice)
    assert failures(cls) == {}
