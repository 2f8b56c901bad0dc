"""Thinned curves keep their spikes, their means and their gaps; the brute force beside them is the oracle."""

from __future__ import annotations

import numpy as np
import pytest

from ganlab.showing.account import Curve
from ganlab.showing.thinning import SPANS, Spans, evenly


def test_few_points_stay_as_they_are() -> None:
    curve = Curve(np.arange(1.0, 2 * SPANS + 1), np.random.default_rng(0).normal(size=2 * SPANS))
    spans = Spans.of(curve)
    assert not spans.thinned
    assert np.array_equal(spans.images, curve.images)
    assert np.array_equal(spans.mean, curve.values)


def test_no_spike_is_lost_and_every_value_counts() -> None:
    generator = np.random.default_rng(1)
    images = np.cumsum(generator.integers(1, 200, 30_000)).astype(float)
    values = generator.normal(size=30_000)
    values[12_345], values[20_000] = 99.0, -77.0
    spans = Spans.of(Curve(images, values), 100)
    assert spans.thinned
    assert len(spans.images) <= 100
    assert (spans.greatest.max(), spans.least.min()) == (99.0, -77.0)
    assert spans.images[-1] == images[-1]
    low = -np.inf
    for place, high in enumerate(spans.images):
        inside = values[(images > low) & (images <= high)]
        assert spans.mean[place] == pytest.approx(inside.mean())
        assert (spans.least[place], spans.greatest[place]) == (inside.min(), inside.max())
        low = high


def test_what_is_no_number_makes_a_gap_only_where_nothing_else_is() -> None:
    images = np.arange(1.0, 1001.0)
    values = np.ones(1000)
    values[100:200] = np.nan
    values[500] = np.nan
    spans = Spans.of(Curve(images, values), 10)
    assert np.flatnonzero(np.isnan(spans.mean)).tolist() == [1]
    assert np.nanmax(spans.greatest) == 1.0
    assert np.isnan(spans.least[1])
    assert np.isnan(spans.greatest[1])


@pytest.mark.parametrize("count", [1, 5])
def test_points_of_one_place_are_one_span(count: int) -> None:
    spans = Spans.of(Curve(np.full(count, 7.0), np.arange(float(count))))
    assert spans.images.tolist() == [7.0]
    assert (spans.least[0], spans.greatest[0]) == (0.0, count - 1.0)


def test_evenly_keeps_the_last_and_the_first() -> None:
    assert evenly(range(3), 5) == [0, 1, 2]
    assert evenly(range(101), 3) == [0, 50, 100]
    assert evenly(range(101), 1) == [100]
    chosen = evenly(range(1000), 25)
    assert (len(set(chosen)), chosen[0], chosen[-1]) == (25, 0, 999)
