"""Adam (Kingma and Ba 2014) on torch's own kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

if TYPE_CHECKING:
    from ganlab.recipe.settings import Optimizer


class Adam:
    """What `torch.optim.Adam` does, by torch's function for it.

    Its class imports torch's compiler when it is made, which is up to a second of every run's start.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], options: Optimizer, device: torch.device) -> None:
        self.parameters, self._options = parameters, options
        self._fused, self._capturable = device.type in ("cpu", "cuda"), device.type == "cuda"
        # On the device, so that a captured iteration reads it there. The kernel takes it as float32 on CUDA.
        dtype = torch.float64 if device.type == "cpu" else torch.float32
        self._lr = torch.tensor(options.lr, dtype=dtype, device=device) if self._fused else options.lr
        place = device if self._capturable else torch.device("cpu")
        self.state = {
            parameter: {
                "step": torch.zeros((), dtype=torch.float32, device=place),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }
            for parameter in parameters
        }
        """Made before the first step, so that a checkpoint always has the same tensors."""

    def set_learning_rate(self, value: float) -> None:
        """Use another learning rate from the next step on."""
        if isinstance(self._lr, Tensor):
            self._lr.fill_(value)
        else:
            self._lr = value

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters that have a gradient, and forget the gradients."""
        moved = [parameter for parameter in self.parameters if parameter.grad is not None]
        states = [self.state[parameter] for parameter in moved]
        adam(
            [*moved],
            [parameter.grad for parameter in moved if parameter.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=self._fused,
            capturable=self._capturable,
            amsgrad=False,
            beta1=self._options.betas[0],
            beta2=self._options.betas[1],
            lr=self._lr,
            weight_decay=0.0,
            eps=self._options.eps,
            maximize=False,
        )
        self.forget_gradients()

    def forget_gradients(self) -> None:
        """Let the next gradient not be added to this one."""
        for parameter in self.parameters:
            parameter.grad = None
