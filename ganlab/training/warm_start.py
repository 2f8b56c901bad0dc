"""A training that begins with the weights of another: of each network, the tensors that fit by name and shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ganlab.training.state import State


class Fitted(NamedTuple):
    """How much of a network was there already."""

    network: str
    taken: int
    """Tensors that were taken."""
    tensors: int
    """Tensors that the network has."""


@torch.no_grad()
def fill(state: State, saved: Mapping[str, Mapping[str, Tensor]]) -> list[Fitted] | None:
    """Copy what fits of `saved`, tensors by network and name, into a freshly built state; return how much that was.

    None where no weight fits, and only then is the state as it was. A moving average starts at the weights taken.
    """
    # The generator first: where it shares weights with another network, they are what samples and exports have shown.
    order = sorted(state.networks, key=lambda network: network != "generator")
    copies: dict[int, tuple[Tensor, Tensor]] = {}
    tensors: dict[str, set[int]] = {}
    weights: set[int] = set()
    for network in order:
        module, known = state.networks[network], saved.get(network, {})
        weights |= {id(parameter) for parameter in module.parameters()}
        own = module.state_dict(keep_vars=True)
        tensors[network] = {id(tensor) for tensor in own.values()}
        for name, tensor in own.items():
            found = known.get(name)
            if found is not None and found.shape == tensor.shape and found.dtype == tensor.dtype:
                copies.setdefault(id(tensor), (tensor, found))
    if not weights & copies.keys():
        return None
    for target, value in copies.values():
        target.copy_(value)
    if state.average is not None:
        state.average.restart()
    return [Fitted(name, len(tensors[name] & copies.keys()), len(tensors[name])) for name in state.networks]
