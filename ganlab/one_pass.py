"""Several batches through a network in one pass, each with its own BatchNorm statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from ganlab.interfaces import Iteration

if TYPE_CHECKING:
    from torch import Tensor, nn


def apart(
    network: nn.Module, batches: Sequence[Tensor], condition: tuple[Tensor, ...], iteration: Iteration
) -> tuple[Tensor, ...]:
    """Return what a network makes of each batch of pictures by itself: `network(batch, *condition)` for each.

    Where the host lets them (`Iteration.one_pass`), batches of one size go through it together, which takes half the
    launches of two passes: each is still normalised by its own statistics, and moves the running ones in its turn.
    """
    # A penalty that differentiates by the pictures of one batch would do so through all of them.
    together = iteration.one_pass and len({len(batch) for batch in batches}) == 1
    if not together or any(batch.requires_grad for batch in batches):
        return tuple(network(batch, *condition) for batch in batches)
    import torch

    with _normalised_apart(network, len(batches)):
        made: Tensor = network(torch.cat([*batches]), *(torch.cat([values] * len(batches)) for values in condition))
    return made.chunk(len(batches))


@contextmanager
def _normalised_apart(network: nn.Module, count: int) -> Iterator[None]:
    """Let BatchNorm layers take what they get for so many batches."""
    from torch import nn

    layers = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    try:
        for layer in layers:
            layer.forward = partial(_each, layer, count)  # type: ignore[method-assign]  # of this layer, for this pass
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _each(layer: nn.modules.batchnorm._BatchNorm, count: int, features: Tensor) -> Tensor:
    import torch

    return torch.cat([type(layer).forward(layer, part) for part in features.chunk(count)])
