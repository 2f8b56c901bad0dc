"""ganlab's side of the comparison: its own loop on the same pictures, watched from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from faces import Pixels

from ganlab.data.packing import Packed
from ganlab.events import Tick
from ganlab.hardware.device import arithmetic, choose_device, choose_precision
from ganlab.interfaces import ImageSpec
from ganlab.recipe.recipe import Recipe, parse_recipe
from ganlab.training.ticks import Callbacks
from ganlab.training.trainer import Trainer

ENDLESS = 2**62


class Setting(NamedTuple):
    """What both sides train."""

    resolution: int = 64
    channels: int = 3
    batch_size: int = 64
    width: int = 64
    """Channels next to the picture."""
    device: str = "cpu"


EXACT: dict[str, Any] = {"moving_average": {"enabled": False}, "train": {"precision": "exact"}}
"""The textbook's mathematics: no moving average, and fp32, on CUDA with the TF32 that torch itself allows."""
EVERY_TICK: dict[str, Any] = {"snapshot": {"every_iterations": 1}}
"""What makes the loop wait for the device after each iteration, and tell its losses."""
FAST: dict[str, Any] = {}
"""ganlab with no option set."""


def recipe(setting: Setting, variant: Mapping[str, Any], root: Path | str = "unused", **train: Any) -> Recipe:
    """Return the textbook's DCGAN as a recipe, with the tables of `variant` on top."""
    tables: dict[str, Any] = {
        "model": {"name": "dcgan", "base_channels": setting.width},
        "dataset": {
            "name": "image_folder",
            "root": str(root),
            "resolution": setting.resolution,
            "channels": setting.channels,
        },
        "loss": {"name": "bce"},
        "train": {"batch_size": setting.batch_size, "iterations": ENDLESS, "device": setting.device, **train},
        "snapshot": {"every_iterations": ENDLESS},
        "observers": {"terminal": {"mode": "off"}},
    }
    for name, table in variant.items():
        tables[name] = {**tables.get(name, {}), **table}
    if tables["train"].get("precision") == "exact":
        tables["train"]["precision"] = "tf32" if setting.device.startswith("cuda") else "fp32"
    return parse_recipe(tables, "benchmark")


def packed(pixels: Pixels) -> Packed:
    """Return pictures in memory as if they had been read from the cache."""
    _, channels, height, width = pixels.shape
    return Packed(pixels, None, ImageSpec(channels, height, width), (), "benchmark")


def trainer(wanted: Recipe, pictures: Packed) -> Trainer:
    """Return what trains a recipe, on one device."""
    device = choose_device(wanted.train.device, "train.device")
    return Trainer(wanted, pictures, device, choose_precision(wanted.train.precision, device, print))


def train(
    run: Trainer,
    told: Callable[[], bool],
    ticked: Callable[[Tick], None] = lambda _: None,
    noted: Callable[[str], None] = lambda _: None,
) -> None:
    """Train in ganlab's own loop until `told`, called after each iteration, returns True."""
    with arithmetic(run.device, run.precision, run.recipe.train.deterministic, run.recipe.train.threads):
        run.run(Callbacks(tick=ticked, note=noted, stop_requested=told))
