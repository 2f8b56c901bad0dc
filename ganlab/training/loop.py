"""The training loop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from ganlab.distributed.ranks import Ranks
from ganlab.errors import NonFiniteError
from ganlab.events import Tick
from ganlab.hardware.device import Precision, stream_of_its_own
from ganlab.training.cuda_graphs import Captured, cuda_graphs
from ganlab.training.iteration import WholeIteration
from ganlab.training.schedule import Plan
from ganlab.training.statistics import Reading, Report, Statistics

if TYPE_CHECKING:
    from ganlab.data.batches import Batches
    from ganlab.recipe.recipe import Recipe
    from ganlab.training.state import Magnitudes, State


class Witness(Protocol):
    """Who is told what the loop does, and who may ask it to stop."""

    def tick(self, tick: Tick) -> None:
        """Learn what the device has reported."""

    def snapshot(self) -> None:
        """Draw samples and save a checkpoint of the state as it is now."""

    def note(self, text: str) -> None:
        """Learn something about the run that its user may want to know."""

    def stop_requested(self) -> bool:
        """Tell whether the loop should end after this iteration."""


def train_loop(
    recipe: Recipe,
    state: State,
    batches: Batches,
    device: torch.device,
    precision: Precision,
    ranks: Ranks,
    witness: Witness,
) -> bool:
    """Train from `state` to the recipe's end; return whether it was reached. Raises `NonFiniteError`."""
    plan = Plan(recipe, batches.per_epoch)
    statistics = Statistics(device)
    stopwatch = _Stopwatch(recipe.train.tick_seconds, state.iteration, plan.images(state), plan.progress(state), ranks)
    looks = _Looks(state, plan, statistics, ranks, stopwatch, witness)
    batches.move_to(state.seed(recipe.seed), state.drawn)
    iteration = WholeIteration(recipe, state, batches, statistics, device, precision, ranks)

    with stream_of_its_own(device):
        # Several ranks compute eagerly: that an exchange between them can be captured is not proven.
        captured = device.type == "cuda" and ranks.alone
        runner = Captured(iteration, cuda_graphs(), precision, witness.note) if captured else iteration
        while not plan.done(state):
            snapshots_before = plan.snapshots_due(state)
            layout = runner.run(plan.progress(state))
            statistics.count(layout, state.iteration)
            state.iteration += 1
            state.drawn = batches.drawn

            # Only here the host looks at the device. A GPU goes on with its work while the answer is on its way.
            snapshot_due = plan.snapshots_due(state) > snapshots_before or plan.done(state)
            tick_due = snapshot_due or (not looks.open and stopwatch.tick_due(state.iteration))
            if tick_due:
                looks.ask()
            looks.tell(wait=snapshot_due or not ranks.alone)
            if snapshot_due:
                witness.snapshot()
            # Several ranks stop together, and ask each other only at ticks; one alone stops at once.
            if (tick_due or ranks.alone) and ranks.any(witness.stop_requested()):
                looks.tell(wait=True)
                return plan.done(state)
    return True


class _Look(NamedTuple):
    """What the host has asked of the device at one place of the training."""

    iteration: int
    images: int
    epoch: float
    progress: float
    report: Report
    magnitudes: Magnitudes
    reading: Reading


class _Looks:
    """The looks that the host takes at the device: asked for at once, and told when the answer has come."""

    def __init__(
        self,
        state: State,
        plan: Plan,
        statistics: Statistics,
        ranks: Ranks,
        stopwatch: _Stopwatch,
        witness: Witness,
    ) -> None:
        self._state, self._plan, self._statistics = state, plan, statistics
        self._ranks, self._stopwatch, self._witness = ranks, stopwatch, witness
        self._asked: _Look | None = None

    @property
    def open(self) -> bool:
        """Whether an answer is still to come."""
        return self._asked is not None

    def ask(self) -> None:
        """Ask the device for what it has added up, and whether anything in the state has ceased to be finite."""
        self.tell(wait=True)
        state, plan = self._state, self._plan
        # Weights that no loss has met yet are looked at as well, and the moving average, which none ever meets.
        report, magnitudes = self._statistics.report(), state.magnitudes()
        reading = Reading(torch.cat([report.values, magnitudes.values.to(report.values)]))
        place = (state.iteration, plan.images(state), plan.epoch(state), plan.progress(state))
        self._asked = _Look(*place, report, magnitudes, reading)

    def tell(self, wait: bool) -> None:
        """Tell the witness of the answer, if it has come or is to be waited for. Raises `NonFiniteError`."""
        look = self._asked
        if look is None or not (wait or look.reading.arrived()):
            return
        self._asked = None
        numbers = look.reading.numbers()
        size = look.report.values.numel()
        means = self._ranks.mean(look.report.means(numbers[:size]))
        if found := look.report.non_finite(numbers[:size], self._ranks):
            raise NonFiniteError(f"the {found.what} of the {found.network}", found.iteration)
        look.magnitudes.refuse_non_finite(numbers[size:], look.iteration, self._ranks)
        lap = self._stopwatch.lap(look.iteration, look.images, look.progress)
        self._witness.tick(Tick(look.iteration, look.images, look.epoch, look.progress, stats=means, **lap))


class _Stopwatch:
    """The wall clock of this process's share of the training."""

    def __init__(self, tick_seconds: float, iteration: int, images: int, progress: float, ranks: Ranks) -> None:
        self._tick_seconds, self._ranks, self._first_progress = tick_seconds, ranks, progress
        self._last_iteration, self._last_images = iteration, images
        self._next_iteration = iteration + 1
        self._start = self._last = time.perf_counter()

    def tick_due(self, iteration: int) -> bool:
        """Tell whether `tick_seconds` have passed; several ranks agree beforehand on an iteration instead."""
        if not self._ranks.alone:
            return iteration >= self._next_iteration
        return time.perf_counter() - self._last >= self._tick_seconds

    def lap(self, iteration: int, images: int, progress: float) -> dict[str, float]:
        """Return `seconds`, `images_per_second` and `seconds_left`, and begin a new lap."""
        now = time.perf_counter()
        elapsed = max(now - self._last, 1e-9)
        speed = (images - self._last_images) / elapsed
        gained = progress - self._first_progress
        left = (now - self._start) * (1.0 - progress) / gained if gained > 0 else 0.0
        if not self._ranks.alone:
            step = max(1, int((iteration - self._last_iteration) / elapsed * self._tick_seconds))
            self._next_iteration = iteration + int(self._ranks.smallest(step))
        self._last, self._last_iteration, self._last_images = now, iteration, images
        return {"seconds": now - self._start, "images_per_second": speed, "seconds_left": left}
