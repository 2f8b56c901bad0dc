"""The kinds of components, in one table: what each is called, what it is derived from, and where plugins offer it.

It imports nothing, because entry points are read before pydantic can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Kind = Literal["model", "dataset", "loss", "augmentation", "optimizer", "exporter", "observer", "metric"]
"""What a kind is called, in recipes too."""


class Traits(NamedTuple):
    """What is known of a kind."""

    base: str
    """The class in `ganlab.interfaces` that its components are derived from."""
    group: str
    """The entry points' group."""
    what: str
    """What it is for, in a sentence."""
    decides: bool
    """Whether it decides the result of a run: then a recipe has a table of its name."""
    default: str | None = None
    """The component of a recipe that names none."""
    optional: bool = False
    """Whether a recipe may do without, of those that decide."""


KINDS: Mapping[Kind, Traits] = {
    "model": Traits("Model", "ganlab.models", "What to train.", True, default="dcgan"),
    "dataset": Traits("Dataset", "ganlab.datasets", "Pictures to train on.", True),
    "loss": Traits("Loss", "ganlab.losses", "How to train it.", True, default="bce"),
    "augmentation": Traits(
        "Augmentation",
        "ganlab.augmentations",
        "What the discriminator's pictures go through, in training.",
        True,
        optional=True,
    ),
    "optimizer": Traits(
        "Optimizer", "ganlab.optimizers", "How the networks follow their gradients.", True, default="adam"
    ),
    "exporter": Traits("Exporter", "ganlab.exporters", "A file format for generators.", False),
    "observer": Traits("Observer", "ganlab.observers", "What watches a run.", False),
    "metric": Traits("Metric", "ganlab.metrics", "How good the pictures of a generator are.", False),
}
"""In the order in which recipes and lists have them."""

GROUPS: Mapping[str, Kind] = {traits.group: kind for kind, traits in KINDS.items()}
"""The kind of each entry points' group."""

DECISIVE: tuple[Kind, ...] = tuple(kind for kind, traits in KINDS.items() if traits.decides)
"""The kinds that have a table of their own in a recipe."""
