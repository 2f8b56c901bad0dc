"""The training loop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import torch

from ganlab.errors import NonFiniteError
from ganlab.events import Tick
from ganlab.interfaces import Iteration
from ganlab.seeds import Stream, stream_seed
from ganlab.training.device import Precision, autocast
from ganlab.training.iteration import run_iteration
from ganlab.training.plan import Plan, learning_rate
from ganlab.training.ranks import Ranks
from ganlab.training.statistics import Statistics

if TYPE_CHECKING:
    from ganlab.data.batches import Batches
    from ganlab.recipe import Recipe
    from ganlab.training.state import State


class Witness(Protocol):
    """Who is told what the loop does, and who may ask it to stop."""

    def tick(self, tick: Tick) -> None:
        """Learn what the device has reported."""

    def snapshot(self) -> None:
        """Draw samples and save a checkpoint of the state as it is now."""

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
    batches.move_to(state.seed(recipe.seed), state.drawn)
    progress = torch.zeros((), device=device)
    context = autocast(precision, device)

    def tick() -> None:
        means = ranks.mean(statistics.read())
        if found := statistics.non_finite(ranks):
            raise NonFiniteError(f"the {found.what} of the {found.network}", found.iteration)
        state.refuse_non_finite(ranks)  # weights that no loss has met yet, and the moving average, which none ever does
        witness.tick(
            Tick(
                state.iteration,
                plan.images(state),
                plan.epoch(state),
                plan.progress(state),
                stats=means,
                **stopwatch.lap(state.iteration, plan.images(state), plan.progress(state)),
            )
        )

    while not plan.done(state):
        # What layers draw depends on the iteration alone, so a run continues as if it had never stopped.
        _seed_layers(state.seed(recipe.seed), state.iteration, ranks.rank, device)
        done = plan.progress(state)
        progress.fill_(done)
        for name, optimizer in state.optimizers.items():
            if recipe.optimizer[name].decay_from is not None:
                optimizer.param_groups[0]["lr"] = learning_rate(recipe.optimizer[name], done)

        # The loss's updates, then the moving average.
        snapshots_before = plan.snapshots_due(state)
        run_iteration(
            recipe.loss,
            state,
            batches,
            Iteration(state.iteration % recipe.loss.period, progress),
            context,
            lambda update, gradient_norm: statistics.add(update, gradient_norm, state.iteration),
            ranks,
        )
        if state.average is not None:
            state.average.update(state.iteration)
        state.iteration += 1
        state.drawn = batches.drawn

        # Only here the host looks at the device.
        snapshot_due = plan.snapshots_due(state) > snapshots_before or plan.done(state)
        tick_due = snapshot_due or stopwatch.tick_due(state.iteration)
        if tick_due:
            tick()
        if snapshot_due:
            witness.snapshot()
        # Several ranks stop together, and ask each other only at ticks; one alone stops at once.
        if (tick_due or ranks.alone) and ranks.any(witness.stop_requested()):
            return plan.done(state)
    return True


def _seed_layers(seed: int, iteration: int, rank: int, device: torch.device) -> None:
    """Seed torch's default generators for one iteration, each rank's with its own seed."""
    value = stream_seed(seed, Stream.LAYERS, iteration, rank)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index].manual_seed(value)
    elif device.type == "mps":
        torch.mps.manual_seed(value)


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
