"""One iteration of a loss, eagerly: the host differentiates and steps between the loss's yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor

from ganlab.errors import PluginError
from ganlab.interfaces import Batch, Iteration, Loss, Update
from ganlab.registry import registry
from ganlab.training.ranks import Ranks
from ganlab.training.state import State
from ganlab.training.statistics import networks_of


class _Modes(NamedTuple):
    """The modes of torch that a loss must leave as it found them."""

    grad: bool
    autocast: bool
    inference: bool


def run_iteration(
    loss: Loss,
    state: State,
    batches: Iterator[Batch],
    iteration: Iteration,
    autocast: Callable[[], AbstractContextManager[object]],
    observe: Callable[[Update, Tensor], None],
    ranks: Ranks,
) -> None:
    """Run the updates of one iteration in the order in which the loss yields them.

    `observe` gets each update and the norm of its gradient.
    """
    updates = loss.updates(state.seen_by_loss, batches, iteration)
    while True:
        # Entered anew for every update: autocast keeps the half-precision copies of the weights it has seen,
        # and a later update must not see the weights from before the step.
        with autocast():
            before = _modes()
            update = next(updates, None)
            after = _modes()
        if before != after:
            _leave(before)
            raise PluginError(
                f"{registry.title(loss)} changed torch's grad or autocast mode across a yield ({before} became "
                f"{after}); close `with torch.no_grad()` and the like before each yield"
            )
        if update is None:
            return
        observe(update, _step(loss, state, update, ranks))


def _step(loss: Loss, state: State, update: Update, ranks: Ranks) -> Tensor:
    """Differentiate the update's loss for its networks' weights alone, step their optimizers, return the norm."""
    names = networks_of(update)
    _check(loss, state, update, names)
    optimizers = [state.optimizers[name] for name in names]
    # Only these: the weight gradients of the other networks would be computed and thrown away.
    parameters: list[Tensor] = [p for optimizer in optimizers for p in optimizer.param_groups[0]["params"]]
    torch.autograd.backward(update.loss, inputs=parameters)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    ranks.average(gradients)
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return norm


def _check(loss: Loss, state: State, update: Update, names: tuple[str, ...]) -> None:
    if unknown := [name for name in names if name not in state.optimizers]:
        raise PluginError(f"{registry.title(loss)} updates {unknown}, but states networks = {tuple(state.optimizers)}")
    if update.loss.numel() != 1:
        raise PluginError(
            f"{registry.title(loss)} yields a loss of shape {tuple(update.loss.shape)}; it must be one number"
        )
    if not update.loss.requires_grad:
        raise PluginError(
            f"{registry.title(loss)} yields a loss for {', '.join(names)} that depends on no trainable weight"
        )


def _modes() -> _Modes:
    autocast = torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
    return _Modes(torch.is_grad_enabled(), autocast, torch.is_inference_mode_enabled())


def _leave(modes: _Modes) -> None:
    torch.set_grad_enabled(modes.grad)
