"""How long a run will take here, from a few seconds of it."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

from ganlab.bench.clock import Clock
from ganlab.bench.measure import BLOCKS, endless

if TYPE_CHECKING:
    import torch

    from ganlab.data.packing import Packed
    from ganlab.hardware.device import Precision
    from ganlab.recipe.recipe import Recipe


class Pace(NamedTuple):
    """What the parts of a training take."""

    iteration_seconds: float
    """The median."""
    snapshot_seconds: float
    """To draw the samples of a snapshot, without what the disk takes."""
    batches: float
    """Batches that an iteration draws."""


def pace(recipe: Recipe, packed: Packed, device: torch.device, precision: Precision, seconds: float) -> Pace:
    """Train for about so many seconds, in no directory, and return how fast that was. Raise what a run would raise."""
    from ganlab.hardware.device import synchronize
    from ganlab.training.sampling import draw_samples, shipped_generator
    from ganlab.training.state import buffer_rows
    from ganlab.training.ticks import Callbacks
    from ganlab.training.trainer import Trainer

    trainer = Trainer(endless(recipe), packed, device, precision)
    state = trainer.state
    clock = Clock(state, device, seconds, seconds / BLOCKS, recipe.loss.period)
    trainer.run(Callbacks(stop_requested=clock.stop_requested))
    batches = state.drawn / state.iteration
    begun = time.perf_counter()
    rows = buffer_rows(state, trainer.ranks)
    draw_samples(recipe, shipped_generator(recipe, state, rows.mean(0), packed.spec, device), packed.spec, device)
    synchronize(device)
    drawn = time.perf_counter() - begun
    return Pace(statistics.median(block.each for block in clock.blocks), drawn, batches)
