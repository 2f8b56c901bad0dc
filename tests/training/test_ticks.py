"""When the loop tells what the device has reported, where the answers take a while to come."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from toys import tiny

from ganlab.data.packing import pack
from ganlab.distributed.ranks import Place, Ranks
from ganlab.errors import NonFiniteError
from ganlab.events import Tick
from ganlab.recipe.recipe import parse_recipe
from ganlab.training.plan import Plan
from ganlab.training.state import State
from ganlab.training.statistics import Reading
from ganlab.training.ticks import Callbacks, Stopwatch
from ganlab.training.trainer import Trainer

CPU = torch.device("cpu")


class Late(Reading):
    """An answer that is on its way while the host looks for it so many times."""

    looks: ClassVar[int] = 3

    def __init__(self, values: Tensor) -> None:
        super().__init__(values)
        self._looked = 0

    def arrived(self) -> bool:
        self._looked += 1
        return self._looked > self.looks


class Diary:
    """Writes down what happens at which iteration."""

    def __init__(self, trainer: Trainer, stop_at: int | None = None) -> None:
        self.state, self.stop_at = trainer.state, stop_at
        self.entries: list[tuple[str, int, int]] = []
        self.losses: list[float] = []

    def tick(self, tick: Tick) -> None:
        self.entries.append(("tick", tick.iteration, self.state.iteration))
        self.losses.append(tick.stats["loss_generator"])

    def snapshot(self) -> None:
        self.entries.append(("snapshot", self.state.iteration, self.state.iteration))

    def note(self, text: str) -> None:
        raise AssertionError(text)

    def stop_requested(self) -> bool:
        return self.state.iteration == self.stop_at


def train(stop_at: int | None = None, spoil: bool = False, **tables: Any) -> tuple[Diary, bool]:
    """Train 12 iterations with a tick due at each and a snapshot at every sixth."""
    recipe = parse_recipe(tiny(snapshot={"every_iterations": 6}, train={"tick_seconds": 1e-9}, **tables))
    trainer = Trainer(recipe, pack(recipe.dataset, "stripes", lambda *_: None), CPU, "fp32")
    if spoil:
        with torch.no_grad():
            next(trainer.state.networks["generator"].parameters()).fill_(float("nan"))
    diary = Diary(trainer, stop_at)
    return diary, trainer.run(Callbacks(diary.tick, diary.snapshot, diary.note, diary.stop_requested))


def test_answers_that_are_there_at_once_are_told_at_once() -> None:
    diary, finished = train()
    assert finished
    ticks = [("tick", at, at) for at in range(1, 13)]
    assert [entry for entry in diary.entries if entry[0] == "tick"] == ticks
    assert [entry[1] for entry in diary.entries if entry[0] == "snapshot"] == [6, 12]


def test_the_loop_goes_on_while_an_answer_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, _ = train()
    monkeypatch.setattr("ganlab.training.ticks.Reading", Late)
    diary, finished = train()
    assert finished
    # Asked for at 1 and told at 4; asked for anew at 5, for which the snapshot at 6 waits, as it does for its own.
    half = [("tick", 1, 4), ("tick", 5, 6), ("tick", 6, 6), ("snapshot", 6, 6)]
    assert diary.entries == [*half, *((what, asked + 6, told + 6) for what, asked, told in half)]
    # Between two ticks lie the same iterations, so their means are means of the same losses.
    assert diary.losses[1] == pytest.approx(sum(at_once.losses[1:5]) / 4)
    assert diary.losses[2] == pytest.approx(at_once.losses[5])


def test_what_was_asked_for_is_told_before_the_loop_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.training.ticks.Reading", Late)
    diary, finished = train(stop_at=2)
    assert not finished
    assert diary.entries == [("tick", 1, 2)]


def test_a_late_answer_names_the_iteration_that_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.training.ticks.Reading", Late)
    with pytest.raises(NonFiniteError) as caught:
        train(spoil=True)
    assert (caught.value.what, caught.value.iteration) == ("the loss of the discriminator", 0)


def test_nobody_need_be_told() -> None:
    callbacks = Callbacks()
    callbacks.tick(Tick(1, 8, 0.2, 0.1, stats={}, seconds=1.0, images_per_second=8.0, seconds_left=9.0))
    callbacks.snapshot()
    callbacks.note("something")
    assert not callbacks.stop_requested()


class Wall:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


def test_a_lap_tells_the_speed_since_the_last_and_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run that goes on at half of its way: only what this process has done since its first lap, which has the
    costs of the start, says how long the rest takes."""
    wall = Wall()
    monkeypatch.setattr("ganlab.training.ticks.time", wall)
    recipe, state = parse_recipe(tiny(train={"iterations": 100, "tick_seconds": 5.0})), State({}, {}, None, {})
    state.iteration = state.drawn = 50
    stopwatch = Stopwatch(5.0, state, Plan(recipe, per_epoch=10), Ranks(Place(0, 1, 0), CPU))
    for due, seconds, images, progress, expected in (
        (False, 4.0, 480, 0.6, (4.0, (480 - 400) / 4, math.inf)),
        (True, 16.0, 720, 0.9, (20.0, (720 - 480) / 16, 16.0 * 0.1 / 0.3)),
        (True, 5.0, 800, 1.0, (25.0, (800 - 720) / 5, 0.0)),
    ):
        wall.now += seconds
        assert stopwatch.tick_due(1) == due
        lap = stopwatch.lap(1, images, progress)
        assert (lap["seconds"], lap["images_per_second"]) == expected[:2]
        assert lap["seconds_left"] == pytest.approx(expected[2])
    assert not stopwatch.tick_due(1), "the lap has begun anew"
    assert stopwatch.lap(1, 800, 1.0)["images_per_second"] == 0.0, "no time at all has passed"
