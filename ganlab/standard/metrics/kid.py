"""Kernel inception distance: the mean discrepancy of the features under a polynomial kernel, without bias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, PositiveInt

from ganlab import Comparison, Metric
from ganlab.standard.metrics.order import in_own_order

Floats = np.ndarray[Any, np.dtype[np.float64]]

ROWS = 2048
"""Rows of the kernel that are computed at once: its memory grows with the number of pictures, not with its square."""


class KID(Metric):
    """Kernel inception distance (Bińkowski et al. 2018): the unbiased squared maximum mean discrepancy of the features,
    kernel (x y / D + 1)^3, mean over subsets.

    Its expectation does not depend on the number of pictures, and for real pictures against real ones it is 0, so it
    may be negative. `kid_std` is the spread over the subsets.
    """

    api = 1
    better: ClassVar = {"kid": "lower", "kid_std": "neither"}
    needs_features: ClassVar[bool] = True

    subsets: PositiveInt = 100
    """How many subsets the mean is over."""
    subset_size: Annotated[int, Field(ge=2)] = 1000
    """Pictures in a subset; of few pictures at most half, or the subsets would be one and the same."""

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        """Compute every kernel once: the sum over a subset is a product with the row that marks its pictures."""
        real, fake = (in_own_order(rows) for rows in comparison.features())
        size = min(self.subset_size, len(real) // 2, len(fake) // 2)
        if size < 2:
            raise ValueError("fewer than 4 pictures have no subsets: take more")
        generator = np.random.default_rng(comparison.seed)
        of_real, of_fake = (_marked(len(rows), size, self.subsets, generator) for rows in (real, fake))
        within = _sums_within(real, of_real) + _sums_within(fake, of_fake)
        found = within / (size * (size - 1)) - 2.0 * _sums(real, fake, of_real, of_fake) / size**2
        return {"kid": float(found.mean()), "kid_std": float(found.std())}


def _marked(count: int, size: int, subsets: int, generator: np.random.Generator) -> Floats:
    """Return random subsets of `count` rows as columns `(count, subsets)` of ones and zeros."""
    marks = np.zeros((count, subsets))
    for column in marks.T:
        column[generator.choice(count, size, replace=False)] = 1.0
    return marks


def _sums(first: Floats, second: Floats, of_first: Floats, of_second: Floats) -> Floats:
    """Return for each subset the sum of the kernel over all pairs of its rows."""
    found = np.zeros(of_first.shape[1])
    for start in range(0, len(first), ROWS):
        rows = slice(start, start + ROWS)
        kernel = (first[rows] @ second.T / first.shape[1] + 1.0) ** 3
        found += (of_first[rows] * (kernel @ of_second)).sum(0)
    return found


def _sums_within(rows: Floats, marks: Floats) -> Floats:
    """Return for each subset the sum over all pairs of two different rows."""
    diagonal = ((rows * rows).sum(1) / rows.shape[1] + 1.0) ** 3
    found: Floats = _sums(rows, rows, marks, marks) - diagonal @ marks
    return found
