"""Adam, the optimizer of most GANs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveFloat

from ganlab import Optimizer, Scheduled

if TYPE_CHECKING:
    from torch import Tensor

FUSED = ("cpu", "cuda", "mps")
"""Devices for which torch has a kernel that moves all parameters at once."""
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class Adam(Optimizer):
    """Adam (Kingma and Ba 2014), as `torch.optim.Adam` has it, on torch's own kernels."""

    api = 1

    betas: tuple[Scheduled[Fraction], Scheduled[Fraction]] = (0.5, 0.999)
    """How much Adam's running means of the gradient and of its square keep at each step."""
    eps: PositiveFloat = 1e-8
    """Added to Adam's denominator."""

    def state(self, parameter: Tensor) -> dict[str, Tensor]:
        """Return the count of steps, and the running means of the gradient and of its square."""
        import torch

        # Where torch's fused kernels want the count: on a GPU, so that a captured iteration counts, too.
        place = parameter.device if parameter.device.type in FUSED else torch.device("cpu")
        return {
            "step": torch.zeros((), dtype=torch.float32, device=place),
            "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
        }

    def step(
        self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], states: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """Move the parameters by algorithm 1 of the paper."""
        beta1, beta2 = self.betas
        if not (isinstance(beta1, float) and isinstance(beta2, float)):
            self._step_under_changing_betas(parameters, gradients, states)
            return
        # The function, not the class: that imports torch's compiler, which is up to a second of every run's start.
        from torch.optim.adam import adam

        adam(
            [*parameters],
            [*gradients],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=parameters[0].device.type in FUSED,
            capturable=parameters[0].is_cuda,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=self.lr,
            weight_decay=0.0,
            eps=self.eps,
            maximize=False,
        )

    def _step_under_changing_betas(
        self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], states: Sequence[Mapping[str, Tensor]]
    ) -> None:
        """Do the same by single operators: the fused kernel takes betas as the host's numbers, which a graph fixes."""
        beta1, beta2 = self.betas
        for parameter, gradient, state in zip(parameters, gradients, states, strict=True):
            step, m, v = state["step"].add_(1), state["exp_avg"], state["exp_avg_sq"]
            m.mul_(beta1).add_((1 - beta1) * gradient)
            v.mul_(beta2).add_((1 - beta2) * gradient * gradient)
            root = (v / (1 - beta2**step)).sqrt()
            parameter.sub_(self.lr / (1 - beta1**step) * m / (root + self.eps))
