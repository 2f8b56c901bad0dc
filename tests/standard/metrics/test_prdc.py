"""Precision, recall, density and coverage against loops, and against generators that are known to be bad."""

from __future__ import annotations

import math

import numpy as np
import pytest
from comparisons import normal, of_features

from ganlab.standard.metrics.distances import COLUMNS, squared_distances
from ganlab.standard.metrics.prdc import PRDC


def by_loops(real: np.ndarray, fake: np.ndarray, k: int) -> dict[str, float]:
    """Return the definitions of Kynkäänniemi et al. and Naeem et al., point by point."""

    def reach(points: np.ndarray) -> list[float]:
        return [sorted(math.dist(a, b) for j, b in enumerate(points) if j != i)[k - 1] for i, a in enumerate(points)]

    of_real, of_fake = reach(real), reach(fake)
    inside = [[math.dist(r, f) <= radius for r, radius in zip(real, of_real, strict=True)] for f in fake]
    return {
        "precision": sum(map(any, inside)) / len(fake),
        "recall": sum(any(math.dist(r, f) <= s for f, s in zip(fake, of_fake, strict=True)) for r in real) / len(real),
        "density": sum(map(sum, inside)) / (k * len(fake)),
        "coverage": sum(any(column) for column in zip(*inside, strict=True)) / len(real),
    }


@pytest.mark.parametrize(("k", "shift"), [(1, 0.0), (3, 0.5), (5, 1.5)])
def test_they_are_what_the_definitions_say(k: int, shift: float) -> None:
    real, fake = normal(40, 3, 0), normal(33, 3, 1) * 0.8 + shift
    found = PRDC(k=k).compute(of_features(real, fake))
    assert found == pytest.approx(by_loops(real, fake, k))
    assert list(found) == ["precision", "recall", "density", "coverage"]
    assert 0 < found["precision"] < 1 or k > 1


def test_recall_and_coverage_expose_a_collapse_and_precision_does_not() -> None:
    real = normal(400, 2, 0)
    collapsed = np.repeat(real[:4], 100, 0) + 0.01 * normal(400, 2, 1)
    good = PRDC().compute(of_features(real, normal(400, 2, 2)))
    bad = PRDC().compute(of_features(real, collapsed))
    assert bad["precision"] > 0.9
    assert good["recall"] > 0.9
    assert good["coverage"] > 0.9
    assert bad["recall"] < 0.05
    assert bad["coverage"] < 0.1


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^5 neighbours need more than 5 pictures: take more$"):
        PRDC().compute(of_features(normal(5, 2, 0), normal(9, 2, 1)))


def test_distances_of_pixels_are_exact_however_many_there_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 2 * COLUMNS + 7)).astype(np.uint8)
    found = squared_distances(pixels, pixels[:2])
    wide = pixels.astype(int)
    assert found.tolist() == [[int(((a - b) ** 2).sum()) for b in wide[:2]] for a in wide]
