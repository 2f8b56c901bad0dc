"""The watch over a run's health: what it knows of the recipe and the pictures, and of what was before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ganlab.health.advice import Options
from ganlab.health.balance import FEW_PICTURES
from ganlab.health.history import Sheets, retell
from ganlab.health.record import findings_of
from ganlab.health.watch import Data, Watch

if TYPE_CHECKING:
    from ganlab.data.packing import Packed
    from ganlab.events import Pictures
    from ganlab.interfaces import ImageSpec
    from ganlab.recipe.recipe import Recipe

SMALL_BYTES = 1 << 29
"""Pictures that take no more are looked through for copies while a run trains, where they are few."""
REMEMBERED = 4_000
"""So many ticks are told again to the watch over a run that goes on: those of two hours, or of all of a short one."""


def watch_over(recipe: Recipe, packed: Packed, reals: Pictures) -> Watch:
    """Return the watch over a run that begins; `reals` are pictures of its data `(N, H, W, C)`."""
    count = len(packed.images)
    few = count < FEW_PICTURES and packed.images.nbytes <= SMALL_BYTES
    return Watch(options_of(recipe), Data(count, reals, packed.images if few else None))


def take_up(watch: Watch, run: Path, recipe: Recipe, images: ImageSpec, iteration: int) -> None:
    """Let the watch know what was up to the iteration from which a run goes on, so that nothing is told twice."""
    retell(watch, run, sheets_of(recipe, images), iteration, REMEMBERED)
    watch.take_up(finding for finding in findings_of(run) if finding.iteration <= iteration)


def options_of(recipe: Recipe) -> Options:
    """Return what can be changed in the training of a recipe."""
    return Options(recipe.table, tuple(recipe.optimizer))


def sheets_of(recipe: Recipe, images: ImageSpec) -> Sheets:
    """Return what the sample grids of a run look like."""
    return Sheets(recipe.snapshot.samples, images.height, images.width)
