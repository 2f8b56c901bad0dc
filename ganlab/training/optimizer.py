"""The parameters of a network, and what its optimizer remembers of each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganlab.errors import PluginError
from ganlab.interfaces import Optimizer
from ganlab.registry.lookup import registry


class Optimized:
    """Parameters that an optimizer moves, with the state of each; its schedules have been made tensors."""

    def __init__(self, parameters: Sequence[nn.Parameter], optimizer: Optimizer, device: torch.device) -> None:
        self.parameters = parameters
        lr = optimizer.lr
        self.lr = lr if isinstance(lr, Tensor) else torch.tensor(lr, dtype=rate_dtype(device), device=device)
        """The learning rate, on the device, so that a captured iteration reads it there."""
        self._optimizer = optimizer.model_copy(update={"lr": self.lr})
        self.state = {parameter: _state(optimizer, parameter) for parameter in parameters}
        """Made before the first step, so that a checkpoint always has the same tensors."""

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters that have a gradient, and forget the gradients."""
        moved = [(parameter, parameter.grad) for parameter in self.parameters if parameter.grad is not None]
        if moved:
            parameters, gradients = zip(*moved, strict=True)
            self._optimizer.step(parameters, gradients, [self.state[parameter] for parameter in parameters])
        self.forget_gradients()

    def forget_gradients(self) -> None:
        """Let the next gradient not be added to this one."""
        for parameter in self.parameters:
            parameter.grad = None


def rate_dtype(device: torch.device) -> torch.dtype:
    """Return the type of an optimizer's numbers: CUDA's kernels take float32, the CPU's the recipe's own float64."""
    return torch.float64 if device.type == "cpu" else torch.float32


@torch.no_grad()
def _state(optimizer: Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    state = optimizer.state(parameter)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise PluginError(
            f"{registry.title(optimizer)} remembers {type(state).__name__} of a parameter: state() must return a "
            "dict of tensors by name"
        )
    return state
