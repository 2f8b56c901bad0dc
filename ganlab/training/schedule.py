"""How long a run trains, when it takes snapshots, and how the learning rate falls: pure functions of its place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe
    from ganlab.recipe.settings import Optimizer
    from ganlab.training.state import State

_ROUNDING = 1e-9
"""Forgives the rounding of a quotient that is meant to be whole, as in 0.3 epochs / 0.1 epochs."""


class Schedule:
    """The course of a run over data of which `per_epoch` batches make one epoch."""

    def __init__(self, recipe: Recipe, per_epoch: int) -> None:
        self._train, self._snapshot, self._per_epoch = recipe.train, recipe.snapshot, per_epoch

    def images(self, state: State) -> int:
        """Return how many real pictures have been seen, repetitions counted."""
        return state.drawn * self._train.batch_size

    def epoch(self, state: State) -> float:
        """Return how many passes over the data have been made."""
        return state.drawn / self._per_epoch

    def progress(self, state: State) -> float:
        """Return how much of the training is done, 0 to 1."""
        if self._train.iterations is not None:
            return min(1.0, state.iteration / self._train.iterations)
        assert self._train.epochs is not None  # the recipe has one of the two
        return min(1.0, state.drawn / max(1, math.ceil(self._train.epochs * self._per_epoch - _ROUNDING)))

    def done(self, state: State) -> bool:
        """Tell whether the training has ended."""
        return self.progress(state) >= 1.0

    def snapshots_due(self, state: State) -> int:
        """Return how many snapshots belong to the training up to this place, the first one not counted."""
        if self._snapshot.every_iterations is not None:
            return state.iteration // self._snapshot.every_iterations
        assert self._snapshot.every_epochs is not None  # the recipe has one of the two
        return math.floor(self.epoch(state) / self._snapshot.every_epochs + _ROUNDING)


def learning_rate(options: Optimizer, progress: float) -> float:
    """Return the learning rate at this place: constant, then linear to 0 from `decay_from` on."""
    if options.decay_from is None or progress <= options.decay_from:
        return options.lr
    return options.lr * (1.0 - progress) / (1.0 - options.decay_from)
