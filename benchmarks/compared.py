"""Which recipes are trained and judged, on which pictures, and what is changed in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """A training."""

    name: str
    recipe: str
    """What `ganlab run` is given."""
    settings: tuple[str, ...] = ()
    seed: int = 0


class Set(NamedTuple):
    """Recipes that are compared."""

    name: str
    data: str
    """Which pictures they see: `clothes`, `digits` or `emoji`."""
    settings: tuple[str, ...]
    """Where the pictures are, for each recipe."""
    pictures: int
    """How many each recipe sees."""
    published: int
    """How many pictures an epoch of the recipes has by themselves."""
    rows: tuple[Row, ...]


def plugin(folder: str, name: str) -> Row:
    """Return the row of a plugin's recipe."""
    return Row(name, f"plugins/{folder}/recipes/{name}_fashion_mnist.toml")


CHEAP = (
    plugin("gan-losses", "least_squares"),
    plugin("gan-losses", "hinge"),
    plugin("gan-losses", "logistic"),
    plugin("gan-losses", "relativistic"),
    plugin("gan-losses", "wasserstein"),
    plugin("vae", "vae"),
    plugin("diffaugment", "diffaugment"),
    plugin("conditional", "conditional"),
)
"""Recipes of narrow networks, of which an iteration takes a CPU core a few hundredths of a second."""
COSTLY = (
    plugin("ada", "ada"),
    plugin("began", "began"),
    plugin("flow", "flow"),
    plugin("sngan", "sngan"),
    plugin("r3gan", "r3gan"),
    plugin("infogan", "infogan"),
)
OWN = "benchmarks/recipes/emoji.toml"
OWN_ROOT = "dataset.root=emoji"
FEW = "augmentation.name=diffaugment"
PUBLISHED = ("dataset.name=image_folder", OWN_ROOT, "dataset.resolution=64")
NARROW = "model.base_channels=16"
"""A quarter of the published width, without which 64 px take a CPU too long."""
PICTURES = {"clothes": 240_000, "costly": 32_000, "digits": 32_000, "emoji": 32_000}
"""How many pictures a recipe of each set sees, which takes a CPU minutes."""
AGAIN = (1, 2)
"""Seeds of further trainings, which show how far one training lies from the next."""


def sets(fashion: Path, pictures: Mapping[str, int] = PICTURES) -> tuple[Set, ...]:
    """Return all that is compared, with so many pictures for each set."""
    clothes, digits = Row("dcgan_fashion_mnist", "dcgan_fashion_mnist"), Row("dcgan_mnist_28", "dcgan_mnist_28")
    others = (Row("dcgan_mnist_generator_first", "dcgan_mnist_generator_first"), Row("dcgan_mnist", "dcgan_mnist"))
    emoji = (
        Row("emoji", OWN, (NARROW,)),
        Row("emoji_own_pictures_64", "own_pictures_64", (OWN_ROOT, NARROW)),
        Row("emoji_diffaugment", OWN, (NARROW, FEW)),
        Row("emoji_dcgan_celeba", "dcgan_celeba", (*PUBLISHED, NARROW)),
    )
    packaged = (f"dataset.root={fashion}", "dataset.split=all", "dataset.download=false")
    laid_out = ("dataset.root=digits", "dataset.download=false")
    return (
        Set("clothes", "clothes", packaged, pictures["clothes"], 60_000, CHEAP),
        Set("costly", "clothes", packaged, pictures["costly"], 60_000, (*seeded(clothes), *COSTLY)),
        Set("digits", "digits", laid_out, pictures["digits"], 60_000, (*seeded(digits), *others)),
        Set("emoji", "emoji", (), pictures["emoji"], 3_786, emoji),
    )


def seeded(row: Row) -> tuple[Row, ...]:
    """Return a training, and the same with other seeds."""
    return (row, *(row._replace(name=f"{row.name}-seed-{seed}", seed=seed) for seed in AGAIN))
