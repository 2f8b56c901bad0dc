"""The trainer: everything that one process trains with, and the loop that puts it through its iterations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from ganlab.data.batches import Batches
from ganlab.data.inputs import declared_inputs
from ganlab.distributed.ranks import Place, Ranks
from ganlab.distributed.share import Share
from ganlab.hardware.device import Precision, autocast, stream_of_its_own
from ganlab.training.compiled import Compiled
from ganlab.training.cuda_graphs import Captured, cuda_graphs
from ganlab.training.iteration import WholeIteration
from ganlab.training.plan import Plan
from ganlab.training.state import State, build_state
from ganlab.training.statistics import Statistics
from ganlab.training.ticks import Callbacks, Readback, Stopwatch

if TYPE_CHECKING:
    from ganlab.data.packing import Packed
    from ganlab.recipe.recipe import Recipe


class Trainer:
    """The parts of a run's training, built from a recipe and packed pictures, at its first iteration."""

    def __init__(
        self, recipe: Recipe, packed: Packed, device: torch.device, precision: Precision, ranks: Ranks | None = None
    ) -> None:
        """Without `ranks`, the process trains alone. Raises `DataError` where the ranks do not agree."""
        self.recipe, self.packed, self.device, self.precision = recipe, packed, device, precision
        self.ranks = ranks = ranks or Ranks(Place(rank=0, world=1, local=0), device)
        ranks.same(recipe.sha256, "another recipe than rank 0")
        ranks.same(packed.fingerprint, "on other pictures than rank 0")
        self.batches = Batches(
            packed,
            declared_inputs(recipe.model, packed.spec),
            batch_size=recipe.train.batch_size,
            conditional=recipe.model.conditional,
            flip=recipe.dataset.flip,
            seed=recipe.seed,
            device=device,
            share=Share(ranks.rank, ranks.world),
        )
        self.state: State = build_state(recipe, packed.spec, device)
        # Seeded alike, they are alike; but a model may draw from a source that no seed reaches.
        ranks.adopt(tensor for _, tensor in self.state.tensors())
        self.plan = Plan(recipe, self.batches.per_epoch)

    def run(self, callbacks: Callbacks, batches: Batches | None = None) -> bool:
        """Train from the state as it is to the recipe's end; return whether it was reached. Raises `NonFiniteError`.

        `batches` take the place of the run's own.
        """
        recipe, state, plan, ranks = self.recipe, self.state, self.plan, self.ranks
        batches, statistics = batches or self.batches, Statistics(self.device)
        batches.move_to(state.seed(recipe.seed), state.drawn)
        stopwatch = Stopwatch(recipe.train.tick_seconds, state, plan, ranks)
        readback = Readback(state, plan, statistics, ranks, stopwatch, callbacks, self.device)
        runner: WholeIteration | Captured
        runner = iteration = WholeIteration(
            recipe, state, batches, statistics, autocast(self.precision, self.device), ranks
        )

        with stream_of_its_own(self.device):
            # Several ranks compute eagerly: that an exchange between them can be captured is not proven.
            captured = self.device.type == "cuda" and ranks.alone
            if captured:
                compiled = self._compiled(callbacks.note)
                runner = Captured(iteration, cuda_graphs(), self.precision, callbacks.note, compiled)
            elif self.device.type == "cuda":
                callbacks.note("several ranks compute iterations eagerly, not as CUDA graphs")
            if recipe.train.compile and not captured:
                callbacks.note("train.compile = true changes nothing here: it is for one CUDA device")
            while not plan.done(state):
                snapshots_before = plan.snapshots_due(state)
                layout = runner.run(plan.progress(state))
                statistics.count(layout, state.iteration)
                state.iteration += 1
                state.drawn = batches.drawn

                # Only here the host looks at the device. A GPU goes on with its work while the answer is on its way.
                snapshot_due = plan.snapshots_due(state) > snapshots_before or plan.done(state)
                tick_due = snapshot_due or (not readback.open and stopwatch.tick_due(state.iteration))
                if tick_due:
                    readback.ask()
                readback.tell(wait=snapshot_due or not ranks.alone)
                if snapshot_due:
                    callbacks.snapshot()
                # Several ranks stop together, and ask each other only at ticks; one alone stops at once.
                if (tick_due or ranks.alone) and ranks.any(callbacks.stop_requested()):
                    readback.tell(wait=True)
                    return plan.done(state)
        return True

    def _compiled(self, note: Callable[[str], None]) -> Compiled | None:
        """Let the networks be compiled, if the recipe wants that."""
        if not self.recipe.train.compile:
            return None
        if self.recipe.train.deterministic:
            note("train.compile = true changes nothing here: train.deterministic is promised for torch's own kernels")
            return None
        note("torch.compile builds the networks' kernels in the first iterations, which may take a minute")
        return Compiled(self.state.networks.values())
