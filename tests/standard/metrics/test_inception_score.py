"""The inception score against its definition, its bounds, and what must not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from comparisons import normal, of_features

from ganlab import Comparison
from ganlab.standard.metrics.inception_score import InceptionScore


def of_logits(logits: np.ndarray) -> Comparison:
    """Return a comparison of generated pictures with these logits; each picture is its number."""
    pictures = np.arange(len(logits), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return of_features(logits, logits, pictures=(pictures, pictures))


def score(logits: np.ndarray, splits: int = 1) -> float:
    return InceptionScore(splits=splits).compute(of_logits(logits))["is"]


def test_it_is_what_the_definition_says() -> None:
    logits = 2 * normal(30, 7, 0)
    p = [[math.exp(x) / sum(map(math.exp, row)) for x in row] for row in logits]
    whole = [sum(column) / len(p) for column in zip(*p, strict=True)]
    divergences = [sum(a * math.log(a / b) for a, b in zip(row, whole, strict=True)) for row in p]
    assert score(logits) == pytest.approx(math.exp(sum(divergences) / len(p)), rel=1e-12)


def test_it_lies_between_one_and_the_number_of_classes() -> None:
    certain = 1000 * np.eye(10)  # sure of each picture, and each is another class: beyond what exp can hold
    assert score(certain) == pytest.approx(10)
    assert score(np.repeat(certain[:1], 10, 0)) == pytest.approx(1)  # all of one class
    assert score(np.zeros((10, 10))) == pytest.approx(1)  # no idea of any


def test_each_part_has_a_score_and_the_order_decides_nothing() -> None:
    logits = 2 * normal(23, 7, 1)
    found = InceptionScore(splits=4).compute(of_logits(logits))
    assert found["is_std"] > 0
    order = np.random.default_rng(0).permutation(23)
    comparison = of_logits(logits)
    turned = of_features(logits, logits[order], pictures=(comparison.real, comparison.fake[order]))
    assert InceptionScore(splits=4).compute(turned) == found
    each = [score(logits[i : i + 1]) for i in range(23)]
    assert each == pytest.approx([1.0] * 23)  # a part of one picture has the score 1
    assert InceptionScore(splits=23).compute(comparison) == pytest.approx({"is": 1.0, "is_std": 0.0}, abs=1e-9)


def test_fewer_pictures_than_parts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^9 pictures are too few for 10 parts: take more, or fewer splits$"):
        score(normal(9, 3, 0), 10)
