"""The generator as it is sampled and shipped at a snapshot, and the pictures it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ganlab.data.latents import Latent
from ganlab.data.pictures import Pictures, to_uint8
from ganlab.interfaces import ImageSpec
from ganlab.seeds import Stream, stream_seed
from ganlab.training.average import reestimate_batchnorm, shipped_copy
from ganlab.training.state import set_buffers

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe
    from ganlab.training.state import State

BATCH = 64
"""Pictures drawn at once."""
Stop = Callable[[], bool]
"""Tells, before each batch, whether to break off."""


class BrokenOffError(Exception):
    """What a snapshot computes was to be broken off."""


def shipped_generator(
    recipe: Recipe,
    state: State,
    buffers: Tensor,
    images: ImageSpec,
    device: torch.device,
    stop: Stop = lambda: False,
) -> nn.Module:
    """Return the generator of this moment in eval mode: averaged weights with BatchNorm statistics that fit them.

    `buffers` are those of all networks, averaged over the ranks. A pure function of weights and recipe: the
    training's random state is neither read nor moved. Raises `BrokenOffError` where `stop` says so.
    """
    generator = shipped_copy(state.networks["generator"], state.average)
    start = 0
    for name, network in state.networks.items():
        size = sum(buffer.numel() for buffer in network.buffers())
        if name == "generator":
            set_buffers(list(generator.buffers()), buffers[start : start + size])
        start += size
    if state.average is not None:
        reestimate_batchnorm(generator, _statistics_inputs(recipe, images, device, stop))
    return generator


@torch.no_grad()
def draw_samples(
    recipe: Recipe, generator: nn.Module, images: ImageSpec, device: torch.device, stop: Stop = lambda: False
) -> Pictures:
    """Return the pictures `(N, H, W, C)` of a snapshot: seed i makes picture i, at every snapshot alike.

    Raises `BrokenOffError` where `stop` says so.
    """
    model, count = recipe.model, recipe.snapshot.samples
    z = torch.from_numpy(Latent.of(model).of_seeds(range(count)))
    condition = (_labels(images, count, sample_columns(recipe, images)),) if model.conditional else ()
    pictures = []
    for start in range(0, count, BATCH):
        _go_on(stop)
        part = slice(start, start + BATCH)
        made = generator(z[part].to(device), *(labels[part].to(device) for labels in condition))
        pictures.append(to_uint8(made.float().cpu().numpy()))
    return np.concatenate(pictures)


def sample_columns(recipe: Recipe, images: ImageSpec) -> int:
    """Return the columns of a sample grid: a square, or a row a class for a conditional model."""
    count = recipe.snapshot.samples
    if recipe.model.conditional:
        return -(-count // images.classes)
    return int(np.ceil(np.sqrt(count)))


def sample_rows(recipe: Recipe, images: ImageSpec, class_names: Sequence[str]) -> tuple[str, ...]:
    """Return what each row of a sample grid shows, its class, from top to bottom; nothing where rows mean nothing."""
    if not recipe.model.conditional:
        return ()
    columns = sample_columns(recipe, images)
    return tuple(class_names[label] for label in _labels(images, recipe.snapshot.samples, columns)[::columns])


def _labels(images: ImageSpec, count: int, columns: int) -> Tensor:
    return torch.arange(count) // columns % images.classes


def _statistics_inputs(
    recipe: Recipe, images: ImageSpec, device: torch.device, stop: Stop
) -> Iterator[tuple[Tensor, ...]]:
    model, size = recipe.model, recipe.train.batch_size
    random = torch.Generator().manual_seed(stream_seed(recipe.seed, Stream.STATISTICS))
    for _ in range(recipe.moving_average.statistics_batches):
        _go_on(stop)
        z = Latent.of(model).draw(size, random)
        condition = (torch.arange(size, device=device) % images.classes,) if model.conditional else ()
        yield (z.to(device), *condition)


def _go_on(stop: Stop) -> None:
    if stop():
        raise BrokenOffError
