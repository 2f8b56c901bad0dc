"""The moving average of the generator's weights, and the generator that is sampled and shipped."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ganlab.interfaces import Position
from ganlab.networks.shipment import named_parameters
from ganlab.recipe.schedules import number_at

if TYPE_CHECKING:
    from ganlab.recipe.settings import MovingAverage as Options

WARM_UP = 0.05
"""The half-life at most, as a share of the pictures so far: `ema_rampup_ratio` of Karras et al. 2022."""


class MovingAverage:
    """An exponential moving average of a generator's parameters, measured in pictures, with warm-up."""

    def __init__(self, generator: nn.Module, options: Options, batch_size: int) -> None:
        """`batch_size` is how many pictures an iteration counts."""
        self._options, self._batch_size = options, batch_size
        self._names = [name for name, _ in named_parameters(generator)]
        self._live: list[Tensor] = list(generator.parameters())
        self._average = [parameter.detach().clone(memory_format=torch.preserve_format) for parameter in self._live]

        self._half_life: float | None = None
        self._weight = torch.zeros((), device=self._live[0].device)
        """How much of the live weights the next update takes: on the device, so that a captured iteration reads it."""

    def begin(self, position: Position) -> None:
        """Tell the device where in the training the next iteration stands."""
        half_life = number_at(self._options.half_life_images, position)
        if self._options.warm_up:
            half_life = min(half_life, WARM_UP * position.iterations * self._batch_size)
        if half_life != self._half_life:
            # 1 - 2^(-batch / half-life), without the digits that a difference from nearly 1 loses.
            weight = -math.expm1(-math.log(2) * self._batch_size / half_life) if half_life else 1.0
            self._weight.fill_(weight)
            self._half_life = half_life

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the weights: average + weight (weights - average)."""
        if self._weight.is_cuda:
            # Three launches, however many tensors there are.
            difference = torch._foreach_sub(self._live, self._average)
            torch._foreach_mul_(difference, self._weight)
            torch._foreach_add_(self._average, difference)
        else:
            # The weights are read once instead of three times.
            torch._foreach_lerp_(self._average, self._live, [self._weight] * len(self._average))

    @torch.no_grad()
    def restart(self) -> None:
        """Take the weights as they are now for the average."""
        for average, live in zip(self._average, self._live, strict=True):
            average.copy_(live)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the averaged parameters by their names in a file."""
        yield from zip(self._names, self._average, strict=True)

    @torch.no_grad()
    def copy_to(self, generator: nn.Module) -> None:
        """Overwrite the parameters of a copy of the generator."""
        for parameter, value in zip(generator.parameters(), self._average, strict=True):
            parameter.copy_(value)


def shipped_copy(generator: nn.Module, average: MovingAverage | None) -> nn.Module:
    """Return a copy in eval mode, with averaged weights where there is an average; draws no random numbers."""
    copied = copy.deepcopy(generator).eval().requires_grad_(False)
    if average is not None:
        average.copy_to(copied)
    return copied


class _EnoughError(Exception):
    """All BatchNorm layers have seen the batch; what a generator makes of it from there on is not needed."""


@torch.no_grad()
def reestimate_batchnorm(generator: nn.Module, inputs: Iterator[tuple[Tensor, ...]]) -> None:
    """Set the running statistics of a generator's BatchNorm layers to their means over `inputs`, in place.

    The statistics of the trained weights do not fit the averaged ones. Only BatchNorm layers are put into
    training mode, so that dropout stays off. From the second batch on, a generator that calls them as often as
    before is left after the last one: the layers behind it, next to the picture, are a seventh of a DCGAN's time.
    """
    layers = [layer for layer in generator.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    layers = [layer for layer in layers if layer.track_running_stats]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    calls: Counter[nn.Module] = Counter()
    in_a_batch = enough = 0

    def before(layer: Any, _: object) -> None:
        # A mean, in which each batch weighs the same. With momentum = None, torch reads the count from the device.
        calls[layer] += 1
        layer.momentum = 1.0 / calls[layer]

    def after(*_: object) -> None:
        if calls.total() == enough:
            raise _EnoughError

    with ExitStack() as hooks:
        for layer in layers:
            layer.reset_running_stats()
            layer.train()
            hooks.callback(layer.register_forward_pre_hook(before).remove)
            hooks.callback(layer.register_forward_hook(after).remove)
        for batch in inputs:
            begun = calls.total()
            enough = begun + in_a_batch
            with suppress(_EnoughError):
                generator(*batch)
            in_a_batch = calls.total() - begun
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()
