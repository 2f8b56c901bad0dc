"""A recipe before it is trained: what it trains on, what it will take here, and what looks wrong."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from ganlab.bench.pace import pace
from ganlab.errors import GanlabError
from ganlab.hardware.load import Load, yielding_threads
from ganlab.hardware.memory import memory_errors
from ganlab.messages import setting
from ganlab.run.culprit import naming_culprit
from ganlab.run.doubts import doubts
from ganlab.run.outlook import outlook
from ganlab.run.preparation import phases, prepare
from ganlab.run.preview import figures
from ganlab.run.signals import watching_signals

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe
    from ganlab.run.preparation import Prepared


class Checkup(NamedTuple):
    """What was found of a recipe."""

    figures: tuple[str, ...]
    """What it trains and takes, a line each."""
    doubts: tuple[str, ...]
    """What looks wrong, or is to be known, a sentence each."""


def check_up(recipe: Recipe, seconds: float) -> Checkup:
    """Look at a recipe and its pictures, and train for about `seconds` to see how long a run takes here.

    Pictures are packed into the cache as for a run; nothing else is kept. Raises what a run would raise.
    """
    notes: list[str] = []
    load = Load()

    def out_of_memory() -> str:
        half = max(1, recipe.train.batch_size // 2)
        return f"out of memory; smaller networks and pictures need less, or {setting('train.batch_size', half)}"

    with watching_signals() as interruption, memory_errors(out_of_memory), naming_culprit(recipe):
        prepared = prepare(
            recipe, None, False, note=lambda text, _: notes.append(text), importing=interruption.importing
        )
        if prepared.here.world > 1:
            raise GanlabError("ganlab doctor looks with one process; start it without torchrun")
        with interruption.importing(), yielding_threads():
            import torch

            from ganlab.data.census import remarks_on
            from ganlab.hardware.device import arithmetic, usual_modes
            from ganlab.training.footprint import state_without_numbers
            from ganlab.training.plan import Plan

        recipe, packed = prepared.recipe, prepared.packed
        prepared.heartbeat.work = lambda: "training a little, to see how long it takes"
        with prepared.heartbeat.beating(prepared.observers.note), usual_modes():
            notes += remarks_on(packed, recipe.dataset)
            state = state_without_numbers(recipe, packed.spec, notes.append)
            lines = list(figures(recipe, prepared, state, notes))
            judging = _seconds_of_judging(recipe, prepared)
            with arithmetic(prepared.device, prepared.precision, recipe.train.deterministic, recipe.train.threads):
                seen = pace(recipe, packed, prepared.device, prepared.precision, seconds)
            # A GPU needs a core that tells it what to do.
            crowded = load.crowded(torch.get_num_threads() if prepared.device.type == "cpu" else 1)
        if crowded:
            notes.append(f"{crowded}: on an idle machine it takes less time than is said here")
        from ganlab.data.batches import batches_per_epoch

        per_epoch = batches_per_epoch(len(packed.images), recipe.train.batch_size)
        ahead = outlook(recipe, state, packed.spec, Plan(recipe, per_epoch), max(1, round(seen.batches)))
        notes += doubts(recipe, ahead)
        whole = ahead.iterations * seen.iteration_seconds + ahead.snapshots * seen.snapshot_seconds
        parts = f"{ahead.iterations:,} iterations of {1e3 * seen.iteration_seconds:.3g} ms"
        parts += f", {ahead.snapshots:,} snapshots of {seen.snapshot_seconds:.2g} s"
        if recipe.evaluate is not None:
            evaluations = -(-(ahead.snapshots - 1) // recipe.evaluate.every)
            whole += evaluations * judging
            parts += f", {evaluations:,} evaluations of {judging:.2g} s"
        lines.append(f"time        about {_duration(whole)} here: {parts}")
    return Checkup(tuple(lines), tuple(dict.fromkeys(notes)))


def _seconds_of_judging(recipe: Recipe, prepared: Prepared) -> float:
    """Judge real pictures, as a run does before it begins, and return what that takes; 0 where nothing is judged."""
    if recipe.evaluate is None:
        return 0.0
    from ganlab.run.scores import open_judge

    report = phases(prepared.observers, prepared.heartbeat)
    begun = time.perf_counter()
    open_judge(recipe, prepared.packed, str(prepared.device), report, prepared.observers.note)
    return time.perf_counter() - begun


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    return f"{minutes:.0f} min" if minutes < 90 else f"{hours:.1f} h" if hours < 48 else f"{days:.1f} days"
