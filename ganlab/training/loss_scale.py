"""The loss scale of fp16: losses are multiplied so that small gradients do not vanish, as far as none overflows."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

START = 2.0**16
"""As `torch.amp.GradScaler`, like the two below."""
GROWS_AFTER = 2000
"""Updates in a row without an overflow after which the scale doubles. It halves at each overflow."""
LEAST = 1.0
"""A gradient that overflows at this scale is not the scale's fault: it is let through, and stops the run."""


class LossScale:
    """A power of two that follows the gradients (Micikevicius et al. 2018, section 3.2), on the device alone.

    So a captured iteration follows it, too, and no update waits for the host. An update whose gradient has
    overflowed gets a gradient of 0 instead of being left out, which any optimizer can do.
    """

    def __init__(self, device: torch.device) -> None:
        self._scale = torch.tensor(START, device=device)
        self._fine_updates = torch.zeros((), dtype=torch.int32, device=device)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield what a checkpoint holds, by name."""
        yield "scale", self._scale
        yield "fine_updates", self._fine_updates

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss times the scale."""
        return loss * self._scale

    @torch.no_grad()
    def unscale(self, gradients: list[Tensor]) -> None:
        """Divide the gradients of a scaled loss by the scale, in place."""
        torch._foreach_mul_(gradients, self._scale.reciprocal())

    @torch.no_grad()
    def follow(self, gradients: list[Tensor], norm: Tensor) -> None:
        """Adapt the scale to the norm of all gradients together; make gradients and norm 0 where it is not finite."""
        overflowed = ~norm.isfinite() & (self._scale > LEAST)
        for tensor in (*gradients, norm):
            tensor.masked_fill_(overflowed, 0.0)
        self._fine_updates.add_(1).masked_fill_(overflowed, 0)
        grows = self._fine_updates >= GROWS_AFTER
        self._fine_updates.masked_fill_(grows, 0)
        self._scale.mul_(torch.where(overflowed, 0.5, torch.where(grows, 2.0, 1.0)))
