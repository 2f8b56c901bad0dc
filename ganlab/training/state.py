"""Everything that training changes: networks, optimizers, the moving average and the place in the data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from ganlab.data.inputs import needs_labels
from ganlab.distributed.ranks import Ranks
from ganlab.errors import NonFiniteError, PluginError, RecipeError
from ganlab.hardware.device import exact
from ganlab.interfaces import ImageSpec, Model
from ganlab.networks.shipment import shipment
from ganlab.registry.lookup import registry
from ganlab.seeds import Stream, stream_seed
from ganlab.training.average import MovingAverage
from ganlab.training.brought import Brought, bring
from ganlab.training.loss_scale import LossScale
from ganlab.training.optimizer import Optimized, rate_dtype
from ganlab.training.schedules import Schedules

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe


@dataclass
class State:
    """What a checkpoint holds; everything else of a run follows from the recipe and the data."""

    networks: dict[str, nn.Module]
    """The model's, then what the loss and the augmentation bring along."""
    optimizers: dict[str, Optimized]
    """Of the networks that the loss may update: those with weights that can be trained."""
    average: MovingAverage | None
    seen_by_loss: Mapping[str, nn.Module]
    """The networks as the loss calls them: the discriminator behind the recipe's augmentation."""
    iteration: int = 0
    """Iterations done."""
    drawn: int = 0
    """Batches drawn."""
    rollbacks: int = 0
    """How often training was put back to a checkpoint after a non-finite value."""
    loss_scale: LossScale | None = None
    """Of a training in fp16."""
    brought: Brought = field(default_factory=Brought)
    """What the loss and the augmentation bring along."""
    schedules: Schedules = field(default_factory=lambda: Schedules(torch.device("cpu")))
    """What changes with the training; no checkpoint needs it, for it follows from the place."""

    def seed(self, recipe_seed: int) -> int:
        """Return the seed of what is drawn from here on: another one after each rollback."""
        return stream_seed(recipe_seed, Stream.ROLLBACK, self.rollbacks) if self.rollbacks else recipe_seed

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every tensor with a unique name; tensors that networks share come once, under their first name."""
        seen: set[int] = set()
        for network, module in self.networks.items():
            for name, tensor in module.state_dict(keep_vars=True).items():
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield f"networks/{network}/{name}", tensor.detach()
        for network, optimizer in self.optimizers.items():
            for name, parameter in _trainable(self.networks[network]):
                for key, value in optimizer.state[parameter].items():
                    yield f"optimizers/{network}/{name}/{key}", value
        if self.average is not None:
            for name, value in self.average.tensors():
                yield f"average/{name}", value
        if self.loss_scale is not None:
            for name, value in self.loss_scale.tensors():
                yield f"loss_scale/{name}", value

    def buffers(self) -> list[Tensor]:
        """Return what the model's networks remember beside their weights, such as BatchNorm statistics."""
        own = [network for name, network in self.networks.items() if name not in self.brought.modules]
        return [buffer for network in own for buffer in network.buffers()]

    def magnitudes(self) -> Magnitudes:
        """Return the largest magnitude in each tensor, computed on the device."""
        values = [(name, value) for name, value in self.tensors() if value.is_floating_point() and value.numel()]
        # The largest magnitude: a sum of squares is infinite for finite values that are large.
        norms = torch._foreach_norm([value for _, value in values], float("inf"))
        device = norms[0].device
        return Magnitudes(
            tuple(name for name, _ in values), torch.stack([norm.to(device, torch.float32) for norm in norms])
        )

    def refuse_non_finite(self, ranks: Ranks) -> None:
        """Raise `NonFiniteError` naming the first tensor that holds NaN or an infinite value: none may be saved."""
        magnitudes = self.magnitudes()
        magnitudes.refuse_non_finite(magnitudes.values.tolist(), self.iteration, ranks)


class Magnitudes(NamedTuple):
    """The largest magnitude in each tensor of the state."""

    names: tuple[str, ...]
    values: Tensor
    """Float32, of one dimension."""

    def refuse_non_finite(self, values: list[float], iteration: int, ranks: Ranks) -> None:
        """Raise `NonFiniteError` for the first that is not finite; `values` are the numbers, read from the device."""
        broken = [name for name, value in zip(self.names, values, strict=True) if not math.isfinite(value)]
        if ranks.any(bool(broken)):
            raise NonFiniteError(broken[0] if broken else "the state of another rank", iteration)


def buffer_rows(state: State, ranks: Ranks) -> Tensor:
    """Return the buffers of all ranks, a row each, exact: what ranks do not have in common."""
    buffers = state.buffers()
    if not buffers:
        return torch.zeros(ranks.world, 0, dtype=torch.float64)
    flat = [exact(buffer.detach().reshape(-1)) for buffer in buffers]
    return ranks.rows(torch.cat(flat))


@torch.no_grad()
def set_buffers(buffers: Sequence[Tensor], row: Tensor) -> None:
    """Write one row of `buffer_rows`, or the mean of several, into buffers."""
    for buffer, part in zip(buffers, torch.split(row, [buffer.numel() for buffer in buffers]), strict=True):
        values = part if buffer.is_floating_point() else part.round()
        buffer.copy_(values.to(buffer.dtype).view_as(buffer))


def build_state(recipe: Recipe, images: ImageSpec, device: torch.device) -> State:
    """Build the networks on the CPU, so that a seed gives the same weights everywhere, and move them to `device`."""
    torch.default_generator.manual_seed(stream_seed(recipe.seed, Stream.WEIGHTS))
    networks = build_networks(recipe.model, images)
    schedules = Schedules(device)
    brought = bring(recipe, images, schedules)
    networks |= brought.modules
    for network in networks.values():
        network.to(device).to(memory_format=torch.channels_last)
        network.train()
    brought.settle()
    _refuse_idle_options(recipe, networks)
    optimizers = {
        name: Optimized(
            [parameter for _, parameter in _trainable(network)],
            schedules.live(recipe.optimizer[name], rate_dtype(device)),
            device,
        )
        for name, network in networks.items()
        if (name in recipe.loss.networks or name in brought.modules) and _trainable(network)
    }
    average = None
    if recipe.moving_average.enabled:
        shipped = shipment(recipe.model, networks)
        average = MovingAverage(shipped, recipe.moving_average, recipe.train.batch_size)
    return State(
        networks,
        optimizers,
        average,
        brought.seen_by_loss(networks),
        loss_scale=LossScale(device) if recipe.train.precision == "fp16" else None,
        brought=brought,
        schedules=schedules,
    )


def _refuse_idle_options(recipe: Recipe, networks: Mapping[str, nn.Module]) -> None:
    """Raise `RecipeError` for optimizer options of a network that has nothing to train."""
    for name, options in recipe.table.get("optimizer", {}).items():
        if isinstance(options, dict) and name in networks and not _trainable(networks[name]):
            raise RecipeError(
                [f"optimizer.{name}: {name} has no weights to train, so no optimizer moves it; leave the table out"]
            )


def build_networks(model: Model, images: ImageSpec) -> dict[str, nn.Module]:
    """Call `model.build` and hold it to what the model class says."""
    if images.classes == 0 and needs_labels(model, images):
        raise PluginError(
            f"{registry.title(model)} needs class labels, but this data has none; use a dataset with labels"
        )
    networks = model.build(images)
    if set(networks) != set(model.networks) or not all(isinstance(network, nn.Module) for network in networks.values()):
        raise PluginError(
            f"{registry.title(model)} states the networks {sorted(model.networks)}, but built {sorted(networks)}"
        )
    return {name: networks[name] for name in model.networks}


def parameter_counts(networks: Mapping[str, nn.Module]) -> dict[str, int]:
    """Return the number of trainable numbers of each network."""
    return {name: sum(p.numel() for _, p in _trainable(network)) for name, network in networks.items()}


def _trainable(network: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
