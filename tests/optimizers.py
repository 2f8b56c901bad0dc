"""Optimizers that a plugin could bring, as the papers have them, and weights and gradients to try any with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from ganlab import Optimizer

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
RATES = [3e-3, 3e-3, 1e-3, 5e-4, 5e-4]
"""The learning rate of each step."""


def weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    convolution = torch.randn(4, 3, 2, 2, generator=generator).to(memory_format=torch.channels_last)
    return [nn.Parameter(convolution), nn.Parameter(torch.randn(5, generator=generator))]


def give_gradients(parameters: Sequence[nn.Parameter], step: int) -> None:
    """Give each a gradient, except for the last one at step 2."""
    generator = torch.Generator().manual_seed(100 + step)
    for number, parameter in enumerate(parameters):
        gradient = torch.empty_like(parameter).normal_(generator=generator)
        parameter.grad = None if (step, number) == (2, 1) else gradient


class RMSprop(Optimizer):
    """Tieleman and Hinton 2012, as `torch.optim.RMSprop` has it."""

    api = 1
    alpha: Fraction = 0.99
    """How much the mean square keeps at each step."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator."""

    def state(self, parameter: Tensor) -> dict[str, Tensor]:
        return {"square_avg": torch.zeros_like(parameter)}

    def step(
        self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], states: Sequence[Mapping[str, Tensor]]
    ) -> None:
        for parameter, gradient, state in zip(parameters, gradients, states, strict=True):
            square = state["square_avg"].mul_(self.alpha).addcmul_(gradient, gradient, value=1 - self.alpha)
            parameter.sub_(self.lr * gradient / (square.sqrt() + self.eps))


class Lion(Optimizer):
    """Chen et al. 2023, algorithm 2."""

    api = 1
    betas: tuple[Fraction, Fraction] = (0.9, 0.99)
    """How much of the mean is in a step, and how much it keeps."""
    weight_decay: NonNegativeFloat = 0.0
    """How much of the weights goes at each step, times the learning rate."""

    def state(self, parameter: Tensor) -> dict[str, Tensor]:
        return {"mean": torch.zeros_like(parameter)}

    def step(
        self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], states: Sequence[Mapping[str, Tensor]]
    ) -> None:
        for parameter, gradient, state in zip(parameters, gradients, states, strict=True):
            direction = torch.lerp(gradient, state["mean"], self.betas[0]).sign()
            parameter.sub_(self.lr * (direction + self.weight_decay * parameter))
            state["mean"].lerp_(gradient, 1 - self.betas[1])
