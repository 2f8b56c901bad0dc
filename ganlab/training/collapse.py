"""Signs that a generator has collapsed. They are said once, and the training goes on: some runs recover."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ganlab.messages import in_words

if TYPE_CHECKING:
    from ganlab.data.pictures import Pictures
    from ganlab.interfaces import Loss

LEAST_SPREAD = 0.01
"""Samples that differ among each other by less than this share of what the data do are one picture."""
QUIET_LOSS = 1e-3
"""A discriminator with a smaller loss has nothing left to learn, and nothing to teach."""
ITERATIONS = 500
"""How long a loss must have been so small. Before that, no generator is expected to draw different pictures."""

SMOOTH = 0.9
"""Salimans et al. 2016, section 3.4: one-sided label smoothing."""


def advice(loss: Loss) -> str:
    """Return what may do better, of the options that there are."""
    label = dict(loss).get("real_label")
    sharp = isinstance(label, float | int) and label > SMOOTH
    words = ["a lower optimizer.lr", *([f"loss.real_label = {SMOOTH}"] if sharp else []), "another seed"]
    return f"the training goes on, but {in_words(words, 'or')} may do better"


class CollapseWatch:
    """Looks for collapse in what a run reports anyway."""

    def __init__(self, reals: Pictures) -> None:
        """`reals` are pictures of the data `(N, H, W, C)`, uint8."""
        self._data_spread = spread(reals)
        self._last_iteration: int | None = None
        self._quiet_since: int | None = None
        self._said = False

    def tick(self, iteration: int, stats: Mapping[str, float]) -> str | None:
        """Return a warning where the discriminator's loss has been all but 0 for long."""
        quiet = abs(stats.get("loss_discriminator", 1.0)) < QUIET_LOSS
        before, self._last_iteration = self._last_iteration, iteration
        if not quiet or before is None:  # the first tick does not say since when its mean is taken
            self._quiet_since = None
            return None
        if self._quiet_since is None:
            self._quiet_since = before
        if iteration - self._quiet_since < ITERATIONS:
            return None
        return self._once(
            f"likely collapse: the discriminator's loss has been below {QUIET_LOSS:g} since iteration "
            f"{self._quiet_since:,}, so the generator learns nothing from it"
        )

    def snapshot(self, iteration: int, samples: Pictures) -> str | None:
        """Return a warning where the samples `(N, H, W, C)`, uint8, are all but the same picture."""
        if iteration < ITERATIONS or len(samples) < 2 or self._data_spread == 0.0:
            return None
        share = spread(samples) / self._data_spread
        if share >= LEAST_SPREAD:
            return None
        return self._once(
            f"likely collapse: the samples of iteration {iteration:,} are all but the same picture; they differ among "
            f"each other by {share:.1%} of what the pictures of the data do"
        )

    def _once(self, warning: str) -> str | None:
        if self._said:
            return None
        self._said = True
        return warning


def spread(pictures: Pictures) -> float:
    """Return the standard deviation among pictures `(N, H, W, C)`, averaged over their pixels, 0 to 127.5."""
    return float(np.std(pictures, axis=0, dtype=np.float64).mean())
