"""What losses and augmentations bring along: that they build what they state, and keep what they remember in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ganlab.errors import PluginError
from ganlab.interfaces import Augmentation, ImageSpec, Loss, Model
from ganlab.testing.subject import ContractError
from ganlab.testing.surroundings import SEED, moved, random_states
from ganlab.training.brought import build_brought

HOST = frozenset(vars(nn.Module()))
"""Attributes that every module has."""


def built_as_stated(component: Loss | Augmentation, model: Model, images: ImageSpec) -> None:
    """Build twice after the same seed; hold the names, the values and the random states to what is promised."""
    if taken := [name for name in component.brings if name in model.networks]:
        raise ContractError(
            f"it brings {' and '.join(taken)}, as the model does that it is tried on: choose other names for `brings`"
        )
    before, builds = random_states(), []
    for _ in range(2):
        torch.default_generator.manual_seed(SEED)
        try:
            builds.append(_values(build_brought(component, images)))
        except PluginError as error:
            raise ContractError(str(error)) from error
    for name, value in builds[0].items():
        if name not in builds[1] or not torch.equal(value, builds[1][name]):
            raise ContractError(
                f"{name} differs between two builds after the same seed: draw it from torch's default generator alone"
            )
    # The suite has seeded torch with this very seed before.
    if states := moved(before, torch_may_draw=True):
        raise ContractError(
            f"build() draws from or seeds {' and '.join(states)}: draw from torch's default generator, which the run "
            "has seeded, and never seed it"
        )


class Memory:
    """What modules hold at one moment."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._modules = modules
        self._tensors = _tensors(modules)
        self._forms = {name: _form(tensor) for name, tensor in self._tensors.items()}
        self._trained = {name for name, tensor in self._tensors.items() if tensor.requires_grad}
        self._values = {name: tensor.detach().clone() for name, tensor in self._tensors.items()}
        self._attributes = _attributes(modules)

    def hold(self) -> None:
        """Raise `ContractError` where something has changed since that no checkpoint and no captured iteration has."""
        now, saved = _tensors(self._modules), set(_values(self._modules))
        for name in {**self._tensors, **now}:
            if now.get(name) is not self._tensors.get(name) or _form(now[name]) != self._forms[name]:
                raise ContractError(
                    f"another tensor takes the place of {name}, or another shape, type or device: register it in "
                    "build(), and write into it in place, as with copy_(), add_() or lerp_() under torch.no_grad()"
                )
            if now[name].requires_grad and name not in self._trained:
                raise ContractError(f"what is written into {name} has a graph: write into it under torch.no_grad()")
            if name not in saved and not torch.equal(now[name], self._values[name]):
                raise ContractError(f"{name} changes, and no checkpoint has it: register it without persistent=False")
            if now[name].is_floating_point() and not torch.isfinite(now[name]).all():
                raise ContractError(f"{name} becomes NaN or infinite: look for divisions by 0, and bound what grows")
        attributes = _attributes(self._modules)
        for name in {**self._attributes, **attributes}:
            if attributes.get(name) != self._attributes.get(name):
                raise ContractError(
                    f"{name} is a plain attribute that changes, which no checkpoint has: make it a buffer, "
                    "register_buffer(name, torch.zeros(())), and write into that in place"
                )


def idle_weights(modules: Mapping[str, nn.Module], train: Callable[[], object]) -> list[str]:
    """Return the names of the modules' trainable weights that get no gradient while `train` runs."""
    weights = {
        f"{name}.{key}": weight
        for name, module in modules.items()
        for key, weight in module.named_parameters()
        if weight.requires_grad
    }
    used: set[int] = set()
    for weight in weights.values():
        weight.register_post_accumulate_grad_hook(lambda used_one: used.add(id(used_one)))  # type: ignore[no-untyped-call]
    train()
    return [name for name, weight in weights.items() if id(weight) not in used]


def _tensors(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, module in modules.items():
        found |= {f"{name}.{key}": value for key, value in (*module.named_parameters(), *module.named_buffers())}
    return found


def _values(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Return what a checkpoint has of the modules."""
    return {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}


def _form(tensor: Tensor) -> tuple[object, ...]:
    return tuple(tensor.shape), tensor.dtype, tensor.device


def _attributes(modules: Mapping[str, nn.Module]) -> dict[str, str]:
    """Return the plain attributes of the modules and of those within them, as text."""
    return {
        ".".join(filter(None, (name, inner, key))): repr(value)
        for name, module in modules.items()
        for inner, layer in module.named_modules()
        for key, value in vars(layer).items()
        if key not in HOST
    }
