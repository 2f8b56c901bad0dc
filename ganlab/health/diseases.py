"""What can go wrong with a training: names, what is seen, and from which threshold on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ganlab.health import balance, cycles, looks, progress
from ganlab.health.signs import BLOCK, LONG

_IN_SNAPSHOTS = f"in {looks.SNAPSHOTS} snapshots in succession, from iteration {LONG:,} on: "


class Disease(NamedTuple):
    """What a finding is about."""

    what: str
    """What is wrong."""
    threshold: str
    """From where on it is."""


DISEASES: Mapping[str, Disease] = {
    "discriminator_wins": Disease(
        "the discriminator tells all pictures apart, and the generator learns nothing from it any more",
        f"for {LONG:,} iterations, D(G(z)) below {balance.BEATEN:g} with D(x) above {balance.SURE:g} as probabilities, "
        f"or the discriminator's loss below {balance.LOST_SHARE:.0%} of its largest, or below {balance.QUIET_LOSS:g}; "
        "while the generator's loss does not fall",
    ),
    "generator_collapse": Disease(
        "the generator draws one picture, or a few, whatever its latent",
        f"{_IN_SNAPSHOTS}samples that differ by less than {looks.LEAST_SPREAD:.0%} of what the data's do, or are "
        f"nearer to each other than {looks.LEAST_APART:.0%} of what the data's are; in ganlab doctor RUN, pictures of "
        f"the generator, from iteration {BLOCK} on",
    ),
    "oscillation": Disease(
        "generator and discriminator go round in circles",
        f"{cycles.PERIODS} periods of a cycle within {cycles.POINTS} ticks, correlation {cycles.REGULAR:g} one period "
        f"later, a swing of {cycles.SWING:.0%} of the typical value",
    ),
    "saturation": Disease(
        "pixels are driven to black and white",
        f"{_IN_SNAPSHOTS}{looks.SATURATED:.0%} of what is neither black nor white in the data is so in the samples",
    ),
    "checkerboard": Disease(
        "the samples show the grid of the layers that double the resolution",
        f"{_IN_SNAPSHOTS}a pattern of every 2 or 4 pixels, {looks.GRID:g} times as strong as what is beside it and "
        f"{looks.GRID_OF_REALS:g} times the data's, with {looks.GRID_SHARE:.1%} of the variance",
    ),
    "worse_score": Disease(
        "the scores become worse",
        f"none as good as the best for {progress.EVALUATIONS} evaluations, and the last ones {progress.WORSE:.0%} "
        "further from the score of real pictures",
    ),
    "memorisation": Disease(
        "generated pictures are copies of pictures of the data",
        f"{_IN_SNAPSHOTS}{looks.COPIES:.0%} of the samples beyond what the data have of copies by themselves; in runs "
        f"on fewer than {balance.FEW_PICTURES:,} pictures, and in ganlab doctor RUN on any number",
    ),
    "few_pictures": Disease(
        "the discriminator knows its pictures by heart, because they are few",
        f"for {LONG:,} iterations, sign(D(x)) of {balance.KNOWN:g} or more on fewer than {balance.FEW_PICTURES:,} "
        f"pictures, each seen {balance.REPETITIONS} times",
    ),
}
"""By the names of findings, in the order in which they are listed."""
