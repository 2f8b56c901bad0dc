"""Charts: which numbers stand together, what the script is given, and the table beside it."""

from __future__ import annotations

import json
import math

import numpy as np
from showing.test_markup import Read

from ganlab.showing.account import Curve
from ganlab.showing.charts import charts_apart, charts_of, charts_of_runs, figure, number


def curve(*values: float) -> Curve:
    return Curve(np.arange(1.0, len(values) + 1), np.array(values))


def test_losses_stand_together_and_so_do_shares_and_the_rest_alone() -> None:
    found = charts_of(
        {
            "loss_generator": curve(0.1),
            "loss_critic": curve(9.0),
            "D(x)": curve(0.5),
            "gap": curve(2.0),
            "p": curve(0.0),
        }
    )
    assert [(chart.title, [line.label for line in chart.lines]) for chart in found] == [
        ("Losses", ["loss_generator", "loss_critic"]),
        ("D(x), p", ["D(x)", "p"]),
        ("gap", ["gap"]),
    ]
    assert charts_of({}) == []
    assert [chart.title for chart in charts_apart({"a": curve(0.1), "b": curve(0.1)})] == ["a", "b"]


def test_of_several_runs_each_number_has_a_chart_with_those_that_have_it() -> None:
    found = charts_of_runs({"one": {"D(x)": curve(1.0), "loss_g": curve(2.0)}, "two": {"loss_g": curve(3.0)}})
    assert [(chart.title, [line.label for line in chart.lines]) for chart in found] == [
        ("loss_g", ["one", "two"]),
        ("D(x)", ["one"]),
    ]


def test_the_script_gets_numbers_and_null_where_there_is_none() -> None:
    (chart,) = charts_of({"loss": curve(1 / 3, math.nan, 1e30)})
    assert json.loads(json.dumps(chart.data, allow_nan=False)) == {
        "title": "loss",
        "lines": [{"label": "loss", "x": [1, 2, 3], "y": [0.33333, None, 1e30]}],
    }


def test_of_thinned_lines_it_gets_least_and_greatest_too() -> None:
    values = np.zeros(5000)
    values[77] = 12.0
    (chart,) = charts_of({"spiky": Curve(np.arange(5000.0), values)})
    (line,) = chart.data["lines"]
    assert max(line["high"]) == 12.0
    assert len(line["x"]) == len(line["y"]) == len(line["low"]) == len(line["high"]) < 1000
    assert "means of up to 5,000 points" in figure(chart, 0).html


def test_the_table_has_the_same_numbers() -> None:
    (chart,) = charts_of({"loss_a": curve(1.0, 2.0), "loss_<b>": Curve(np.array([2.0]), np.array([math.nan]))})
    read = Read(figure(chart, 3).html)
    cells = read.texts[read.texts.index("Images seen") :]
    assert cells == ["Images seen", "loss_a", "loss_<b>", "1", "1", "–", "2", "2", "–"]
    assert "1 value of loss_<b> is no finite number." in read.texts
    (drawn,) = [given for name, given in read.elements if given.get("data-chart") == "3"]
    assert drawn["tabindex"] == "0"
    assert (drawn["aria-label"] or "").startswith("Losses, over the real pictures seen")


def test_a_long_curve_has_a_short_table_that_shows_its_spike() -> None:
    values = np.ones(50_000)
    values[40_000] = 501.0
    (chart,) = charts_of({"x": Curve(np.arange(50_000.0), values)})
    read = Read(figure(chart, 0).html)
    assert sum(name == "tr" for name, _ in read.elements) == 17
    assert "1.16 (1 to 501)" in read.texts


def test_numbers_have_four_digits() -> None:
    assert [number(value) for value in (math.nan, math.inf, 0.0, 0.123456, 12345.0, 1.5e12, -3e-9)] == [
        "–", "–", "0", "0.1235", "12,345", "1,500,000,000,000", "-3e-09",
    ]  # fmt: skip
