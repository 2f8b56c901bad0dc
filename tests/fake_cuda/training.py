"""ganlab's training on fake GPUs: what a process must set, and recipes of everything that lies in this checkout."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import ours
import torch
from toys import Stripes, tiny

from fake_cuda import convolutions
from ganlab.data.packing import Packed
from ganlab.interfaces import ImageSpec
from ganlab.recipe.recipe import Recipe, load_recipe, parse_recipe
from ganlab.registry import registry
from ganlab.registry.kinds import KINDS
from ganlab.training import cuda_graphs
from ganlab.training.state import Magnitudes
from ganlab.training.statistics import Report

ROOT = Path(__file__).parents[2]
NEVER, ENDLESS = 1e9, 1_000_000
"""Seconds until a tick, and iterations, that no test comes to."""


def prepare() -> None:
    """Make this process train as if a GPU computed, and never look at numbers that none has computed."""
    torch.backends.cudnn.enabled = False
    convolutions.install()
    Report.non_finite = lambda *_: None  # type: ignore[method-assign]
    Magnitudes.refuse_non_finite = lambda *_: None  # type: ignore[method-assign]
    compare = cuda_graphs._unlike
    # It takes its time and memory all the same.
    cuda_graphs._unlike = lambda *values: compare(*values) and None
    registry.add("dataset", "stripes", Stripes)


def add_plugins() -> None:
    """Make components of everything that the plugins in this checkout offer."""
    groups = {facts.group: kind for kind, facts in KINDS.items()}
    for path in sorted(ROOT.glob("plugins/*/pyproject.toml")):
        offered = tomllib.loads(path.read_text(encoding="utf-8"))["project"]["entry-points"]
        for group, components in offered.items():
            for name, place in components.items():
                module, _, attribute = place.partition(":")
                registry.add(groups[group], name, vars(importlib.import_module(module))[attribute])


def plugin_recipes() -> dict[str, Mapping[str, Any]]:
    """Return the tables of the recipes of all plugins by their names."""
    paths = sorted(ROOT.glob("plugins/*/recipes/*.toml"))
    return {path.stem: load_recipe(path).table for path in paths}


def narrowed(tables: Mapping[str, Any]) -> Recipe:
    """Return a recipe with thin networks, on small batches of pictures that are made of nothing."""
    changed = deepcopy(dict(tables))
    model, dataset = changed["model"], changed["dataset"]
    if "base_channels" in model:
        model["base_channels"] = 8
    if "channels" in model:
        least = model["group_size"]
        model["channels"] = [least for _ in model["channels"]] if isinstance(model["channels"], list) else least
    known = {"mnist": (28, 1), "fashion_mnist": (28, 1), "cifar10": (32, 3)}
    resolution, channels = known.get(dataset["name"], (None, 3))
    changed["dataset"] = {
        "name": "stripes",
        "resolution": dataset.get("resolution", resolution),
        "channels": dataset.get("channels", channels),
        "classes": 10,
        "flip": dataset.get("flip", False),
    }
    lasting = {key: value for key, value in changed.get("train", {}).items() if key not in ("epochs", "threads")}
    changed["train"] = lasting | {"batch_size": 8, "iterations": ENDLESS, "device": "cuda", "tick_seconds": NEVER}
    changed["snapshot"] = {"every_iterations": ENDLESS}
    changed["observers"] = {"terminal": {"mode": "off"}}
    return parse_recipe(changed, "narrowed")


def endless(*, device: str = "cuda", **tables: Mapping[str, Any]) -> Recipe:
    """Return the tiny recipe on a GPU, which neither ends nor reports nor draws samples by itself."""
    never = {"iterations": ENDLESS, "device": device, "tick_seconds": NEVER}
    return parse_recipe(tiny(train=never, snapshot={"every_iterations": ENDLESS}, **tables), "endless")


def blank(recipe: Recipe, count: int) -> Packed:
    """Return black pictures of the recipe's size, ten classes of them."""
    options = recipe.dataset.model_dump()
    size, channels, classes = options["resolution"], options["channels"], options.get("classes", 0)
    labels = np.arange(count, dtype=np.int64) % classes if classes else None
    names = tuple(map(str, range(classes)))
    spec = ImageSpec(channels, size, size, classes)
    return Packed(np.zeros((count, channels, size, size), np.uint8), labels, spec, (), "blank", class_names=names)


class Trained(NamedTuple):
    """What a training has said."""

    iterations: int
    notes: list[str]


def train(recipe: Recipe, packed: Packed, iterations: int, told: Callable[[int], object] = lambda _: None) -> Trained:
    """Train for so many iterations; `told` gets the number of those that are done after each."""
    run = ours.trainer(recipe, packed)
    notes: list[str] = []
    done = 0

    def count() -> bool:
        nonlocal done
        done += 1
        told(done)
        return done >= iterations

    ours.train(run, count, noted=notes.append)
    return Trained(done, notes)
