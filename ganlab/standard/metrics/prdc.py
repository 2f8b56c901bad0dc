"""Precision, recall, density and coverage: what part of the generated pictures is real, and of the real ones made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import PositiveInt

from ganlab import Comparison, Metric
from ganlab.standard.metrics.distances import squared_distances, squared_distances_within

Floats = np.ndarray[Any, np.dtype[np.float64]]


class PRDC(Metric):
    """Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020), on features.

    A picture's neighbourhood reaches to its k-th nearest of its own kind. `precision`: which part of the generated
    pictures lies in that of a real one; `recall`: which part of the real ones lies in that of a generated one;
    `density`: in how many a generated one lies, of those in which it should; `coverage`: which part of the real ones
    has a generated one in its own. Low recall and coverage show what is missing, a collapse or copies of a few.
    """

    api = 1
    better: ClassVar = "higher"
    needs_features: ClassVar[bool] = True

    k: PositiveInt = 5
    """How many neighbours a neighbourhood has."""

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        """Compare the distances between the sets with those within each."""
        real, fake = comparison.features()
        if self.k >= min(len(real), len(fake)):
            raise ValueError(f"{self.k} neighbours need more than {self.k} pictures: take more")
        between = squared_distances(real, fake)
        of_real, of_fake = (_reach(rows, self.k) for rows in (real, fake))
        in_real = between <= of_real[:, None]
        return {
            "precision": float(in_real.any(0).mean()),
            "recall": float((between <= of_fake).any(1).mean()),
            "density": float(in_real.sum(0).mean() / self.k),
            "coverage": float(in_real.any(1).mean()),
        }


def _reach(rows: Floats, k: int) -> Floats:
    """Return the squared distance of each row to its k-th nearest other one."""
    reach: Floats = np.partition(squared_distances_within(rows), k - 1, axis=1)[:, k - 1]
    return reach
