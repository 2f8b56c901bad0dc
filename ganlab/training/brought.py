"""What the loss and the augmentation bring along: modules beside the model's networks, and the state in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganlab.distributed.ranks import Ranks
from ganlab.errors import PluginError
from ganlab.interfaces import Augmentation, ImageSpec, Loss, Update
from ganlab.registry.lookup import registry

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe
    from ganlab.training.schedules import Schedules


class Brought:
    """The modules that come with a recipe's loss and augmentation, by name, and what the host does with them."""

    def __init__(self, parts: Sequence[tuple[Loss | Augmentation, Mapping[str, nn.Module]]] = ()) -> None:
        """`parts` are the components, each with what it has built."""
        self.modules = {name: module for _, built in parts for name, module in built.items()}
        self._owners = {name: component for component, built in parts for name in built}
        self._augmentation: Augmentation | None = None
        self._augmented_by: Mapping[str, nn.Module] = {}
        for component, built in parts:
            if isinstance(component, Augmentation):
                self._augmentation, self._augmented_by = component, built
        self._held: dict[str, Tensor] = {}
        self._trained: frozenset[str] = frozenset()

    def settle(self) -> None:
        """Remember which tensors hold the state, now that they lie where they stay: what no optimizer moves."""
        self._trained = frozenset(name for name, value in self._tensors().items() if value.requires_grad)
        self._held = self._state()

    def seen_by_loss(self, networks: Mapping[str, nn.Module]) -> Mapping[str, nn.Module]:
        """Return all networks as the loss calls them: the discriminator behind the recipe's augmentation."""
        if self._augmentation is None:
            return networks
        augmented = _Augmented(networks["discriminator"], self._augmentation, self._augmented_by)
        return {**networks, "discriminator": augmented}

    @torch.no_grad()
    def adapt(self, update: Update) -> None:
        """Let the augmentation follow what an update has reported."""
        if self._augmentation is not None:
            self._augmentation.adapt(self._augmented_by, {name: value.detach() for name, value in update.stats.items()})

    def agree(self, ranks: Ranks) -> None:
        """Make the state equal on all ranks. Raise `PluginError` where it is not in the tensors that held it before.

        A new tensor in a buffer's place is one that a captured iteration never reads and a checkpoint may not fit.
        """
        now = self._state()
        for name in {**self._held, **now}:
            if now.get(name) is not self._held.get(name):
                raise PluginError(
                    f"{self._owner(name)} puts another tensor into the place of {name}, which it brings along: "
                    "register it in build(), and write into it in place, as with copy_(), add_() or lerp_() under "
                    "torch.no_grad()"
                )
            if now[name].requires_grad:
                raise PluginError(
                    f"{self._owner(name)} writes into {name}, which it brings along, what has a graph: write into it "
                    "under torch.no_grad()"
                )
        ranks.agree(list(now.values()))

    def _state(self) -> dict[str, Tensor]:
        return {name: value for name, value in self._tensors().items() if name not in self._trained}

    def _tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for name, module in self.modules.items():
            found |= {f"{name}.{key}": value for key, value in (*module.named_parameters(), *module.named_buffers())}
        return found

    def _owner(self, name: str) -> str:
        return registry.title(self._owners[name.partition(".")[0]])


def bring(recipe: Recipe, images: ImageSpec, schedules: Schedules) -> Brought:
    """Build what the recipe's components bring along, with torch's default generator, the loss's first.

    The augmentation is the one whose numbers follow `schedules`.
    """
    components: list[Loss | Augmentation] = [recipe.loss]
    components += [] if recipe.augmentation is None else [schedules.live(recipe.augmentation)]
    return Brought([(component, build_brought(component, images)) for component in components])


def build_brought(component: Loss | Augmentation, images: ImageSpec) -> dict[str, nn.Module]:
    """Call `build` and hold it to what the class says; return the modules in the order of `brings`."""
    modules = component.build(images)
    if not isinstance(modules, dict) or not all(isinstance(module, nn.Module) for module in modules.values()):
        raise PluginError(f"{registry.title(component)} must return a dict of torch modules from build()")
    if set(modules) != set(component.brings):
        raise PluginError(f"{registry.title(component)} states brings = {component.brings}, but built {tuple(modules)}")
    return {name: modules[name] for name in component.brings}


class _Augmented(nn.Module):
    """A discriminator that sees augmented pictures."""

    def __init__(self, discriminator: nn.Module, augmentation: Augmentation, state: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.discriminator, self.augmentation, self.state = discriminator, augmentation, state

    def forward(self, images: Tensor, *condition: Tensor) -> Tensor:
        logits: Tensor = self.discriminator(self.augmentation.augment(images, self.state), *condition)
        return logits
