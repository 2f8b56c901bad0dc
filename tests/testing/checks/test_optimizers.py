"""The checks of optimizers, each against one that breaks it and nothing else."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from breaking import Break, assert_breaks_only_its_check, failures, named, suite
from optimizers import Lion, RMSprop
from torch import Tensor

from ganlab import Optimizer, Scheduled
from ganlab.standard.optimizers.adam import Adam
from ganlab.testing.checks import optimizers

Many = Sequence[Tensor]
States = Sequence[Mapping[str, Tensor]]


class Good(Optimizer):
    """Momentum."""

    api = 1

    def state(self, parameter: Tensor) -> dict[str, Tensor]:
        return {"velocity": torch.zeros_like(parameter)}

    def step(self, parameters: Many, gradients: Many, states: States) -> None:
        for parameter, gradient, state in zip(parameters, gradients, states, strict=True):
            parameter.sub_(self.lr * self.direction(gradient, state["velocity"]))

    def direction(self, gradient: Tensor, velocity: Tensor) -> Tensor:
        return velocity.mul_(0.5).add_(gradient)


class Rows(Good):
    """Remembers in rows what lies channel by channel."""

    api = 1

    def state(self, parameter: Tensor) -> dict[str, Tensor]:
        return {"velocity": torch.zeros(parameter.shape)}


class Numbers(Good):
    """Remembers a number."""

    api = 1

    def state(self, parameter: Tensor) -> dict[str, Tensor]:
        remembered: Any = {"velocity": torch.zeros_like(parameter), "steps": 0}
        return remembered


class Endless(Good):
    """Begins at infinity."""

    api = 1

    def state(self, parameter: Tensor) -> dict[str, Tensor]:
        return super().state(parameter) | {"least": torch.full((), torch.inf)}


ONE = torch.zeros(())


class Sharing(Good):
    """Counts all parameters' steps in one tensor."""

    api = 1

    def state(self, parameter: Tensor) -> dict[str, Tensor]:
        return super().state(parameter) | {"steps": ONE}


class Replacing(Good):
    """Puts a new tensor into the state."""

    api = 1

    def step(self, parameters: Many, gradients: Many, states: States) -> None:
        for parameter, gradient, state in zip(parameters, gradients, states, strict=True):
            writable: Any = state
            writable["velocity"] = 0.5 * state["velocity"] + gradient
            parameter.sub_(self.lr * state["velocity"])


class First(Good):
    """Forgets the last parameter."""

    api = 1

    def step(self, parameters: Many, gradients: Many, states: States) -> None:
        super().step(parameters[:-1], gradients[:-1], states[:-1])


class Elsewhere(Good):
    """Gives parameters other memory."""

    api = 1

    def step(self, parameters: Many, gradients: Many, states: States) -> None:
        super().step(parameters, gradients, states)
        for parameter in parameters:
            parameter.data = parameter.data.clone()


class Dividing(Good):
    """Divides by what is 0 at first."""

    api = 1

    def direction(self, gradient: Tensor, velocity: Tensor) -> Tensor:
        return super().direction(gradient, velocity) / (velocity - velocity)


class Fixed(Good):
    """Has a rate of its own."""

    api = 1

    def step(self, parameters: Many, gradients: Many, states: States) -> None:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(0.01 * gradient)


class Python(Good):
    """Draws from Python's global state, for nothing."""

    api = 1

    def direction(self, gradient: Tensor, velocity: Tensor) -> Tensor:
        random.random()
        return super().direction(gradient, velocity)


class Scaling(Good):
    """Changes the gradients."""

    api = 1

    def direction(self, gradient: Tensor, velocity: Tensor) -> Tensor:
        return super().direction(gradient.clamp_(-0.5, 0.5), velocity)


class Doubling(Good):
    """Changes what type new tensors have."""

    api = 1

    def step(self, parameters: Many, gradients: Many, states: States) -> None:
        super().step(parameters, gradients, states)
        torch.set_default_dtype(torch.float64)


class Remembering(Good):
    """Remembers beside the state."""

    api = 1
    _steps: int = 0

    def direction(self, gradient: Tensor, velocity: Tensor) -> Tensor:
        self._steps += 1
        return super().direction(gradient, velocity) * (1 + 0.01 * min(self._steps, 20))


class Unseeded(Good):
    """Draws what nobody has seeded."""

    api = 1

    def direction(self, gradient: Tensor, velocity: Tensor) -> Tensor:
        return super().direction(gradient, velocity) * (1 + os.urandom(1)[0] / 256)


class Flat(Good):
    """Takes weights for what lies in rows."""

    api = 1

    def direction(self, gradient: Tensor, velocity: Tensor) -> Tensor:
        place = torch.arange(gradient.numel()).as_strided(gradient.shape, gradient.stride())
        return super().direction(gradient, velocity) * (1 + place / gradient.numel())


class Uphill(Good):
    """Has the sign wrong."""

    api = 1

    def direction(self, gradient: Tensor, velocity: Tensor) -> Tensor:
        return -super().direction(gradient, velocity)


class Bold(Good):
    """Explodes over many gradients, such as those of a network."""

    api = 1

    def direction(self, gradient: Tensor, velocity: Tensor) -> Tensor:
        return super().direction(gradient, velocity) * (torch.inf if gradient.numel() > 100 else 1.0)


class Counting(Good):
    """Takes a number for what may be a tensor."""

    api = 1
    momentum: Scheduled[float] = 0.5
    """How much goes on."""

    def direction(self, gradient: Tensor, velocity: Tensor) -> Tensor:
        return velocity.mul_(self.momentum if isinstance(self.momentum, float) else 0.9).add_(gradient)


BREAKS = [
    Break("state", Rows, "its velocity lies in memory otherwise than the parameter, (12, 4, 2, 1) for (12, 1, 6, 3)"),
    Break("state", Numbers, "remembers dict of a parameter: state() must return a dict of tensors by name"),
    Break("state", Endless, "its least holds NaN or infinite values before the first step"),
    Break("state", Sharing, "parameters share their state: make new tensors in each call of state()"),
    Break("state", Replacing, "step() puts other tensors into the state: change those that are there, in place"),
    Break("step", First, "step() leaves a parameter where it was"),
    Break("step", Elsewhere, "step() gives parameters other memory: move them in place"),
    Break("step", Dividing, "a parameter is NaN or infinite after 1 steps: look for divisions by 0"),
    Break("lr", Fixed, "it moves parameters at a learning rate of 0: multiply each step by self.lr"),
    Break("random", Python, "it draws from or seeds Python's random"),
    Break("random", Scaling, "step() changes the gradients, which may be shared: compute with copies"),
    Break("random", Doubling, "it leaves torch in other modes"),
    Break("resume", Remembering, "remember nothing but what state() has returned"),
    Break("resume", Unseeded, "ends with other parameters or another state"),
    Break("layout", Flat, "parameters that lie channel by channel are moved otherwise than those in rows"),
    Break("schedules", Counting, "with a schedule for momentum that stays at its number it computes something else"),
    Break("optimum", Uphill, "does it find the bottom of a bowl in 400 steps"),
    Break("iteration", Bold, "is NaN or infinite after 4 iterations with its own options"),
]


@pytest.mark.parametrize("broken", BREAKS, ids=named)
def test_a_broken_optimizer_fails_one_check_that_says_what_to_change(broken: Break) -> None:
    assert_breaks_only_its_check(broken)


class Looking(Good):
    """Looks at the device to decide."""

    api = 1

    def direction(self, gradient: Tensor, velocity: Tensor) -> Tensor:
        moved = super().direction(gradient, velocity)
        return moved / 10 if moved.norm() > 1e6 else moved


def test_what_reads_the_device_is_told_that_it_will_be_slow() -> None:
    outcome = suite(Looking).outcome("capture")
    assert outcome.verdict == "advice"
    assert "the host reads the device within an iteration (" in outcome.advice
    assert failures(Looking) == {}


def test_every_check_has_an_optimizer_that_breaks_it() -> None:
    assert {broken.check for broken in BREAKS} | {"capture"} == {check.name for check in optimizers.CHECKS}


@pytest.mark.parametrize("cls", [Good, Adam, RMSprop, Lion])
def test_a_good_optimizer_passes_every_check(cls: type[Optimizer]) -> None:
    assert failures(cls) == {}
    assert suite(cls).outcome("capture").verdict == "passed"
