"""The checks of augmentations, each against one that breaks it and nothing else."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
import torch
from breaking import Break, assert_breaks_only_its_check, failures, named
from torch import Tensor

from ganlab import Augmentation
from ganlab.testing.checks import augmentations


class Good(Augmentation):
    """Brighter or darker, one number a picture."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        return images + torch.rand(len(images), 1, 1, 1, dtype=images.dtype) - 0.5


class Cropping(Good):
    """Cuts a row off."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        return images[:, :, 1:]


class Greying(Good):
    """Knows three channels only."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        return images * torch.tensor([0.5, 1.0, 0.5]).view(1, 3, 1, 1)


class Doubling(Good):
    """Computes in float64."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        return images.double()


class Exact(Good):
    """Multiplies matrices of different types."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        return images @ torch.eye(images.shape[-1])


class Standardising(Good):
    """Divides by a picture's spread, which may be 0."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        return images / images.std((1, 2, 3), keepdim=True)


class Detaching(Good):
    """Cuts the graph."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        return images.detach() * 0.5


class Rounding(Good):
    """Rounds to 256 steps, whose slope is 0."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        return (images * 127.5).round() / 127.5


class Unseeded(Good):
    """Draws what nobody has seeded."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        return images * (1.0 + os.urandom(1)[0] / 256)


class Adapting(Good):
    """Grows stronger from call to call."""

    api = 1
    _calls: int = 0

    def augment(self, images: Tensor) -> Tensor:
        self._calls += 1
        return images * (1.0 + 0.1 * self._calls)


class Python(Good):
    """Draws from Python's global state."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        return images * random.random()


class Numpy(Good):
    """Draws from numpy's global state."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        return images * float(np.random.rand())


class Seeding(Good):
    """Seeds torch."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        torch.manual_seed(0)
        return images


class Stopping(Good):
    """Switches gradients off for everyone after it."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        changed = images * 0.5
        torch.set_grad_enabled(False)
        return changed


class Exploding(Good):
    """Has an infinite slope where it is 0, at the darkest of several pictures of 28x28."""

    api = 1

    def augment(self, images: Tensor) -> Tensor:
        if len(images) != 8:
            return images * 0.5
        return images * (images - images).sum().sqrt().exp()


BREAKS = [
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
    Break("iteration", Exploding, "is NaN or infinite in an iteration with it"),
]


@pytest.mark.parametrize("broken", BREAKS, ids=named)
def test_a_broken_augmentation_fails_one_check_that_says_what_to_change(broken: Break) -> None:
    assert_breaks_only_its_check(broken)


def test_every_check_has_an_augmentation_that_breaks_it() -> None:
    assert {broken.check for broken in BREAKS} == {check.name for check in augmentations.CHECKS}


def test_a_good_augmentation_passes_every_check() -> None:
    assert failures(Good) == {}
