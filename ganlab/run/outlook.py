"""How long a run will be and what it will write, said before it begins, and what speaks against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ganlab.health.advice import AUGMENTATION
from ganlab.health.balance import FEW_PICTURES
from ganlab.messages import counted, setting
from ganlab.recipe.schedules import schedules_of

if TYPE_CHECKING:
    from ganlab.interfaces import ImageSpec
    from ganlab.recipe.recipe import Recipe
    from ganlab.training.plan import Plan
    from ganlab.training.state import State

FEW_ITERATIONS = 2_000
"""What the smallest networks need on the smallest pictures before these are recognised."""


class Outlook(NamedTuple):
    """The length of a run, and what it writes."""

    iterations: int
    exact: bool
    """Whether it is known how many batches an iteration draws; else there may be fewer iterations, but not more."""
    images: int
    """Pictures that will be seen, repetitions counted."""
    snapshots: int
    snapshot_bytes: int
    """What one of them writes: a checkpoint, the generator, and a sample grid, which is counted as if it were not
    compressed."""
    generators: int = 0
    """Generators that are kept beside the newest one."""
    generator_bytes: int = 0

    def __str__(self) -> str:
        most = "" if self.exact else "up to "
        written = self.snapshots * self.snapshot_bytes + self.generators * self.generator_bytes
        return (
            f"{most}{counted(self.iterations, 'iteration')} on {counted(self.images, 'picture')}, "
            f"{most}{counted(self.snapshots, 'snapshot')} of "
            f"{megabytes(self.snapshot_bytes)}, {megabytes(written)} written in all"
        )

    @property
    def kept(self) -> str:
        """What the generators that are kept take on the disk, in words; nothing where none is."""
        if not self.generators:
            return ""
        most = "" if self.exact else "up to "
        size = megabytes(self.generators * self.generator_bytes)
        return f"{most}{size} in {counted(self.generators, 'generator')}"


def outlook(recipe: Recipe, state: State, images: ImageSpec, plan: Plan, batches: int | None = None) -> Outlook:
    """Return how long a run will be, of whose tensors `state` has at least the shapes.

    `batches` are those that an iteration draws, where that is known.
    """
    from ganlab.networks.shipment import shipment

    course = plan.course(batches or 1)
    shipped = shipment(recipe.model, state.networks)
    weights = sum(tensor.nbytes for tensor in (*shipped.parameters(), *shipped.buffers()))
    checkpoint = sum(tensor.nbytes for _, tensor in state.tensors())
    grid = recipe.snapshot.samples * images.channels * images.height * images.width
    exact = batches is not None or recipe.train.iterations is not None
    return Outlook(
        course.iterations,
        exact,
        course.batches * recipe.train.batch_size,
        course.snapshots,
        checkpoint + weights + grid,
        course.generators,
        weights,
    )


def warnings(recipe: Recipe, pictures: int, ahead: Outlook) -> Iterator[str]:
    """Yield what the user should consider before so many iterations on so many pictures."""
    if ahead.iterations < FEW_ITERATIONS:
        yield (
            f"{counted(ahead.iterations, 'iteration is', 'iterations are')} few: most models need "
            f"thousands before their pictures are recognised; train longer with {setting('train.iterations', 25000)}"
        )
    yield from _rates_that_end(recipe, ahead)
    if pictures < FEW_PICTURES and recipe.augmentation is None and "discriminator" in recipe.model.networks:
        yield (
            f"{counted(pictures, 'picture is', 'pictures are')} few: a discriminator soon knows them by heart, unless "
            f'it sees each of them changed; write [augmentation] with name = "{AUGMENTATION}" into the recipe'
        )


def _rates_that_end(recipe: Recipe, ahead: Outlook) -> Iterator[str]:
    """Yield a warning for each learning rate that is 0 long before the training ends."""
    length = {"epochs": recipe.train.epochs, "images": ahead.images, "iterations": ahead.iterations, "progress": 1.0}
    for network, optimizer in recipe.optimizer.items():
        for name, schedule in schedules_of(optimizer):
            lasts, end = length[schedule.unit], schedule.after + schedule.length
            if name == "lr" and schedule.to == 0 and lasts is not None and end < lasts:
                yield (
                    f"the learning rate of the {network} is 0 from {end:g} {schedule.unit} on, and the training lasts "
                    f"{lasts:g}: it learns nothing from there; let the schedule optimizer.lr last as long"
                )


def megabytes(size: int) -> str:
    """Return a size as people read it, with three digits at least, so that what is multiplied adds up."""
    return f"{size / 1e6:,.{min(max(9 - len(str(size)), 0), 6)}f} MB"
