"""How long a run trains, and when it takes snapshots: pure functions of its place."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe
    from ganlab.training.state import State

_ROUNDING = 1e-9
"""Forgives the rounding of a quotient that is meant to be whole, as in 0.3 epochs / 0.1 epochs."""


FIRST_SNAPSHOTS = (125, 250, 500)
SNAPSHOT_ITERATIONS = 1_000
"""Where a recipe says nothing of snapshots they come at these iterations and at every multiple of this one, whatever
the number of pictures: one costs as much as 4 to 16 iterations, and an epoch may have but one. The first ones are
early because they show what is wrong."""


class Course(NamedTuple):
    """A whole run, counted."""

    iterations: int
    batches: int
    """Batches drawn."""
    snapshots: int
    """The first one, of untrained networks, and the last one included."""
    generators: int
    """Generators that are kept beside the newest one."""


class Ahead(NamedTuple):
    """What is to come of a run that is on."""

    iterations: int
    """Those of the whole run."""
    next_snapshot: int | None
    """The iteration after which it comes; None where none comes any more."""


class Plan:
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
        return min(1.0, state.drawn / self._last_batch())

    def done(self, state: State) -> bool:
        """Tell whether the training has ended."""
        return self.progress(state) >= 1.0

    def snapshots_due(self, state: State) -> int:
        """Return how many snapshots belong to the training up to this place, the first one not counted."""
        return self.snapshots_at(state.iteration, state.drawn)

    def is_one_of(self, every: int, state: State) -> bool:
        """Tell whether the snapshot at this place is one of every so many: the last one is, the first one is not."""
        return state.iteration > 0 and (self.snapshots_due(state) % every == 0 or self.done(state))

    def keeps_generator(self, state: State) -> bool:
        """Tell whether the generator of the snapshot at this place is kept beside the newest one."""
        every = self._snapshot.generators
        return every is not None and self.is_one_of(every, state)

    def course(self, batches: int) -> Course:
        """Return what the whole run will be where every iteration draws so many batches."""
        if self._train.iterations is not None:
            iterations = self._train.iterations
        else:
            iterations = -(-self._last_batch() // batches)
        due, before = (self.snapshots_at(i, i * batches) for i in (iterations, iterations - 1))
        # Of several that are due within one iteration, one is taken; and always one at the end.
        taken = min(due, iterations) if due > before else min(due, iterations - 1) + 1
        return Course(iterations, iterations * batches, 1 + taken, self._kept(iterations, batches))

    def _kept(self, iterations: int, batches: int) -> int:
        """Return how many generators a run of so many iterations keeps beside the newest one."""
        if (every := self._snapshot.generators) is None:
            return 0

        def due(iteration: int) -> int:
            return self.snapshots_at(iteration, iteration * batches)

        numbers = range(every, due(iterations) + 1, every)
        places = {number: bisect_left(range(iterations + 1), number, key=due) for number in numbers}
        return len({place for number, place in places.items() if due(place) == number} | {iterations})

    def ahead(self, state: State) -> Ahead:
        """Return what is still to come, as far as iterations go on to draw as many batches as so far."""
        batches = state.drawn / state.iteration if state.iteration else 1.0
        train = self._train
        last = train.iterations if train.iterations is not None else math.ceil(self._last_batch() / batches - _ROUNDING)
        later = range(state.iteration + 1, last + 1)
        due = self.snapshots_due(state)
        place = bisect_right(later, due, key=lambda iteration: self.snapshots_at(iteration, round(iteration * batches)))
        return Ahead(last, later[min(place, len(later) - 1)] if later else None)

    def _last_batch(self) -> int:
        """Return how many batches make the epochs of the recipe."""
        assert self._train.epochs is not None  # the recipe has one of the two
        return max(1, math.ceil(self._train.epochs * self._per_epoch - _ROUNDING))

    def snapshots_at(self, iteration: int, drawn: int) -> int:
        """Return how many snapshots are due after so many iterations and batches, the first one not counted."""
        if self._snapshot.every_iterations is not None:
            return iteration // self._snapshot.every_iterations
        if self._snapshot.every_epochs is not None:
            return math.floor(drawn / self._per_epoch / self._snapshot.every_epochs + _ROUNDING)
        return sum(iteration >= first for first in FIRST_SNAPSHOTS) + iteration // SNAPSHOT_ITERATIONS
