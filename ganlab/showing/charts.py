"""Charts: their data for the page's script, and the same numbers as a table, which every reader can read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ganlab.messages import counted
from ganlab.showing.account import Curve, Floats
from ganlab.showing.markup import Markup, details, table, tag
from ganlab.showing.thinning import Spans

LOSS = "loss_"
"""How the name of a loss begins."""
ROWS = 16
"""Of a chart's table."""


class Line(NamedTuple):
    """One line of a chart."""

    label: str
    curve: Curve
    spans: Spans


class Chart(NamedTuple):
    """Lines over the real pictures seen."""

    title: str
    lines: Sequence[Line]

    @property
    def data(self) -> dict[str, Any]:
        """Return what the page's script draws; null breaks a line."""
        return {"title": self.title, "lines": [_data(line) for line in self.lines]}


def charts_of(curves: Mapping[str, Curve]) -> list[Chart]:
    """Return the charts of one run: the losses, what lies between 0 and 1, and each other number by itself."""
    losses = [name for name in curves if name.startswith(LOSS)]
    shares = [name for name in curves if name not in losses and _is_share(curves[name].values)]
    others = [name for name in curves if name not in losses and name not in shares]
    together = [Chart("Losses", [_line(name, curves[name]) for name in losses])] if losses else []
    if shares:
        together.append(Chart(", ".join(shares), [_line(name, curves[name]) for name in shares]))
    return together + charts_apart({name: curves[name] for name in others})


def charts_apart(curves: Mapping[str, Curve]) -> list[Chart]:
    """Return a chart for each number of one run."""
    return [Chart(name, [_line(name, curve)]) for name, curve in curves.items()]


def charts_of_runs(runs: Mapping[str, Mapping[str, Curve]]) -> list[Chart]:
    """Return a chart for each number, with a line for each run that has it. `runs` has their curves by their names."""
    names = dict.fromkeys(name for curves in runs.values() for name in curves)
    return [
        Chart(name, [_line(run, curves[name]) for run, curves in runs.items() if name in curves])
        for name in sorted(names, key=lambda name: not name.startswith(LOSS))
    ]


def figure(chart: Chart, number: int) -> Markup:
    """Return the place where the script draws the chart of this `number`, with its table."""
    about = f"{chart.title}, over the real pictures seen"
    keys = "Arrow keys move the cursor, plus and minus zoom, 0 shows all"
    drawn = tag(
        "div",
        {"class": "chart", "data-chart": number, "tabindex": 0, "role": "group", "aria-label": f"{about}. {keys}."},
    )
    return tag(
        "figure",
        {"class": "plot"},
        tag(
            "figcaption", {}, tag("h4", {}, chart.title), *(tag("p", {"class": "quiet"}, text) for text in _said(chart))
        ),
        drawn,
        details("As a table", _table(chart)),
    )


def number(value: float) -> str:
    """Write a number with four digits; a dash where it is none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10_000 and value == round(value) else f"{value:.4g}"


def _line(label: str, curve: Curve) -> Line:
    return Line(label, curve, Spans.of(curve))


def _is_share(values: Floats) -> bool:
    known = values[np.isfinite(values)]
    return bool(len(known)) and bool(np.all((known >= 0.0) & (known <= 1.0)))


def _data(line: Line) -> dict[str, Any]:
    spans = line.spans
    data = {"label": line.label, "x": [int(x) for x in spans.images], "y": _numbers(spans.mean)}
    if spans.thinned:
        data |= {"low": _numbers(spans.least), "high": _numbers(spans.greatest)}
    return data


def _numbers(values: Floats) -> list[float | None]:
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values]


def _said(chart: Chart) -> Iterator[str]:
    """Say what the lines are of, where they are not what was measured, point by point."""
    for line in chart.lines:
        if lost := int(np.count_nonzero(~np.isfinite(line.curve.values))):
            yield f"{counted(lost, 'value')} of {line.label} {'is' if lost == 1 else 'are'} no finite number."
    if any(line.spans.thinned for line in chart.lines):
        points = max(len(line.curve.images) for line in chart.lines)
        yield f"Lines are means of up to {points:,} points; the pale bands reach from the least to the greatest."


def _table(chart: Chart) -> Markup:
    """Return the chart as a table of some spans, the same for all its lines."""
    curves = [line.curve for line in chart.lines]
    first = min(curve.images[0] for curve in curves)
    last = max(curve.images[-1] for curve in curves)
    own = np.unique(np.concatenate([curve.images for curve in curves]))
    edges = own if len(own) <= ROWS else np.unique(np.linspace(first, last, ROWS + 1)[1:].round())
    columns = [[_cell(curve, low, high) for low, high in _between(edges)] for curve in curves]
    rows = [(f"{int(edge):,}", *cells) for edge, cells in zip(edges, zip(*columns, strict=True), strict=True)]
    spans = "" if len(own) <= ROWS else ": the mean since the row above, and from the least to the greatest value"
    return table(["Images seen", *(line.label for line in chart.lines)], rows, f"{chart.title}{spans}")


def _between(edges: Floats) -> Iterator[tuple[float, float]]:
    yield from zip([-math.inf, *edges[:-1]], edges, strict=True)


def _cell(curve: Curve, low: float, high: float) -> str:
    values = curve.values[(curve.images > low) & (curve.images <= high)]
    known = values[np.isfinite(values)]
    if not len(known):
        return "–"
    mean = number(float(known.mean()))
    least, greatest = number(float(known.min())), number(float(known.max()))
    return mean if least == greatest else f"{mean} ({least} to {greatest})"
