"""A run of a few fast iterations, on pictures made of nothing, in a folder that goes with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import PositiveInt

from ganlab.interfaces import Component, Dataset, Source
from ganlab.registry.lookup import registry
from ganlab.testing.suite import kind_of
from ganlab.testing.surroundings import own_folder


def tiny_recipe(*changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe of a few fast iterations of DCGAN on the CPU, on the 40 pictures of 8x8 that `Stripes` has.

    A table of `changes` extends the recipe's own, or replaces it where it names another component.
    """
    recipe: dict[str, Any] = {
        "model": {"name": "dcgan", "base_channels": 4, "latent_dim": 6},
        "dataset": {"name": "stripes"},
        "loss": {"name": "bce"},
        "train": {"batch_size": 8, "iterations": 12, "device": "cpu", "tick_seconds": 0.001},
        "moving_average": {"statistics_batches": 2},
        "snapshot": {"every_iterations": 4, "samples": 4},
        "observers": {"terminal": {"mode": "off"}},
    }
    for name, change in (item for tables in changes for item in tables.items()):
        before = recipe.get(name, {})
        both = isinstance(change, Mapping) and isinstance(before, Mapping)
        extends = both and change.get("name") in (None, before.get("name"))
        recipe[name] = {**before, **change} if extends else change
    return recipe


@contextmanager
def isolated(components: Mapping[str, type[Component]]) -> Iterator[Path]:
    """Work in a temporary folder, where recipes can name `components` and the dataset `stripes`; yield it.

    Runs and packed pictures are kept there, and torch computes with one thread, which is the fastest for tiny runs. A
    component may be installed under its name. Raises `PluginError` where another one is.
    """
    import torch

    with ExitStack() as undo:
        folder = undo.enter_context(own_folder())
        undo.enter_context(chdir(folder))
        undo.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)
        offered: dict[str, type[Component]] = {"stripes": Stripes, **components}
        for name, cls in offered.items():
            kind = kind_of(cls)
            before = registry.get(kind, name) if name in registry.names(kind) else None
            if before is cls:
                continue
            registry.add(kind, name, cls)
            if before is None:
                undo.callback(registry.remove, kind, name)
            else:
                undo.callback(registry.add, kind, name, before)
        yield folder


class Stripes(Dataset):
    """Generated pictures of light and dark stripes, made of nothing on the disk."""

    api = 1

    resolution: PositiveInt = 8
    """Height and width."""
    channels: PositiveInt = 1
    """1 for greyscale, 3 for RGB."""
    count: int = 40
    """Number of pictures."""
    classes: int = 0
    """Number of class labels."""

    def sources(self) -> Iterable[Path]:
        """Return nothing."""
        return []

    def open(self) -> Source:
        """Return the pictures."""
        return _Stripes(self)


class _Stripes(Source):
    def __init__(self, options: Stripes) -> None:
        self.options, self.classes = options, options.classes

    def __len__(self) -> int:
        return self.options.count

    def image(self, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        side = self.options.resolution
        rows = (np.arange(side * side).reshape(side, side) // (1 + index % 5) * 37 + index) % 256
        return np.stack([rows] * self.options.channels, 2).astype(np.uint8)

    def name(self, index: int) -> str:
        return f"stripe {index}"

    def label(self, index: int) -> int:
        return index % self.classes
