"""The generator as it is sampled and shipped at a snapshot, and the pictures it makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ganlab.data.inputs import Grid, declared_inputs, drawn, of_seeds
from ganlab.data.pictures import Pictures, to_uint8
from ganlab.errors import GanlabError
from ganlab.interfaces import ImageSpec, Labels, Normal
from ganlab.networks.shipment import parts, shipment
from ganlab.seeds import Stream, stream_seed
from ganlab.training.average import reestimate_batchnorm, shipped_copy
from ganlab.training.state import set_buffers

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe
    from ganlab.training.state import State

BATCH = 64
"""Pictures drawn at once."""
FEWEST_DRAWS = 1.25
"""Draws for each number of an input, at least, so that the covariance of all can be made that of the prior."""
Stop = Callable[[], bool]
"""Tells, before each batch, whether to break off."""


class BrokenOffError(GanlabError):
    """What a snapshot computes was to be broken off: no fault of the component that was computing."""

    def __init__(self) -> None:
        super().__init__("broken off")


def shipped_generator(
    recipe: Recipe,
    state: State,
    buffers: Tensor,
    images: ImageSpec,
    device: torch.device,
    stop: Stop = lambda: False,
) -> nn.Module:
    """Return the generator of this moment in eval mode: averaged weights with BatchNorm statistics that fit them.

    Where the model ships other networks, they come with it; their statistics are those of the training.
    `buffers` are those of all networks, averaged over the ranks. A pure function of weights and recipe: the
    training's random state is neither read nor moved. Raises `BrokenOffError` where `stop` says so.
    """
    shipped = shipped_copy(shipment(recipe.model, state.networks), state.average)
    networks, start = parts(shipped), 0
    for name, network in state.networks.items():
        size = sum(buffer.numel() for buffer in network.buffers())
        if name in networks:
            set_buffers(list(networks[name].buffers()), buffers[start : start + size])
        start += size
    if state.average is not None:
        reestimate_batchnorm(networks["generator"], _statistics_inputs(recipe, images, device, stop))
    return shipped


@torch.no_grad()
def draw_samples(
    recipe: Recipe, generator: nn.Module, images: ImageSpec, device: torch.device, stop: Stop = lambda: False
) -> Pictures:
    """Return the pictures `(N, H, W, C)` of a snapshot's grid, of the same seeds at every snapshot.

    Raises `BrokenOffError` where `stop` says so.
    """
    declared, count = declared_inputs(recipe.model, images), recipe.snapshot.samples
    grid = Grid.of(declared, images.classes, count)
    inputs = [torch.from_numpy(a) for a in of_seeds(declared, grid.seeds, images.classes, grid.chosen).values()]
    pictures = []
    for start in range(0, count, BATCH):
        _go_on(stop)
        part = slice(start, start + BATCH)
        made = generator(*(values[part].to(device) for values in inputs))
        pictures.append(to_uint8(made.float().cpu().numpy()))
    return np.concatenate(pictures)


def sample_columns(recipe: Recipe, images: ImageSpec) -> int:
    """Return the columns of a sample grid: a square, or where it has classes or categories to show, a row for each."""
    return Grid.of(declared_inputs(recipe.model, images), images.classes, recipe.snapshot.samples).columns


def sample_rows(recipe: Recipe, images: ImageSpec, class_names: Sequence[str]) -> tuple[str, ...]:
    """Return what each row of a sample grid shows, from top to bottom: its class, or as in "code 3" its category.

    Nothing where rows mean nothing.
    """
    declared = declared_inputs(recipe.model, images)
    grid = Grid.of(declared, images.classes, recipe.snapshot.samples)
    return tuple(
        class_names[value] if isinstance(declared[name], Labels) else f"{name} {value}"
        for name, values in grid.chosen.items()
        for value in values[:: grid.columns]
    )


def _statistics_inputs(
    recipe: Recipe, images: ImageSpec, device: torch.device, stop: Stop
) -> Iterator[tuple[Tensor, ...]]:
    """Yield the batches. Over all of them, normal inputs have exactly the moments that they are drawn from.

    So what a first linear layer makes of them has its true mean, and nearly its true variance: a trained DCGAN's
    pictures then differ from those with the statistics of 256 batches a third as much as with twice the free draws.
    """
    declared, count = declared_inputs(recipe.model, images), recipe.moving_average.statistics_batches
    moments = {
        name: _Moments.over(made[name] for made in _drawn_batches(recipe, images, stop))
        for name, kind in declared.items()
        if isinstance(kind, Normal) and count * recipe.train.batch_size >= FEWEST_DRAWS * math.prod(kind.shape)
    }
    for made in _drawn_batches(recipe, images, stop):
        made |= {name: own.removed_from(made[name]) for name, own in moments.items()}
        yield tuple(made[name].to(device) for name in declared)


def _drawn_batches(recipe: Recipe, images: ImageSpec, stop: Stop) -> Iterator[dict[str, Tensor]]:
    declared, size = declared_inputs(recipe.model, images), recipe.train.batch_size
    random = torch.Generator().manual_seed(stream_seed(recipe.seed, Stream.STATISTICS))
    for _ in range(recipe.moving_average.statistics_batches):
        _go_on(stop)
        made = drawn(declared, size, random)
        for name, kind in declared.items():
            if isinstance(kind, Labels):
                made[name] = torch.arange(size) % images.classes
        yield made


class _Moments(NamedTuple):
    """Mean and covariance of draws, laid flat."""

    mean: Tensor
    factor: Tensor
    """Lower triangle L of the covariance, L L^T."""

    @classmethod
    def over(cls, batches: Iterable[Tensor]) -> _Moments:
        count, total, products = 0, torch.zeros(()), torch.zeros(())
        for batch in batches:
            flat = batch.flatten(1).double()
            count, total, products = count + len(flat), total + flat.sum(0), products + flat.T @ flat
        mean = total / count
        return cls(mean, torch.linalg.cholesky(products / count - mean.outer(mean)))

    def removed_from(self, batch: Tensor) -> Tensor:
        """Return the batch moved and turned to the mean 0 and the covariance 1."""
        centred = batch.flatten(1).double() - self.mean
        turned: Tensor = torch.linalg.solve_triangular(self.factor.T, centred, upper=True, left=False)
        return turned.view_as(batch).float()


def _go_on(stop: Stop) -> None:
    if stop():
        raise BrokenOffError
