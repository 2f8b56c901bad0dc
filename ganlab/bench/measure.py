"""How fast a recipe trains on this machine, how much of the device that is, and what keeps it from more."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, cast

from ganlab.bench.clock import Block, Clock
from ganlab.bench.peak import measure_peak
from ganlab.bench.report import Lower, Report, Startup, spread
from ganlab.errors import GanlabError
from ganlab.hardware.load import Load, yielding_threads
from ganlab.hardware.memory import memory_errors
from ganlab.interfaces import Batch
from ganlab.messages import setting
from ganlab.run.culprit import naming_culprit
from ganlab.run.signals import watching_signals

if TYPE_CHECKING:
    import torch
    from torch.utils.module_tracker import ModuleTracker

    from ganlab.data.batches import Batches, Draw
    from ganlab.data.packing import Packed
    from ganlab.hardware.device import Precision
    from ganlab.recipe.recipe import Recipe
    from ganlab.training.trainer import Trainer

ENDLESS = 2**62
BLOCKS = 40
"""Into how many blocks the time is cut, at most: a block has one iteration at least."""
FEW = 8
"""What part of a batch tells the cost of an iteration that no picture causes."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is, 0 where that is not known."""


def measure(recipe: Recipe, seconds: float, progress: Progress) -> Report:
    """Train `recipe` for about `seconds`, from its first weights and in no directory, and report how fast that is.

    Pictures are packed into the cache as for a run; nothing else is kept. Raises what a run would raise.
    """
    started, load = time.perf_counter(), Load()

    def out_of_memory() -> str:
        half = max(1, recipe.train.batch_size // 2)
        return f"out of memory; smaller networks and pictures need less, or {setting('train.batch_size', half)}"

    with watching_signals() as interruption, memory_errors(out_of_memory), naming_culprit(recipe):
        with interruption.importing(), yielding_threads():
            import torch

            from ganlab.data.packing import pack
            from ganlab.distributed.ranks import place
            from ganlab.hardware.device import (
                arithmetic,
                choose_device,
                choose_precision,
                lower_precision,
                memory_held,
                processor,
            )

        imported = time.perf_counter()
        if place().world > 1:
            raise GanlabError("ganlab bench measures one process; start it without torchrun")
        device = choose_device(recipe.train.device, "train.device")
        notes: list[str] = []
        precision = choose_precision(recipe.train.precision, device, notes.append)
        packed = pack(recipe.dataset, recipe.table["dataset"]["name"], progress)
        found = time.perf_counter()
        with arithmetic(device, precision, recipe.train.deterministic, recipe.train.threads):
            bench = _Bench(endless(recipe), packed, device, precision, seconds / BLOCKS)
            built = time.perf_counter()
            flops, first = bench.count()
            mine, fixed = bench.race(0.7 * seconds, progress)
            memory = memory_held(device)
            host = bench.fixed_cost(0.1 * seconds, mine) if device.type == "cpu" else bench.enqueue_seconds
            progress("measuring the peak", 0, 0)
            peak = measure_peak(device, precision, 0.05 * seconds)
            progress("measuring the peak", 1, 1)
            threads = torch.get_num_threads()
        lower = None
        if half := lower_precision(device, precision):
            progress(f"measuring {half}", 0, 0)
            lower = _lower(recipe, packed, device, half, 0.15 * seconds, mine)
            progress(f"measuring {half}", 1, 1)
        # A GPU needs a core that tells it what to do.
        crowded = load.crowded(threads if device.type == "cpu" else 1)
    images = bench.batches_per_iteration * recipe.train.batch_size
    return Report(
        recipe=recipe.name,
        device=str(device),
        processor=processor(device),
        precision=precision,
        threads=threads,
        torch=str(torch.__version__),
        batch_size=recipe.train.batch_size,
        pictures=(len(packed.images), *packed.spec[:3]),
        images_per_second=spread([images / block.each for block in mine]),
        iteration_seconds=spread([block.each for block in mine]),
        blocks=len(mine),
        iterations=sum(block.iterations for block in mine),
        flops=flops,
        peak=peak,
        data_share=max(0.0, 1.0 - _typical(fixed) / _typical(mine)),
        host_seconds=host,
        memory_bytes=memory,
        lower=lower,
        crowded=crowded,
        notes=(*notes, *bench.notes),
        startup=Startup(imported - started, found - imported, built - found, first),
    )


class _Bench:
    """A trainer, put through the loop without a directory."""

    def __init__(
        self, recipe: Recipe, packed: Packed, device: torch.device, precision: Precision, block_seconds: float
    ) -> None:
        from ganlab.training.trainer import Trainer

        self._trainer, self._block_seconds = Trainer(recipe, packed, device, precision), block_seconds
        self.notes: list[str] = []
        self.enqueue_seconds: float | None = None
        self.batches_per_iteration = 1.0

    def count(self) -> tuple[float, float]:
        """Run two periods of the loss; return the FLOPs of an iteration and the seconds of the first one."""
        trainer = self._trainer
        state, period = trainer.state, trainer.recipe.loss.period
        begun = time.perf_counter()
        ends = _ends(trainer, period)
        # Only now: counting, and the import of what counts, would be a part of the first iteration.
        from torch.utils.flop_counter import FlopCounterMode

        counter = FlopCounterMode(display=False)
        # Its tracker hooks into the inputs of every module, which torch.autograd.grad in a loss does not bear: gradient
        # penalties would break down.
        counter.mod_tracker = cast("ModuleTracker", _Untracked())
        with counter:
            _ends(trainer, period)
        self.batches_per_iteration = state.drawn / state.iteration
        return counter.get_total_flops() / period, ends[0] - begun

    def race(self, seconds: float, progress: Progress) -> tuple[list[Block], list[Block]]:
        """Return the blocks of training on the data, and on one batch that is there already, measured in turns."""
        batches = self._trainer.batches
        fixed = cast("Batches", _Fixed(batches))
        blocks: dict[int, list[Block]] = {id(batches): [], id(fixed): []}
        enqueued = []
        for turn, contestant in enumerate((batches, fixed, fixed, batches)):
            progress("measuring", turn, 4)
            clock = self._leg(self._trainer, contestant, seconds / 4)
            blocks[id(contestant)] += clock.blocks
            enqueued += clock.enqueued
        progress("measuring", 4, 4)
        self.enqueue_seconds = statistics.median(enqueued) if enqueued else None
        return blocks[id(batches)], blocks[id(fixed)]

    def alone(self, seconds: float) -> list[Block]:
        """Return the blocks of training on the data."""
        return self._leg(self._trainer, self._trainer.batches, seconds).blocks

    def fixed_cost(self, seconds: float, whole: Sequence[Block]) -> float | None:
        """Return what an iteration takes whatever its batch: the line through two batch sizes, at no pictures."""
        from ganlab.training.trainer import Trainer

        trainer = self._trainer
        size = trainer.recipe.train.batch_size
        few = size // FEW
        if few < 2:
            return None  # BatchNorm needs two
        train = trainer.recipe.train.model_copy(update={"batch_size": few})
        recipe = dataclasses.replace(trainer.recipe, train=train)
        little = Trainer(recipe, trainer.packed, trainer.device, trainer.precision)
        blocks = self._leg(little, little.batches, seconds).blocks
        small, large = (
            statistics.median(block.seconds / block.iterations for block in part) for part in (blocks, whole)
        )
        return max(0.0, (small * size - large * few) / (size - few))

    def _leg(self, trainer: Trainer, batches: Batches, seconds: float) -> Clock:
        from ganlab.training.ticks import Callbacks

        clock = Clock(trainer.state, trainer.device, seconds, self._block_seconds, trainer.recipe.loss.period)
        trainer.run(Callbacks(note=self._note, stop_requested=clock.stop_requested), batches)
        return clock

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


class _Untracked:
    """Stands for the tracker of modules where the arithmetic of all of them together is asked for."""

    parents = frozenset({"Global"})

    def __enter__(self) -> _Untracked:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _ends(trainer: Trainer, iterations: int) -> list[float]:
    """Train so many iterations, and return when each has ended."""
    from ganlab.hardware.device import synchronize
    from ganlab.training.ticks import Callbacks

    ends: list[float] = []

    def stop_requested() -> bool:
        synchronize(trainer.device)
        ends.append(time.perf_counter())
        return len(ends) >= iterations

    trainer.run(Callbacks(stop_requested=stop_requested))
    return ends


class _Fixed(Iterator[Batch]):
    """Stands for `Batches` with the same batch again and again: what an iteration takes without its data."""

    def __init__(self, batches: Batches) -> None:
        self.per_epoch, self.device, self.drawn = batches.per_epoch, batches.device, batches.drawn
        self._draw = batches.draw()
        self._batch = batches.made_of(self._draw)

    def move_to(self, seed: int, drawn: int) -> None:
        self.drawn = drawn

    def draw(self) -> Draw:
        self.drawn += 1
        return self._draw

    def draw_into(self, place: Draw) -> None:
        self.drawn += 1  # what lies there is as good

    def made_of(self, draw: Draw) -> Batch:
        return self._batch

    def __next__(self) -> Batch:
        return self.made_of(self.draw())


def _typical(blocks: Sequence[Block]) -> float:
    """Return the median seconds of an iteration."""
    return statistics.median(block.each for block in blocks)


def _lower(
    recipe: Recipe, packed: Packed, device: torch.device, precision: Precision, seconds: float, mine: Sequence[Block]
) -> Lower | None:
    """Measure a lower precision than that of `mine`; return None where the recipe does not train in it."""
    from ganlab.hardware.device import arithmetic

    try:
        with arithmetic(device, precision, recipe.train.deterministic, recipe.train.threads):
            blocks = _Bench(endless(recipe), packed, device, precision, seconds / BLOCKS).alone(seconds)
    except (RuntimeError, MemoryError, GanlabError):  # an operator that lacks it, memory for two, NaN
        return None
    return Lower(precision, _typical(mine) / _typical(blocks))


def endless(recipe: Recipe) -> Recipe:
    """Return the recipe without an end or snapshots."""
    train = {"epochs": None, "iterations": ENDLESS}
    snapshot = {"every_epochs": None, "every_iterations": ENDLESS}
    return dataclasses.replace(
        recipe,
        train=recipe.train.model_copy(update=train),
        snapshot=recipe.snapshot.model_copy(update=snapshot),
    )
