"""FID: the Fréchet distance of the features of Inception, by which papers compare generators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ganlab import Comparison, FeatureNetwork, Metric, PublishedWeights
from ganlab.standard.metrics.frechet import distance_of
from ganlab.standard.metrics.inception import DIMENSIONS, FEATURES, WEIGHTS, inception


class FID(Metric):
    """Fréchet inception distance (Heusel et al. 2017): that of the features of the Inception network of 2015.

    It is biased: the fewer pictures, the larger. Papers mostly take 50,000 generated ones and all real ones.
    """

    api = 1
    better: ClassVar = "lower"
    brings_network: ClassVar[bool] = True
    least_pictures: ClassVar[int] = DIMENSIONS + 1
    published: ClassVar[PublishedWeights | None] = WEIGHTS

    weights: Path | None = None
    """The file of Inception's weights. Unset: the one that `ganlab metrics fetch` has downloaded."""

    def network(self, device: str) -> FeatureNetwork:
        """Return Inception up to its last features."""
        return inception(self.weights, device, FEATURES)

    def compute(self, comparison: Comparison) -> Mapping[str, float]:
        """Refuse fewer pictures than dimensions, of which covariances say nothing."""
        return {"fid": distance_of(comparison)}
