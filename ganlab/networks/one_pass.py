"""Several batches through a network in one pass, each with its own BatchNorm statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from ganlab.interfaces import Iteration

if TYPE_CHECKING:
    from torch import Tensor, nn


def apart(
    network: nn.Module, batches: Sequence[Tensor], condition: tuple[Tensor, ...], iteration: Iteration
) -> tuple[Tensor, ...]:
    """Return what a network makes of each of `batches` by itself: `network(batch, *condition)`.

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
    kinds = [type(layer) for layer in layers]
    try:
        for layer, kind in zip(layers, kinds, strict=True):
            layer.__class__ = _apart(kind, count)  # type: ignore[arg-type]  # for mypy, a class is not hashable
        yield
    finally:
        for layer, kind in zip(layers, kinds, strict=True):
            layer.__class__ = kind


@cache
def _apart(kind: type[nn.modules.batchnorm._BatchNorm], count: int) -> type[nn.modules.batchnorm._BatchNorm]:
    """Return the layer's class with a forward that does this: one class, for torch's compiler knows layers by it."""
    import torch

    def forward(self: nn.modules.batchnorm._BatchNorm, features: Tensor) -> Tensor:
        return torch.cat([kind.forward(self, part) for part in features.chunk(count)])

    return type(kind.__name__, (kind,), {"forward": forward})
