"""How the contract suite is tested: which checks a component fails, and what each says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from ganlab import ImageSpec, Model
from ganlab.interfaces import Component
from ganlab.testing.subject import Subject
from ganlab.testing.suite import Suite, kind_of

SLOW = {"import", "onnx"}
"""Checks that start a process, or take seconds: tried only with what is made to break them."""


class Break(NamedTuple):
    """A component that breaks one check alone."""

    check: str
    cls: type[Component]
    sentence: str
    """A part of what the check says."""
    arguments: Mapping[str, Any] = {}
    """For the suite, beside the class."""


def named(broken: Break) -> str:
    """Return the name of a case."""
    return f"{broken.check}-{broken.cls.__name__}"


def suite(cls: type[Component], options: Sequence[Mapping[str, Any]] = ({},), **tried_with: Any) -> Suite:
    """Return the checks of a component with these sets of options, tried with a loss or a model of its own."""
    return Suite([Subject(kind_of(cls), cls, table, **tried_with) for table in options])


def failures(cls: type[Component], tried: Sequence[str] = (), **arguments: Any) -> dict[str, str]:
    """Return what the failed checks of a component say, by name; the slow checks are left out unless `tried`."""
    checks = suite(cls, **arguments)
    outcomes = {name: checks.outcome(name) for name in checks.checks if name not in SLOW or name in tried}
    return {name: outcome.advice for name, outcome in outcomes.items() if outcome.verdict == "failed"}


def assert_breaks_only_its_check(broken: Break) -> None:
    found = failures(broken.cls, [broken.check], **broken.arguments)
    assert list(found) == [broken.check], found
    assert broken.sentence in found[broken.check]


class Generator(nn.Module):
    """Two layers, and a change of what they make."""

    def __init__(self, images: ImageSpec, change: Callable[[Tensor], Tensor] = torch.tanh) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, math.prod(images[:3]))
        self.shape, self.change = images[:3], change

    def forward(self, z: Tensor) -> Tensor:
        return self.change(self.last(self.first(z).relu()).view(-1, *self.shape))


class Discriminator(nn.Module):
    """Two layers, and a change of their logits."""

    def __init__(self, images: ImageSpec, change: Callable[[Tensor], Tensor] = lambda logits: logits) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(images[:3]), 8), nn.ReLU(), nn.Linear(8, 1))
        self.change = change

    def forward(self, images: Tensor) -> Tensor:
        return self.change(self.layers(images).flatten())


class Good(Model):
    """A model that breaks nothing."""

    api = 1
    latent_dim: PositiveInt = 4
    """Length of the latent vector z."""

    def check(self, images: ImageSpec) -> None:
        if images.height % 4 or images.width % 4:
            raise ValueError("take multiples of 4")

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {"generator": self.generator(images), "discriminator": self.discriminator(images)}

    def generator(self, images: ImageSpec) -> nn.Module:
        return Generator(images)

    def discriminator(self, images: ImageSpec) -> nn.Module:
        return Discriminator(images)


class Energy(Good):
    """Networks that no loss of ganlab knows."""

    api = 1
    networks: ClassVar[tuple[str, ...]] = ("generator", "energy")

    def build(self, images: ImageSpec) -> dict[str, nn.Module]:
        return {"generator": Generator(images), "energy": Discriminator(images)}
