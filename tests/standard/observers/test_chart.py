"""The chart: what a person sees on it, found again in its pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganlab.standard.observers.chart import Series, draw, span

BLUE, VERMILLION, PALE = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x66, 0x66, 0x66)


def a_series(name: str, values: list[float]) -> Series:
    return Series(name, np.arange(1.0, len(values) + 1) * 1000, np.array(values))


def drawn(*panels: list[Series]) -> np.ndarray:
    return np.asarray(draw("a run", panels, "images seen"))


def line(picture: np.ndarray, colour: tuple[int, int, int], top: int = 80) -> np.ndarray:
    """Return the places `(n, 2)`, x and y, of a colour in the panel that begins at `top`, below its legend."""
    rows, columns = np.nonzero((picture == colour).all(axis=2))
    return np.stack([columns, rows], axis=1)[(rows >= top) & (rows < top + 320)]


def level(picture: np.ndarray, colour: tuple[int, int, int], x: int, top: int = 80) -> float:
    """Return the mean height of a line near column `x`, in pixels from the picture's top."""
    places = line(picture, colour, top)
    return float(places[np.abs(places[:, 0] - x) < 8][:, 1].mean())


def test_panels_lie_above_each_other_and_probabilities_between_0_and_1() -> None:
    losses = [a_series("loss_d", [2 - i / 40 for i in range(40)]), a_series("loss_g", [1 + i / 40 for i in range(40)])]
    picture = drawn(losses, [a_series("D(x)", [0.9] * 40), a_series("D(G(z))", [0.1] * 40)])
    assert picture.shape == (832, 1200, 3)
    assert (picture[0] == 255).all()

    assert level(picture, BLUE, 200) < level(picture, BLUE, 600) < level(picture, BLUE, 1000)  # falls
    assert level(picture, VERMILLION, 200) > level(picture, VERMILLION, 600) > level(picture, VERMILLION, 1000)
    # The axis of probabilities spans 0 to 1 with a margin of 4%: 0.9 and 0.1 lie where they must.
    for colour, value in ((BLUE, 0.9), (VERMILLION, 0.1)):
        expected = 448 + 320 * (1 - (value + 0.04) / 1.08)
        assert level(picture, colour, 600, top=448) == pytest.approx(expected, abs=1)


def test_what_is_no_number_is_a_gap_and_what_is_not_reported_is_none() -> None:
    values = [1.0] * 100 + [math.nan] * 50 + [math.inf] * 50 + [1.0] * 100
    columns = set(line(drawn([a_series("loss", values)]), BLUE)[:, 0])
    assert columns & set(range(100, 400))
    assert not columns & set(range(430, 780))
    assert columns & set(range(800, 1100))

    seldom = Series("penalty", np.array([16.0, 32.0, 48.0]) * 1000, np.array([1.0, 1.0, 1.0]))
    columns = set(line(drawn([seldom]), BLUE)[:, 0])
    assert set(range(420, 1150)) <= columns


def test_a_long_run_is_drawn_as_a_mean_with_the_range_around_it() -> None:
    rng = np.random.default_rng(0)
    picture = drawn([a_series("loss", list(5 + rng.uniform(-1, 1, 20_000)))]).astype(int)
    places = line(picture, BLUE)
    middle = 80 + 320 / 2
    assert np.abs(places[:, 1] - middle).max() < 40  # the mean of 83 values strays little
    # The band has the line's colour, pale: red is the least of its three channels, unlike in the grey grid.
    band = np.nonzero((picture[80:400, 100:1100, 2] - picture[80:400, 100:1100, 0]) > 20)
    assert np.ptp(band[0]) > 2 * np.ptp(places[:, 1])


def test_one_outlier_does_not_flatten_all_the_rest_and_is_mentioned() -> None:
    values = [1 + i / 200 for i in range(200)]
    picture = drawn([a_series("loss", [1e4, *values])])
    assert level(picture, BLUE, 200) - level(picture, BLUE, 1100) > 80
    assert len(line(picture, PALE)) > 100  # in words, at the panel's top
    assert len(line(drawn([a_series("loss", values)]), PALE)) < 20


@pytest.mark.parametrize(
    "values",
    [
        [1.0],
        [0.0] * 9,
        [1e-6, 2e-6, 1.5e-6],
        [1e4, 1e-6] * 9,
        [1e300, -1e300, 1e-300],
        [5e-324] * 3,
        [-12.0, -3.0, -7.5],
        [math.nan] * 300,
        [math.inf],
        [1e6, 1e6 + 1e-3],
    ],
    ids=str,
)
def test_extreme_values_give_a_plot(values: list[float]) -> None:
    picture = drawn([a_series("loss", values)], [a_series("other", values)])
    assert picture.shape == (832, 1200, 3)
    assert len(line(picture, BLUE, top=448)) >= (10 if np.isfinite(values).any() else 0)


def test_twelve_lines_have_a_legend_in_rows_and_dashes_where_the_colours_come_again() -> None:
    picture = drawn([a_series(f"loss_of_network_{i}", [float(i)] * 20) for i in range(12)])
    assert picture.shape[0] > 464 + 24
    # The first and the eighth line are blue. One is a whole line, the other has gaps.
    rows, columns = np.nonzero((picture[136:] == BLUE).all(axis=2))
    lowest, upper = rows.max() - 3, rows[rows < rows.max() - 100]
    whole = len(set(columns[rows >= lowest]))
    dashed = len(set(columns[np.isin(rows, upper)]))
    assert 0.3 * whole < dashed < 0.8 * whole


@pytest.mark.parametrize("name", ["Größe 図 \x1b[31m\n\t" * 9, "", "x" * 400])
def test_any_name_can_be_drawn(name: str) -> None:
    assert draw(name, [[a_series(name, [1.0, 2.0])]], "images seen").size == (1200, 464)


def test_ticks_are_round_and_their_labels_short() -> None:
    labels = {
        (0.0, 1.08): ["0", "0.2", "0.4", "0.6", "0.8", "1.0"],
        (0.0, 5_063_680.0): ["0", "1M", "2M", "3M", "4M", "5M"],
        (0.0, 700.0): ["0", "100", "200", "300", "400", "500", "600", "700"],
        (0.0, 1600.0): ["0", "0.5k", "1.0k", "1.5k"],
        (-12.0, 7.0): ["-10", "-5", "0", "5"],
        (9e-7, 2.1e-6): ["1.0e-6", "1.2e-6", "1.4e-6", "1.6e-6", "1.8e-6", "2.0e-6"],
        (0.0, 3e20): ["0", "5e19", "1.0e20", "1.5e20", "2.0e20", "2.5e20", "3.0e20"],
    }
    assert {ends: span(*ends).labels for ends in labels} == labels


@settings(deadline=None)  # a busy machine is no error
@given(st.floats(-1e30, 1e30), st.floats(1e-3, 10.0))
def test_every_axis_has_a_few_ticks_on_it_with_labels_of_their_own(low: float, share: float) -> None:
    length = share * max(abs(low), 1e-20)
    axis = span(low, low + length)
    assert 3 <= len(axis.ticks) <= 11
    assert len(set(axis.labels)) == len(axis.labels)
    assert axis.low - length * 1e-6 <= axis.ticks[0] < axis.ticks[-1] <= axis.high + length * 1e-6
    steps = np.diff(axis.ticks)
    assert steps == pytest.approx(np.full_like(steps, steps[0]), rel=1e-3)
    mantissa = f"{steps[0]:.3e}".split("e")[0]
    assert mantissa in ("1.000", "2.000", "5.000")
