"""The inception score. Its name in recipes is `is`, which no module of Python may be called."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import PositiveInt

from ganlab import Comparison, FeatureNetwork, Metric, PublishedWeights
from ganlab.standard.metrics.inception import LOGITS, WEIGHTS, inception
from ganlab.standard.metrics.order import own_order

Floats = np.ndarray[Any, np.dtype[np.float64]]


class InceptionScore(Metric):
    """Inception score (Salimans et al. 2016): how certain a classifier of photographs is of each picture, and how many
    of its thousand classes all of them have together.

    It does not look at the real pictures, and says little of data that is unlike ImageNet. It grows with the number of
    pictures: papers take 50,000. `is_std` is the spread over the parts.
    """

    api = 1
    better: ClassVar = {"is": "higher", "is_std": "neither"}
    brings_network: ClassVar[bool] = True
    published: ClassVar[PublishedWeights | None] = WEIGHTS

    splits: PositiveInt = 10
    """How many parts of the pictures the mean is over."""
    weights: Path | None = None
    """The file of Inception's weights. Unset: the one that `ganlab metrics fetch` has downloaded."""

    def network(self, device: str) -> FeatureNetwork:
        """Return Inception up to the logits of its classes."""
        return inception(self.weights, device, LOGITS)

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        """Compute it of each part; which pictures belong to one is decided by the pictures themselves."""
        _, logits = comparison.features()
        count = len(logits)
        if count < self.splits:
            raise ValueError(f"{count} pictures are too few for {self.splits} parts: take more, or fewer splits")
        shares = _log_softmax(logits[own_order(comparison.fake)])
        edges = [part * count // self.splits for part in range(self.splits + 1)]
        scores = np.array([_score(shares[start:end]) for start, end in pairwise(edges)])
        return {"is": float(scores.mean()), "is_std": float(scores.std())}


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return found


def _score(log_p: Floats) -> float:
    """Return exp of the mean divergence of p(y|x), given as logarithms `(N, classes)`, from p(y)."""
    log_mean = np.logaddexp.reduce(log_p, axis=0) - np.log(len(log_p))  # which is finite however small p is
    return float(np.exp((np.exp(log_p) * (log_p - log_mean)).sum(1).mean()))
