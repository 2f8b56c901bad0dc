"""Which recipes are trained and judged, on which pictures, and what is changed in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


CLOTHES = (
    plugin("gan-losses", "least_squares"),
    plugin("gan-losses", "hinge"),
    plugin("gan-losses", "logistic"),
    plugin("gan-losses", "relativistic"),
    plugin("gan-losses", "wasserstein"),
    plugin("vae", "vae"),
    plugin("diffaugment", "diffaugment"),
    plugin("conditional", "conditional"),
    Row("dcgan_fashion_mnist", "dcgan_fashion_mnist"),
    plugin("flow", "flow"),
    plugin("infogan", "infogan"),
    plugin("sngan", "sngan"),
    plugin("ada", "ada"),
    plugin("r3gan", "r3gan"),
    plugin("began", "began"),
)
DIGITS = tuple(Row(name, name) for name in ("dcgan_mnist_28", "dcgan_mnist_generator_first", "dcgan_mnist"))
OWN = "benchmarks/recipes/emoji.toml"
OWN_ROOT = "dataset.root=emoji"
FEW = "augmentation.name=diffaugment"
PUBLISHED = ("dataset.name=image_folder", OWN_ROOT, "dataset.resolution=64")
NARROW = "model.base_channels=16"
"""A quarter of the published width: so that a CPU can repeat it."""
PICTURES = {"clothes": 240_000, "digits": 240_000, "emoji": 240_000}
"""How many pictures a recipe of each set sees, which takes a GPU seconds, and a core of a CPU minutes to an hour."""
SEEDS = (0, 1, 2)
"""Those that each recipe is trained with, which shows how far one training lies from the next."""


def sets(fashion: Path, pictures: Mapping[str, int] = PICTURES) -> tuple[Set, ...]:
    """Return all that is compared, with so many pictures for each set."""
    emoji = (
        Row("emoji", OWN, (NARROW,)),
        Row("emoji_own_pictures_64", "own_pictures_64", (OWN_ROOT, NARROW)),
        Row("emoji_diffaugment", OWN, (NARROW, FEW)),
        Row("emoji_dcgan_celeba", "dcgan_celeba", (*PUBLISHED, NARROW)),
    )
    packaged = (f"dataset.root={fashion}", "dataset.split=all", "dataset.download=false")
    laid_out = ("dataset.root=digits", "dataset.download=false")
    return (
        Set("clothes", packaged, pictures["clothes"], 60_000, seeded(CLOTHES)),
        Set("digits", laid_out, pictures["digits"], 60_000, seeded(DIGITS)),
        Set("emoji", (), pictures["emoji"], 3_786, seeded(emoji)),
    )


def seeded(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the trainings with each seed, one seed after the other."""
    return tuple(row._replace(name=_name(row.name, seed), seed=seed) for seed in SEEDS for row in rows)


def _name(name: str, seed: int) -> str:
    return f"{name}-seed-{seed}" if seed else name


def recipe_of(name: str, seed: int) -> str:
    """Return what the training with the seed 0 is called."""
    return name.removesuffix(f"-seed-{seed}")
