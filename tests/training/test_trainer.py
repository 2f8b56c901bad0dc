"""The trainer: equal recipes make equal ones, and however it is put through its iterations, the bits are the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toys import tiny

from ganlab import Batch, Iteration, Update
from ganlab.data.batches import Batches
from ganlab.data.packing import Packed, pack
from ganlab.recipe.recipe import parse_recipe
from ganlab.registry import registry
from ganlab.standard.losses.bce import BCE
from ganlab.training.ticks import Callbacks
from ganlab.training.trainer import Trainer

CPU = torch.device("cpu")
HARD: dict[str, Any] = {
    "model": {"base_channels": 2, "generator_dropout": 0.3, "discriminator_dropout": 0.2},
    "dataset": {"flip": True},
    "loss": {"discriminator_steps": 2},
    "optimizer": {"lr": {"from": 2e-4, "to": 0.0, "after": 0.3, "progress": 0.7}},
}


def trainer(**tables: Any) -> Trainer:
    recipe = parse_recipe(tiny(**HARD | tables))
    return Trainer(recipe, pack(recipe.dataset, "stripes", lambda *_: None), CPU, "fp32")


def bits(trained: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trained.state.tensors()}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name, tensor in one.items() if not torch.equal(tensor, other[name])] == []


def test_it_begins_at_its_first_iteration() -> None:
    fresh = trainer()
    assert (fresh.state.iteration, fresh.state.drawn, fresh.batches.drawn, fresh.batches.per_epoch) == (0, 0, 0, 5)
    assert fresh.ranks.alone


def test_the_same_recipe_twice_has_equal_bits_before_and_after() -> None:
    one = trainer()
    torch.rand(3)
    other = trainer()
    assert_equal(bits(one), bits(other))
    assert one.run(Callbacks()) is True
    torch.rand(3)
    assert other.run(Callbacks()) is True
    assert_equal(bits(one), bits(other))
    assert (one.state.iteration, one.state.drawn) == (12, 24)


def test_one_that_was_stopped_anywhere_goes_on_to_the_bits_of_one_that_was_not() -> None:
    undisturbed, stopped = trainer(), trainer()
    undisturbed.run(Callbacks())
    for stop in (1, 2, 7):

        def reached(stop: int = stop) -> bool:
            return stopped.state.iteration == stop

        assert stopped.run(Callbacks(stop_requested=reached)) is False
        assert (stopped.state.iteration, stopped.state.drawn) == (stop, 2 * stop)
        torch.rand(3)
    assert stopped.run(Callbacks()) is True
    assert_equal(bits(stopped), bits(undisturbed))


def test_one_that_is_stopped_at_its_end_has_reached_it() -> None:
    assert trainer(train={"iterations": 2}).run(Callbacks(stop_requested=lambda: True)) is False
    assert trainer(train={"iterations": 1}).run(Callbacks(stop_requested=lambda: True)) is True


def test_one_that_is_done_runs_no_further() -> None:
    done = trainer(train={"iterations": 1})
    done.run(Callbacks())
    before = bits(done)
    assert done.run(Callbacks(stop_requested=lambda: pytest.fail("there was an iteration"))) is True
    assert_equal(bits(done), before)


class Seeing(BCE):
    """Notes the mean of the pictures of each batch."""

    api = 1

    def updates(
        self, networks: Mapping[str, nn.Module], batches: Iterator[Batch], iteration: Iteration
    ) -> Iterator[Update]:
        def seen(batch: Batch) -> Batch:
            SEEN.append(batch.real.mean().item())
            return batch

        return super().updates(networks, map(seen, batches), iteration)


SEEN: list[float] = []


def test_other_batches_take_the_place_of_its_own() -> None:
    registry.add("loss", "seeing", Seeing)
    try:
        mine = trainer(loss={"name": "seeing"})
    finally:
        registry.remove("loss", "seeing")
    SEEN.clear()
    black = Packed(np.zeros((8, 1, 8, 8), np.uint8), None, mine.packed.spec, (), "black")
    others = Batches(
        black,
        mine.recipe.model.inputs(mine.packed.spec),
        batch_size=8,
        conditional=False,
        flip=False,
        seed=5,
        device=CPU,
    )
    mine.run(Callbacks(stop_requested=lambda: mine.state.iteration == 3), others)
    assert SEEN == [-1.0] * 3
    assert (mine.state.drawn, others.drawn, mine.batches.drawn) == (3, 3, 0)
    mine.run(Callbacks(stop_requested=lambda: True))
    assert -1.0 not in SEEN[3:]
    assert mine.batches.drawn == 4, "its own go on from where the training is"


def test_snapshots_come_after_the_iterations_they_are_due_at_and_at_the_end() -> None:
    mine = trainer(train={"iterations": 11}, snapshot={"every_iterations": 4})
    taken: list[int] = []
    mine.run(Callbacks(snapshot=lambda: taken.append(mine.state.iteration)))
    assert taken == [4, 8, 11]
