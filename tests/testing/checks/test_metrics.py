"""The checks of metrics, each against one that breaks it and nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from breaking import Break, assert_breaks_only_its_check, failures, named, suite

from ganlab import Comparison, FeatureNetwork, GanlabError, Metric, PublishedWeights
from ganlab.testing.checks import metrics


class Good(Metric):
    """How far apart the sharpest changes of brightness are, in the mean."""

    api = 1
    better: ClassVar[Any] = "lower"

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        return {"gap": self.gap(comparison)}

    def gap(self, comparison: Comparison) -> float:
        real, fake = (np.abs(np.diff(part.astype(float), axis=2)).mean() for part in (comparison.real, comparison.fake))
        return float(abs(real - fake))


class Silent(Good):
    """Does not say what is better."""

    api = 1
    better: ClassVar[Any] = "smaller"


class Capital(Good):
    """Calls its number by a capital."""

    api = 1

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        return {"Gap": self.gap(comparison)}


class Unknown(Good):
    """Says of another number what is better."""

    api = 1
    better: ClassVar[Any] = {"gaps": "lower"}


class Text(Good):
    """Returns a text."""

    api = 1

    def gap(self, comparison: Comparison) -> Any:
        return str(super().gap(comparison))


class Endless(Good):
    """Divides by nothing."""

    api = 1

    def gap(self, comparison: Comparison) -> float:
        return float("inf")


class Single(Good):
    """Returns a number without a name."""

    api = 1

    def compute(self, comparison: Comparison) -> Any:
        return self.gap(comparison)


class Demanding(Good):
    """Wants more pictures than anybody has."""

    api = 1

    def gap(self, comparison: Comparison) -> float:
        raise ValueError("take a million")


class Unseeded(Good):
    """Draws what nobody has seeded."""

    api = 1

    def gap(self, comparison: Comparison) -> float:
        return super().gap(comparison) * (1 + os.urandom(1)[0] / 2560 + os.urandom(1)[0] / 1e7)


class First(Good):
    """Looks at some of the pictures only."""

    api = 1

    def gap(self, comparison: Comparison) -> float:
        part = replace(comparison, fake=comparison.fake[:20])
        return super().gap(part)


class Writing(Good):
    """Sorts the features in place, if it may."""

    api = 1

    def gap(self, comparison: Comparison) -> float:
        real, _ = comparison.features()
        if real.flags.writeable:
            real.sort(0)
        return super().gap(comparison)


class Global(Good):
    """Draws from numpy's global state, for nothing."""

    api = 1

    def gap(self, comparison: Comparison) -> float:
        np.random.random()
        return super().gap(comparison)


class Upside(Good):
    """Takes the worse for the better."""

    api = 1
    better: ClassVar[Any] = "higher"


class Greedy(Good):
    """Takes no number of pictures."""

    api = 1
    least_pictures: ClassVar[int] = 0


class Unpublished(Good):
    """Names weights by words."""

    api = 1
    published: ClassVar[Any] = "somewhere"


WEIGHTS = PublishedWeights("weights.pth", "https://example.org/weights.pth", "0" * 64, 1, "some weights")


class Leading(Good):
    """Has its weights put elsewhere."""

    api = 1
    published: ClassVar[Any] = WEIGHTS._replace(file="../weights.pth")


class Plain(Good):
    """Has its weights come by a way on which others can read."""

    api = 1
    published: ClassVar[Any] = WEIGHTS._replace(url="http://example.org/weights.pth")


class Short(Good):
    """Has forgotten half of the digest."""

    api = 1
    published: ClassVar[Any] = WEIGHTS._replace(sha256="0" * 32)


class Bringing(Good):
    """Brings a network, and compares pixels all the same."""

    api = 1
    brings_network: ClassVar[bool] = True
    published: ClassVar[Any] = WEIGHTS

    def network(self, device: str) -> Any:
        return FeatureNetwork("means", "0" * 64, "not at all", self.features)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.mean((2, 3)).astype(np.float32)


class Nothing(Bringing):
    """Brings none."""

    api = 1

    def network(self, device: str) -> Any:
        return None


class Renamed(Bringing):
    """Calls it by a capital."""

    api = 1

    def network(self, device: str) -> Any:
        return super().network(device)._replace(name="Means")


class Wide(Bringing):
    """Makes features of twice the width."""

    api = 1

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.mean((2, 3))


class Random(Bringing):
    """Draws its features."""

    api = 1

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return np.frombuffer(os.urandom(2 * len(pixels)), np.uint8).reshape(len(pixels), 2).astype(np.float32)


class Beyond(Bringing):
    """Wants features that its network does not make."""

    api = 1

    def network(self, device: str) -> Any:
        return super().network(device)._replace(columns=slice(3, 6))


class Absent(Bringing):
    """Brings a network that is not installed."""

    api = 1

    def network(self, device: str) -> Any:
        raise GanlabError("pip install it")


BREAKS = [
    Break("needs", Greedy, "least_pictures is 0: state a whole number from 1"),
    Break("needs", Unpublished, "published is 'somewhere': state ganlab.PublishedWeights, or nothing"),
    Break("needs", Leading, "published has a file without folders, and an address that begins with https://"),
    Break("needs", Plain, "published has a file without folders, and an address that begins with https://"),
    Break("needs", Short, "published has the SHA-256 of the file, 64 digits of 0-9 and a-f, and its size in bytes"),
    Break("network", Nothing, "network() returns None: return ganlab.FeatureNetwork"),
    Break("network", Renamed, "a network's name is of a-z, 0-9 and _, and its digest the SHA-256 of its weights"),
    Break("network", Wide, "of 2 pictures: make float32 (N, D)"),
    Break("network", Random, "its network makes other features the second time, or such that are not finite"),
    Break("network", Beyond, "columns is slice(3, 6, None), and its network makes 3 features"),
    Break("rules", Silent, 'states better = \'smaller\'; it must be "lower", "higher" or "neither", or a mapping'),
    Break("numbers", Capital, "a number is called 'Gap': take up to 64 of a-z, 0-9 and _"),
    Break("numbers", Unknown, "it returns gap, of which `better` says nothing: state it there"),
    Break("numbers", Text, "': return a number"),
    Break("numbers", Endless, "gap is inf for real pictures: return finite numbers"),
    Break("numbers", Single, "compute() returns 0."),
    Break("numbers", Demanding, "it refuses 64 pictures of 16 x 16: take a million"),
    Break("repeatable", Unseeded, "give other numbers the second time: draw from numpy.random.default_rng("),
    Break("order", First, "depending on the order in which the same pictures come"),
    Break("reads", Writing, "it writes into the arrays that it compares, which others compare after it: copy them"),
    Break("reads", Global, "it draws from or seeds numpy.random: draw from numpy.random.default_rng("),
    Break("noise", Upside, 'so noise is the better: turn `better` round, or state "neither"'),
]


@pytest.mark.parametrize("broken", BREAKS, ids=named)
def test_a_metric_that_breaks_a_rule_fails_that_check_alone(broken: Break) -> None:
    assert_breaks_only_its_check(broken)


def test_every_check_is_broken_once_and_a_good_metric_breaks_none() -> None:
    assert failures(Good) == failures(Bringing) == {}
    assert {broken.check for broken in BREAKS} | {"real"} == {"rules", *(check.name for check in metrics.CHECKS)}


class Constant(Good):
    """Knows nothing."""

    api = 1

    def gap(self, comparison: Comparison) -> float:
        return 0.5


class Copies(Good):
    """Counts copies, of which real pictures are full."""

    api = 1

    def gap(self, comparison: Comparison) -> float:
        return super().gap(comparison) + 9 * float(np.array_equal(comparison.real, comparison.fake))


class Open(Good):
    """Says of no number that it is good."""

    api = 1
    better: ClassVar[Any] = "neither"


def test_a_network_that_is_not_here_is_not_checked() -> None:
    outcome = suite(Absent).outcome("network")
    assert (outcome.verdict, outcome.advice) == ("unknown", "not checked: its network is not here: pip install it")


def test_what_may_be_meant_is_advice() -> None:
    checks = suite(Constant)
    assert (
        checks.outcome("noise").advice
        == "noise has the numbers of real pictures: say in its docstring what it is blind to"
    )
    outcome = suite(Copies).outcome("real")
    assert outcome.verdict == "advice"
    assert outcome.advice.endswith("right where it looks for copies, else look at its formula")
    assert suite(Open).outcome("noise").advice == "not checked: of none of its numbers it says which are better"
