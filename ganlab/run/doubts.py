"""What looks wrong in a recipe before it is trained, beside what a run itself warns of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ganlab.interfaces import Options, Schedule
from ganlab.recipe.schedules import schedules_of

if TYPE_CHECKING:
    from ganlab.recipe.recipe import Recipe
    from ganlab.run.outlook import Outlook

STEEP = 1e-2
"""A learning rate from which on no published GAN was trained with Adam."""
UNEQUAL = 10.0
"""How many times another network's a learning rate may be; two-rate training takes 4 (Heusel et al. 2017)."""
LEFT_OVER = 0.01
"""Which part of the average may still be the first weights at the end."""


def doubts(recipe: Recipe, ahead: Outlook) -> Iterator[str]:
    """Yield what looks wrong, a sentence each with the option that changes it."""
    yield from _rates(recipe)
    yield from _average(recipe, ahead)
    yield from _schedules_too_long(recipe, ahead)
    if ahead.snapshots <= 2 < ahead.iterations:
        yield (
            "there is no snapshot between the first and the last iteration, so nothing is to be seen before the end "
            "and a stop loses all: lower snapshot.every_iterations or snapshot.every_epochs"
        )


def _rates(recipe: Recipe) -> Iterator[str]:
    first = {network: _first(dict(optimizer).get("lr")) for network, optimizer in recipe.optimizer.items()}
    rates = {network: rate for network, rate in first.items() if rate is not None}
    for network, rate in rates.items():
        if rate >= STEEP:
            high = f"the learning rate of the {network}, {rate:g}, is high"
            yield f"{high}: those of published GANs are at most 2e-3; lower optimizer.lr"
            return
    if rates and max(rates.values()) > UNEQUAL * min(rates.values()):
        fast, slow = max(rates, key=rates.__getitem__), min(rates, key=rates.__getitem__)
        yield (
            f"the {fast} learns {rates[fast] / rates[slow]:,.0f} times as fast as the {slow}, which may never catch "
            f"up; lower optimizer.{fast}.lr"
        )


def _average(recipe: Recipe, ahead: Outlook) -> Iterator[str]:
    average = recipe.moving_average
    half_life = average.half_life_images
    if not average.enabled or average.warm_up or isinstance(half_life, Schedule):
        return
    left = 0.5 ** (ahead.images / half_life)
    if left > LEFT_OVER:
        yield (
            f"the average of the generator's weights still is by {left:.0%} what it began with: its half-life of "
            f"{half_life:,.0f} pictures is long for {ahead.images:,}; lower moving_average.half_life_images, or set "
            "moving_average.warm_up = true"
        )


def _schedules_too_long(recipe: Recipe, ahead: Outlook) -> Iterator[str]:
    length = {"epochs": recipe.train.epochs, "images": ahead.images, "iterations": ahead.iterations, "progress": 1.0}
    tables: dict[str, Options] = {"loss": recipe.loss, "moving_average": recipe.moving_average, **_optimizers(recipe)}
    for table, component in tables.items():
        for name, schedule in schedules_of(component):
            lasts, end = length[schedule.unit], schedule.after + schedule.length
            if lasts is not None and end > 1.01 * lasts:
                yield (
                    f"the schedule of {table}.{name} ends after {end:g} {schedule.unit}, and the training after "
                    f"{lasts:g}: it is broken off on the way; let both last as long"
                )


def _optimizers(recipe: Recipe) -> dict[str, Options]:
    """Return the general optimizer, and those that networks have for themselves, by what a recipe calls them."""
    own = {network for network, table in recipe.table["optimizer"].items() if network in recipe.optimizer and table}
    named: dict[str, Options] = {
        f"optimizer.{network}": optimizer for network, optimizer in recipe.optimizer.items() if network in own
    }
    shared = next((optimizer for network, optimizer in recipe.optimizer.items() if network not in own), None)
    if shared is not None:
        named["optimizer"] = shared
    return named


def _first(rate: object) -> float | None:
    if isinstance(rate, Schedule):
        return max(float(rate.start), float(rate.to))
    return float(rate) if isinstance(rate, int | float) else None
