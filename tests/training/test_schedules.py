"""Numbers that change with the training: their values by hand, and where components see them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import pytest
import torch
from optimizers import Lion
from pydantic import Field
from torch import Tensor, nn
from toys import tiny

from ganlab import Augmentation, Batch, Iteration, Schedule, Scheduled, Update
from ganlab.data.packing import pack
from ganlab.interfaces import Options, Position
from ganlab.recipe.recipe import parse_recipe
from ganlab.registry import registry
from ganlab.standard.losses.bce import BCE
from ganlab.training.schedules import Schedules
from ganlab.training.ticks import Callbacks
from ganlab.training.trainer import Trainer

CPU = torch.device("cpu")
HALF_WAVE = {0.25: 0.8535533905932737, 0.75: 0.14644660940672624}
"""(1 + cos(pi x)) / 2, which is (2 + root of 2) / 4 and (2 - root of 2) / 4."""


def schedule(**table: Any) -> Schedule[float]:
    return Schedule[float].model_validate({"from": 3.0, "to": 1.0, **table})


@pytest.mark.parametrize(
    ("shape", "middle"),
    [
        ("linear", [3.0, 3.0, 2.5, 2.0, 1.5, 1.0, 1.0]),
        ("cosine", [3.0, 3.0, 1 + 2 * HALF_WAVE[0.25], 2.0, 1 + 2 * HALF_WAVE[0.75], 1.0, 1.0]),
        ("step", [3.0, 3.0, 3.0, 3.0, 3.0, 1.0, 1.0]),
    ],
)
@pytest.mark.parametrize("unit", ["images", "epochs", "iterations"])
def test_each_shape_begins_passes_and_ends_where_it_says(shape: str, middle: list[float], unit: str) -> None:
    """Before, at the beginning, at quarters, at the end, long after."""
    rising = schedule(**{"from": 1.0, "to": 3.0, "shape": shape, "after": 8, unit: 4})
    falling = schedule(shape=shape, after=8, **{unit: 4})
    for place, expected in zip((0, 8, 9, 10, 11, 12, 1000), middle, strict=True):
        position = Position(*[math.nan] * 4)._replace(**{unit: place})
        assert falling.at(position) == pytest.approx(expected, abs=1e-15)
        assert rising.at(position) == pytest.approx(4 - expected, abs=1e-15)
    at_ends = [falling.at(Position(*[math.nan] * 4)._replace(**{unit: place})) for place in (8, 12)]
    assert at_ends == [3.0, 1.0], "exactly"


def test_a_share_of_the_training_falls_as_the_learning_rate_of_papers_does() -> None:
    rate = schedule(**{"from": 0.01, "to": 0.0, "after": 0.25, "progress": 0.75})
    values = [rate.at(Position(0, 0, 0, progress)) for progress in (0.0, 0.25, 0.4, 0.625, 0.7, 1.0)]
    assert values == pytest.approx([0.01, 0.01, 0.008, 0.005, 0.004, 0.0])


class Inner(Options):
    """A table."""

    weight: Scheduled[float] = 1.0
    """A weight."""


class Weighted(BCE):
    """Weighs the generator's loss, by numbers that it shows."""

    api = 1
    weight: Scheduled[Annotated[float, Field(ge=0.0)]] = 1.0
    """Weight."""
    pair: tuple[Scheduled[float], int] = (1.0, 2)
    """Another, and a number."""
    inner: Inner = Inner()
    """A third."""

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        for update in super().updates(networks, batches, iteration):
            shown = {"weight": self.weight + 0 * update.loss, "pair": self.pair[0] + 0 * update.loss}
            shown |= {"inner": self.inner.weight + 0 * update.loss}
            yield Update(update.networks, update.loss * self.weight, shown)


def test_a_component_computes_with_a_tensor_where_the_recipe_has_a_schedule() -> None:
    falling, rising = schedule(iterations=4), schedule(**{"from": 0.0, "to": 8.0, "images": 80})
    loss = Weighted.model_validate({"pair": (falling, 7), "inner": {"weight": rising}})
    schedules = Schedules(CPU)
    live = schedules.live(loss)
    assert (live.weight, live.pair[1]) == (1.0, 7)
    place: Any = live.pair[0]
    assert isinstance(place, Tensor)
    seen = []
    for iteration in range(6):
        schedules.begin(Position(images=10 * iteration, epochs=0, iterations=iteration, progress=0))
        seen.append((float(place), float(live.inner.weight)))
    assert seen == [(3.0, 0.0), (2.5, 1.0), (2.0, 2.0), (1.5, 3.0), (1.0, 4.0), (1.0, 5.0)]
    assert schedules.live(loss).pair[0] is place, "wherever it is asked for"
    assert dict(loss)["pair"][0] is falling, "the recipe's own is as it was"
    plain = Weighted()
    assert schedules.live(plain) is plain
    exact: Any = schedules.live(loss, torch.float64).pair[0]
    schedules.begin(Position(0, 0, 5, 0))
    assert (exact.dtype, exact.item()) == (torch.float64, 1.0)


class Fading(Augmentation):
    """Darkens by what it is told."""

    api = 1
    strength: Scheduled[Annotated[float, Field(ge=0.0, le=1.0)]] = 0.0
    """How much."""

    def augment(self, images: Tensor, *_: object) -> Tensor:
        return images * (1 - self.strength)


FADING = {"from": 0.0, "to": 0.5, "shape": "cosine", "iterations": 9}
CHANGING: dict[str, Any] = {
    "loss": {"name": "weighted", "weight": {"from": 0.5, "to": 2.0, "after": 0.4, "epochs": 1.0}},
    "augmentation": {"name": "fading", "strength": FADING},
    "optimizer": {
        "lr": {"from": 1e-3, "to": 1e-4, "progress": 1.0},
        "betas": [0.5, {"from": 0.9, "to": 0.99, "images": 64}],
        "discriminator": {"name": "lion", "lr": {"from": 0.0, "to": 1e-4, "shape": "step", "iterations": 3}},
    },
}


@pytest.fixture
def _components() -> Iterator[None]:
    registry.add("loss", "weighted", Weighted)
    registry.add("augmentation", "fading", Fading)
    registry.add("optimizer", "lion", Lion)
    yield
    registry.remove("loss", "weighted")
    registry.remove("augmentation", "fading")
    registry.remove("optimizer", "lion")


def trained(iterations: int, before: Trainer | None = None) -> Trainer:
    """Train so many iterations, from where another trainer has stopped."""
    recipe = parse_recipe(tiny(**CHANGING, train={"iterations": 10}))
    trainer = Trainer(recipe, pack(recipe.dataset, "stripes", lambda *_: None), CPU, "fp32")
    state, left = trainer.state, iterations
    if before is not None:
        for (_, here), (_, there) in zip(state.tensors(), before.state.tensors(), strict=True):
            here.copy_(there)
        state.iteration, state.drawn = before.state.iteration, before.state.drawn

    def enough() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    trainer.run(Callbacks(stop_requested=enough))
    return trainer


@pytest.mark.usefixtures("_components")
def test_a_run_that_is_stopped_while_numbers_change_goes_on_with_the_same_bits() -> None:
    whole = dict(trained(10).state.tensors())
    for stop in (1, 4, 8):
        state = trained(10 - stop, trained(stop)).state
        assert state.iteration == 10
        for name, value in state.tensors():
            assert torch.equal(value, whole[name]), f"{name} after a stop at {stop}"


@pytest.mark.usefixtures("_components")
def test_every_component_sees_its_number_of_the_iteration() -> None:
    """40 pictures in batches of 8: an epoch is 5 batches, one an iteration."""
    recipe = parse_recipe(tiny(**CHANGING, train={"iterations": 10}))
    trainer = Trainer(recipe, pack(recipe.dataset, "stripes", lambda *_: None), CPU, "fp32")
    state = trainer.state
    seen: list[tuple[float, ...]] = []
    discriminator: Any = state.seen_by_loss["discriminator"]
    generator, other = (state.optimizers[name] for name in ("generator", "discriminator"))
    loss: Any = state.schedules.live(recipe.loss)

    def look() -> bool:
        betas: Any = dict(generator._optimizer)["betas"]
        numbers = (loss.weight, discriminator.augmentation.strength, generator.lr, betas[1], other.lr)
        seen.append(tuple(float(number) for number in numbers))
        return False

    trainer.run(Callbacks(stop_requested=look))
    for i, (weight, strength, lr, beta, own) in enumerate(seen):
        assert weight == pytest.approx(0.5 + 1.5 * min(1, max(0, i / 5 - 0.4)), abs=1e-6)
        assert strength == pytest.approx(0.25 * (1 - math.cos(math.pi * i / 9)), abs=1e-6)
        assert lr == pytest.approx(1e-3 - 9e-4 * i / 10, rel=1e-12)
        assert beta == pytest.approx(0.9 + 0.09 * min(1, 8 * i / 64), rel=1e-12)
        assert own == (1e-4 if i >= 3 else 0.0)
    assert len(seen) == 10
