"""Nearest neighbours: which generated pictures are copies of real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from ganlab import Comparison, Metric
from ganlab.standard.metrics.distances import squared_distances, squared_distances_within

CLOSE = 1 / 3
"""A picture in the middle between two real neighbours is at half of their distance, and so is a blur of them: a copy is
nearer than that."""


class Neighbours(Metric):
    """Memorisation: how near generated pictures are to the nearest real one, against how near real ones are to each
    other.

    `copies` is the part of the generated pictures that are nearer to a real one than a third of its own distance to the
    nearest other real one: suspicious, as no picture between two real ones is so near. `nearness` is the median of that
    quotient, about 1 where pictures are new and as varied as real ones. Noise has no copies either, so no number is
    good by itself: both are to be near those of other real pictures. Only the real pictures that are compared count:
    where every tenth of the data is, a tenth of the copies is found.
    """

    api = 1
    better: ClassVar = "neither"

    space: Literal["pixels", "features"] = "pixels"
    """What is compared. Pixels need no network; features find copies that are shifted or of another brightness, too."""

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        """Look for the nearest real picture of each generated one."""
        of_pixels = (rows.reshape(len(rows), -1) for rows in (comparison.real, comparison.fake))
        real, fake = comparison.features() if self.space == "features" else of_pixels
        if len(real) < 2:
            raise ValueError("a single real picture has no neighbour: take more")
        apart = np.sqrt(squared_distances_within(real).min(1))
        between = squared_distances(fake, real)
        nearest = between.argmin(1)
        distance, usual = np.sqrt(between.min(1)), apart[nearest]
        # A real picture that is there twice is at a distance of 0 from itself: its copies are copies, too.
        quotient = np.divide(distance, usual, out=np.where(distance > 0.0, np.inf, 0.0), where=usual > 0.0)
        nearness = float(np.quantile(quotient, 0.5, method="lower"))
        if not np.isfinite(nearness):
            raise ValueError("most of the real pictures are there twice, so nothing can be said of copies")
        return {"copies": float((quotient <= CLOSE).mean()), "nearness": nearness}
