"""Runs whose state is known: every recipe, shortened, which is healthy, and one run with each disease."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from machine import ROOT
from sick import Chamfer, Difference, Perceptrons

from ganlab.registry.kinds import GROUPS
from ganlab.registry.lookup import registry
from ganlab.training.ticks import Stopwatch

ITERATIONS = 1200
"""Of a healthy run: recipes train for longer, and a fault that comes later is not seen here."""
TICK = 16
"""Iterations in a tick."""
BATCH = "train.batch_size=16"
CLOTHES = ("dataset.name=fashion_mnist", "dataset.split=shipped")
"""In place of data that ganlab may not ship."""
THIN = "model.base_channels=8"
SMALL_R3GAN = ("model.channels=16", "model.group_size=8", "loss.gamma=0.1")


class Case(NamedTuple):
    """A run whose state is known."""

    name: str
    recipe: Path | dict[str, Any]
    overrides: tuple[str, ...]
    disease: str | None = None
    """The name of the finding that it must have; None for a healthy run, which must have none."""


def healthy(few: Path) -> Iterator[Case]:
    """Yield every shipped recipe and every recipe of a plugin; `few` is a folder of few pictures."""
    for path in sorted((ROOT / "recipes").glob("*.toml")):
        size = () if path.stem == "quickstart" else (*CLOTHES, THIN, f"dataset.resolution={_side(path.stem)}")
        yield Case(path.stem, path, (*size, BATCH))
    for path in sorted((ROOT / "plugins").glob("*/recipes/*.toml")):
        yield Case(path.stem, path, (*_smaller(path.stem, few), BATCH))


def _side(name: str) -> int:
    return 28 if name.endswith(("_28", "_first")) else 32


def _smaller(name: str, few: Path) -> Iterator[str]:
    """Yield what makes a plugin's recipe small enough, and gives it data."""
    if name == "ada_few_pictures":
        yield f"dataset.root={few}"
    if name.startswith("r3gan_") and name != "r3gan_fashion_mnist":
        yield from (*CLOTHES, "dataset.resolution=32", *SMALL_R3GAN, "optimizer.lr=1e-3")
    if name in ("mlflow_fashion_mnist", "tensorboard_fashion_mnist"):
        yield f"observers.{name.partition('_')[0]}=false"


PERCEPTRONS: dict[str, Any] = {
    "model": {"name": "perceptrons", "latent_dim": 8},
    "dataset": {"name": "fashion_mnist", "split": "shipped", "resolution": 8},
    "loss": {"name": "bce"},
    "optimizer": {"lr": 1e-3},
    "train": {"batch_size": 32, "iterations": 2500},
    "snapshot": {"every_iterations": 250, "samples": 64},
}
"""A run of seconds, which is healthy."""
JUDGED = {"metrics": ["sliced_wasserstein"], "best": "sliced_wasserstein", "count": 128}
STEEPER = {"from": 1e-3, "to": 0.3, "after": 0.4, "progress": 0.6}


def diseased(few: Path) -> Iterator[Case]:
    """Yield a run with each disease; `few` is a folder of 20 pictures."""
    pictures = {"name": "image_folder", "root": str(few), "resolution": 8, "channels": 1}
    beaten = {"optimizer": {"lr": 1e-3, "generator": {"lr": 5e-6}}}
    yield Case("discriminator 200 times as fast", merged(beaten), (), "discriminator_wins")
    yield Case("generator that hears no latent", merged({"model": {"fault": "deaf"}}), (), "generator_collapse")
    circles = {"model": {"fault": "dirac"}, "loss": {"name": "difference"}, "optimizer": {"lr": 0.02}}
    yield Case("game that never settles", merged(circles), (), "oscillation")
    yield Case("last layer 100 times too large", merged({"model": {"fault": "loud"}}), (), "saturation")
    holes = {"model": {"fault": "holes"}, "dataset": {"resolution": 16}, "loss": {"name": "chamfer"}}
    yield Case("kernel smaller than its stride", merged(holes), (), "checkerboard")
    judged = {"dataset": {"resolution": 16}, "optimizer": {"lr": STEEPER}, "evaluate": JUDGED}
    yield Case("learning rate that grows", merged(judged), (), "worse_score")
    copying = {
        "model": {"hidden": 256},
        "loss": {"name": "chamfer"},
        "optimizer": {"lr": 3e-3},
        "dataset": pictures,
        "train": {"iterations": 4000},
    }
    yield Case("copies of 20 pictures", merged(copying), (), "memorisation")
    known = {
        "model": {"hidden": 256},
        "dataset": {**pictures, "resolution": 16},
        "optimizer": {"lr": 1e-3, "generator": {"lr": 3e-5}},
    }
    yield Case("game on 20 pictures", merged(known), (), "few_pictures")


def merged(change: Mapping[str, Any]) -> dict[str, Any]:
    """Return the healthy run with tables extended, or replaced where they name another component."""
    made = dict(PERCEPTRONS)
    for name, table in change.items():
        made[name] = table if "name" in table else {**made.get(name, {}), **table}
    return made


def write_pictures(folder: Path, count: int) -> None:
    """Write so many pictures of clothes."""
    from PIL import Image

    from ganlab.standard.datasets.mnist import FashionMNIST

    folder.mkdir(parents=True)
    pictures = FashionMNIST(split="shipped").open()
    for index in range(count):
        Image.fromarray(pictures.image(index)).save(folder / f"{index:03}.png")


def tick_by_iterations() -> None:
    """Make ticks come after equally many iterations, so that no finding depends on the speed of the machine."""
    Stopwatch.tick_due = lambda _, iteration: iteration % TICK == 0  # type: ignore[method-assign, assignment]


def register_sick() -> None:
    """Offer the components that a disease is given with."""
    registry.add("model", "perceptrons", Perceptrons)
    registry.add("loss", "difference", Difference)
    registry.add("loss", "chamfer", Chamfer)


def register_plugins() -> None:
    """Offer what the plugins of this checkout offer, as if they were installed."""
    for path in sorted((ROOT / "plugins").glob("*/pyproject.toml")):
        points = tomllib.loads(path.read_text(encoding="utf-8"))["project"].get("entry-points", {})
        for group, offered in points.items():
            for name, place in offered.items():
                if name not in registry.names(GROUPS[group]):
                    module, _, attribute = place.partition(":")
                    registry.add(GROUPS[group], name, import_module(module).__dict__[attribute])
