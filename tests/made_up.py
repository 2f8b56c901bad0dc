"""Made-up components with options of many forms, and the smallest recipe of them, for tests of recipes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import PositiveInt, field_validator, model_validator

from ganlab.interfaces import Augmentation, Dataset, ImageSpec, Loss, Model, Observer, Optimizer, Options, Source
from ganlab.recipe.recipe import STANDARD_OBSERVERS
from ganlab.registry import Registry
from ganlab.standard.optimizers.adam import Adam

SMALLEST = '[dataset]\nname = "folder"\nroot = "x"\n'


class Block(Options):
    """A table in a table."""

    width: PositiveInt = 8
    """Width."""


class Net(Model):
    """A model that wants even sizes."""

    api = 1
    depth: PositiveInt | tuple[PositiveInt, PositiveInt] = 3
    """Depth."""
    block: Block = Block()
    """A block."""
    spare: Block | None = None
    """Another."""

    @field_validator("depth")
    @classmethod
    def _small(cls, depth: int | tuple[int, int]) -> int | tuple[int, int]:
        if depth == 13:
            raise ValueError("13 is unlucky; take 12 or 14")
        return depth

    def check(self, images: ImageSpec) -> None:
        if images.height % 2:
            raise ValueError(f"{images.height} is odd; take {images.height - 1} or {images.height + 1}")
        if images.channels == 7:
            raise TypeError("oh")

    def build(self, images: ImageSpec) -> dict[str, Any]:
        return {}


class Flow(Model):
    """A model that is not adversarial."""

    api = 1
    networks = ("generator", "velocity")
    anything: Any = 0
    """Anything."""

    def check(self, images: ImageSpec) -> None:
        pass

    def build(self, images: ImageSpec) -> dict[str, Any]:
        return {}


class Folder(Dataset):
    """A dataset with an option that must be written."""

    api = 1
    root: Path
    """Where."""
    split: Literal["train", "test"] = "train"
    """Which."""
    ratio: float = 1e-300
    """A number."""

    def sources(self) -> Iterable[Path]:
        return []

    def open(self) -> Source:
        raise NotImplementedError


class Cross(Loss):
    """A loss with a rule over two options."""

    api = 1
    real_label: float = 1.0
    """Real."""
    fake_label: float = 0.0
    """Fake."""

    @model_validator(mode="after")
    def _ordered(self) -> Cross:
        if self.real_label <= self.fake_label:
            raise ValueError(f"real_label = {self.real_label} must be greater than fake_label = {self.fake_label}")
        if self.real_label == 7:
            raise TypeError("a bug")
        return self

    def updates(self, networks: Any, batches: Any, iteration: Any) -> Iterator[Any]:
        yield


class Matching(Loss):
    """A loss of the model that is not adversarial."""

    api = 1
    networks = ("velocity",)

    def updates(self, networks: Any, batches: Any, iteration: Any) -> Iterator[Any]:
        yield


class Mirror(Augmentation):
    """An augmentation with an option."""

    api = 1
    often: PositiveInt = 2
    """How often."""

    def augment(self, images: Any, state: Any) -> Any:
        return images


class Steep(Optimizer):
    """An optimizer with an option that must be written."""

    api = 1
    momentum: float
    """How much goes on."""

    def state(self, parameter: Any) -> dict[str, Any]:
        return {}

    def step(self, parameters: Any, gradients: Any, states: Any) -> None: ...


class Watcher(Observer):
    """An observer with an option."""

    api = 1
    every: PositiveInt = 1
    """How often."""


def registry_of_all() -> Registry:
    """Return a registry that knows these alone."""
    registry = Registry()
    registry.scan(lambda distribution: False)
    registry.add("model", "dcgan", Net)
    registry.add("model", "flow", Flow)
    registry.add("dataset", "folder", Folder)
    registry.add("loss", "bce", Cross)
    registry.add("loss", "matching", Matching)
    registry.add("augmentation", "mirror", Mirror)
    registry.add("optimizer", "adam", Adam)
    registry.add("optimizer", "steep", Steep)
    for name in (*STANDARD_OBSERVERS, "board"):
        registry.add("observer", name, Watcher)
    return registry
