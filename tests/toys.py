"""Small components and recipes for tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ganlab import Dataset, Source


class Stripes(Dataset):
    """Generated pictures of light and dark stripes, made of nothing on the disk."""

    api = 1

    resolution: int = 8
    """Height and width."""
    channels: int = 1
    """1 for greyscale, 3 for RGB."""
    count: int = 40
    """Number of pictures."""
    classes: int = 0
    """Number of class labels."""

    def sources(self) -> Iterable[Path]:
        return []

    def open(self) -> Source:
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


def tiny(**tables: Any) -> dict[str, Any]:
    """Return a recipe of a few fast iterations on `Stripes`, with tables replaced or extended."""
    recipe: dict[str, Any] = {
        "model": {"name": "dcgan", "base_channels": 4, "latent_dim": 6},
        "dataset": {"name": "stripes"},
        "loss": {"name": "bce"},
        "train": {"batch_size": 8, "iterations": 12, "device": "cpu", "tick_seconds": 0.001},
        "moving_average": {"statistics_batches": 2},
        "snapshot": {"every_iterations": 4, "samples": 4},
        "observers": {"terminal": {"mode": "off"}},
    }
    for name, table in tables.items():
        recipe[name] = recipe.get(name, {}) | table if isinstance(table, dict) else table
    return recipe
