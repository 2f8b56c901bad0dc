"""The checks of observers, each against one that breaks it and nothing else."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from breaking import Break, assert_breaks_only_its_check, failures, named

from ganlab import Observer, RunInfo, Snapshot, Tick, hookimpl
from ganlab.testing.checks import observers


class Good(Observer):
    """Counts ticks."""

    api = 1
    _count: int = 0

    @hookimpl
    def tick(self, tick: Tick) -> None:
        self._count += 1


class Deaf(Observer):
    """Marks no method."""

    api = 1

    def tick(self, tick: Tick) -> None:
        raise AssertionError


class Misspelt(Observer):
    """Waits for an event that never comes."""

    api = 1

    @hookimpl
    def run_started(self, run: RunInfo) -> None:
        raise AssertionError


class Asking(Observer):
    """Wants an argument that the event does not have."""

    api = 1

    @hookimpl
    def tick(self, tick: Tick, loss: float) -> None:
        raise AssertionError


class Trusting(Observer):
    """Takes every statistic for a finite number."""

    api = 1

    @hookimpl
    def tick(self, tick: Tick) -> None:
        json.dumps(dict(tick.stats), allow_nan=False)


class Expecting(Observer):
    """Takes it that a loss is always reported."""

    api = 1

    @hookimpl
    def tick(self, tick: Tick) -> None:
        round(tick.stats["loss_generator"] if tick.stats["loss_generator"] < 9 else 9)


class Dividing(Observer):
    """Takes it that the length of a phase is known."""

    api = 1

    @hookimpl
    def phase(self, done: int, total: int) -> None:
        assert done / total <= 1


class Creating(Observer):
    """Takes it that its file is not there yet."""

    api = 1

    @hookimpl
    def run_start(self, run: RunInfo) -> None:
        (run.directory / "mine.txt").open("x").close()


class Square(Observer):
    """Takes it that samples fill a square."""

    api = 1

    @hookimpl
    def snapshot(self, snapshot: Snapshot) -> None:
        snapshot.samples.reshape(snapshot.columns, snapshot.columns, *snapshot.samples.shape[1:])


class Python(Observer):
    """Draws from Python's global state."""

    api = 1

    @hookimpl
    def run_end(self) -> None:
        random.random()


class Numpy(Observer):
    """Seeds numpy."""

    api = 1

    @hookimpl
    def run_start(self) -> None:
        np.random.seed(0)


class Torch(Observer):
    """Draws from torch's default generator."""

    api = 1

    @hookimpl
    def snapshot(self) -> None:
        torch.randn(4)


BREAKS = [
    Break("hooks", Deaf, "it hears nothing: mark the methods that are named after events with @hookimpl (phase,"),
    Break("rules", Misspelt, "run_started is not an event; the events are phase, note, run_start"),
    Break("rules", Asking, "tick has no argument loss"),
    Break("events", Trusting, "it failed at tick: ValueError: Out of range float values are not JSON compliant"),
    Break("events", Expecting, "it failed at tick: "),
    Break("events", Dividing, "it failed at phase: ZeroDivisionError: division by zero; a run tells of phases of"),
    Break("events", Creating, "it failed at run_start: FileExistsError"),
    Break("events", Square, "it failed at snapshot: ValueError: cannot reshape array"),
    Break("random", Python, "it draws from or seeds Python's random, which are the run's: make a generator of its own"),
    Break("random", Numpy, "it draws from or seeds numpy.random"),
    Break("random", Torch, "it draws from or seeds torch's default generator"),
]


@pytest.mark.parametrize("broken", BREAKS, ids=named)
def test_a_broken_observer_fails_one_check_that_says_what_to_change(broken: Break) -> None:
    assert_breaks_only_its_check(broken)


def test_every_check_has_an_observer_that_breaks_it() -> None:
    assert {broken.check for broken in BREAKS} - {"rules"} == {check.name for check in observers.CHECKS}


def test_a_good_observer_passes_every_check() -> None:
    assert failures(Good) == {}
