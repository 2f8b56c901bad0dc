"""Line charts drawn with Pillow alone: panels above each other over one x axis.

It is ours because the import of matplotlib alone takes 8 times as long as all of our plot (measured).
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ganlab.standard.observers.wording import number

Values = np.ndarray[Any, np.dtype[np.float64]]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

WIDTH, PANEL_HEIGHT = 1200, 320
TOP, BOTTOM, RIGHT, ROW, GAP = 56, 64, 32, 24, 24
SCALE = 3
"""Lines are drawn this many times larger and scaled down, which smooths them; Pillow draws no smooth lines itself."""
BINS = 240
"""More points than this are drawn as means and ranges: a line of every point would be a smear."""
DOTS = 30
"""With fewer points than this each gets a dot."""

# Okabe and Ito's colours, which the colour-blind can tell apart, less the yellow that white swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
TEXT, PALE_TEXT, AXIS, GRID = "#222222", "#666666", "#999999", "#E4E4E4"


class Series(NamedTuple):
    """A named line of a point at least; what is not finite in `y` is a gap."""

    name: str
    x: Values
    """Never decreasing, none negative."""
    y: Values


def draw(title: str, panels: Sequence[Sequence[Series]], x_title: str) -> Image.Image:
    """Draw the panels, each of which has a series at least, from top to bottom."""
    # Whatever decides the layout.
    font, title_font = ImageFont.load_default(15), ImageFont.load_default(22)
    lines = [[_line(index, series) for index, series in enumerate(panel)] for panel in panels]
    end = max(float(series.x[-1]) for panel in panels for series in panel) or 1.0
    x_axis = span(0.0, end * 1.01)  # room for the last dot
    y_axes = [_y_axis(panel) for panel in lines]
    left = 24 + round(max(font.getlength(label) for axis, _ in y_axes for label in axis.labels))
    width = WIDTH - left - RIGHT
    legends = [_legend(panel, font, width) for panel in lines]
    height = TOP + sum(len(legend) * ROW + PANEL_HEIGHT + GAP for legend in legends) - GAP + BOTTOM

    # The title, the panels and what is written around them.
    chart = Image.new("RGB", (WIDTH, height), "white")
    pen = ImageDraw.Draw(chart)
    pen.text((left, 18), _ascii(title), TEXT, title_font)
    top = TOP
    for panel, (y_axis, remark), legend in zip(lines, y_axes, legends, strict=True):
        _draw_legend(pen, legend, font, left, top)
        top += len(legend) * ROW
        chart.paste(_panel(panel, x_axis, y_axis, width), (left, top))
        for place, label in y_axis.places(PANEL_HEIGHT):
            pen.text((left - 8, top + PANEL_HEIGHT - place), label, TEXT, font, anchor="rm")
        pen.text((left + width - 6, top + 6), remark, PALE_TEXT, font, anchor="rt")
        top += PANEL_HEIGHT + GAP
    for place, label in x_axis.places(width):
        pen.text((left + place, top - GAP + 8), label, TEXT, font, anchor="mt")
    pen.text((left + width / 2, top - GAP + 34), x_title, TEXT, font, anchor="mt")
    return chart


def _panel(lines: Sequence[Line], x_axis: Axis, y_axis: Axis, width: int) -> Image.Image:
    """Draw grid, ranges and means; what lies outside the axes is cut off."""
    panel = Image.new("RGB", (width * SCALE, PANEL_HEIGHT * SCALE), "white")
    pen = ImageDraw.Draw(panel, "RGBA")  # blends what is transparent
    for place, _ in x_axis.places(width):
        _rule(pen, round(place), 0, 1, PANEL_HEIGHT, GRID)
    for place, _ in y_axis.places(PANEL_HEIGHT):
        _rule(pen, 0, PANEL_HEIGHT - round(place), width, 1, GRID)
    placed = [_placed(line, x_axis, y_axis, *panel.size) for line in lines]
    for line in placed:
        _draw_range(pen, line)
    for line in placed:
        _draw_line(pen, line)
    _rule(pen, 0, 0, 1, PANEL_HEIGHT, AXIS)
    _rule(pen, 0, PANEL_HEIGHT - 1, width, 1, AXIS)
    return panel.reduce(SCALE)


def _rule(pen: ImageDraw.ImageDraw, x: int, y: int, width: int, height: int, colour: str) -> None:
    """Fill a rectangle given in pixels of the finished chart, so that it stays sharp."""
    pen.rectangle([x * SCALE, y * SCALE, (x + width) * SCALE - 1, (y + height) * SCALE - 1], fill=colour)


def _draw_range(pen: ImageDraw.ImageDraw, line: Line) -> None:
    for part in line.unbroken():
        if (part.low != part.high).any():
            outline = [*zip(part.x, part.low, strict=True), *zip(part.x[::-1], part.high[::-1], strict=True)]
            pen.polygon(outline, fill=f"{line.colour}30")


def _draw_line(pen: ImageDraw.ImageDraw, line: Line) -> None:
    for part in line.unbroken():
        for x, y in _dashes(part.x, part.mean) if line.dashed else [(part.x, part.mean)]:
            if len(x) > 1:
                pen.line(list(zip(x, y, strict=True)), fill=line.colour, width=2 * SCALE, joint="curve")
        if len(line.x) < DOTS or len(part.x) == 1:
            for dot in zip(part.x, part.mean, strict=True):
                pen.circle(dot, 3 * SCALE, fill=line.colour)


def _dashes(x: Values, y: Values) -> Iterator[tuple[Values, Values]]:
    """Cut a line into dashes of equal length along it."""
    way = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    for start in np.arange(0.0, way[-1], 12 * SCALE):
        end = min(start + 7 * SCALE, way[-1])
        stops = np.concatenate([[start], way[(way > start) & (way < end)], [end]])
        yield np.interp(stops, way, x), np.interp(stops, way, y)


class Line(NamedTuple):
    """A series with no more points than can be told apart: means, and the range of what each stands for."""

    name: str
    colour: str
    dashed: bool
    x: Values
    mean: Values
    low: Values
    high: Values

    def unbroken(self) -> Iterator[Line]:
        """Yield the parts between gaps."""
        known = np.flatnonzero(np.isfinite(self.mean))
        for part in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
            if len(part):
                yield Line(*self[:3], *(values[part] for values in self[3:]))


def _line(index: int, series: Series) -> Line:
    """Thin a series out to at most `BINS` points, evenly spaced in x; from the eighth on, lines are dashed."""
    # Beyond this range sums would become infinite, and ticks zero.
    y = np.where(np.isfinite(series.y), np.clip(series.y, -1e30, 1e30), math.nan)
    y[np.abs(y) < 1e-30] = 0
    x, mean, low, high = series.x, y, y, y
    if len(x) > BINS and x[-1] > 0:
        starts = np.flatnonzero(np.diff(np.minimum((x / x[-1] * BINS).astype(int), BINS - 1), prepend=-1))
        known = np.isfinite(y)
        counts = np.add.reduceat(known.astype(float), starts)
        counts[counts == 0] = math.nan
        x = np.add.reduceat(x, starts) / np.diff(starts, append=len(x))
        mean = np.add.reduceat(np.where(known, y, 0.0), starts) / counts
        low, high = np.fmin.reduceat(y, starts), np.fmax.reduceat(y, starts)  # they pass over what is nan
    return Line(series.name, COLOURS[index % len(COLOURS)], index >= len(COLOURS), x, mean, low, high)


def _placed(line: Line, x_axis: Axis, y_axis: Axis, width: int, height: int) -> Line:
    """Turn values into pixels of a panel, from its top left."""
    ys = (np.clip(height - y_axis.place(y, height), -1e4, 1e4) for y in (line.mean, line.low, line.high))
    return Line(*line[:3], x_axis.place(line.x, width), *ys)


class Axis(NamedTuple):
    """The values that an axis spans, and where its ticks stand."""

    low: float
    high: float
    ticks: list[float]
    labels: list[str]

    def place(self, values: Values, length: float) -> Values:
        """Return how far along an axis of `length` the values lie."""
        return (values - self.low) / (self.high - self.low) * length

    def places(self, length: float) -> Iterator[tuple[float, str]]:
        """Yield how far along an axis of `length` each label stands."""
        return zip(self.place(np.array(self.ticks), length).tolist(), self.labels, strict=True)


def _y_axis(lines: Sequence[Line]) -> tuple[Axis, str]:
    """Span the lines, and say what is not shown: a few outliers, such as a first step's, must not flatten the rest."""
    ends = np.concatenate([ends for line in lines for ends in (line.low, line.high)])
    values = ends[np.isfinite(ends)]
    if not len(values):
        return span(0.0, 1.0), "no finite values"
    least, greatest = low, high = float(values.min()), float(values.max())
    if low >= 0 and 0.5 < high <= 1:
        low, high = 0.0, 1.0  # probabilities, most often: always on the same scale
    first, last = (float(value) for value in np.percentile(values, (1, 99)))
    if len(values) >= 20 and high - low > 4 * (last - first) > 0:
        low, high = max(low, first - (last - first) / 2), min(high, last + (last - first) / 2)
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        low, high = min(0.0, 2 * low), max(0.0, 2 * high)  # constant: in the middle, with 0 in sight
    elif 0 < low <= high / 2:
        low = 0.0
    margin = 0.04 * (high - low) or 1.0  # a line at the very edge would be half hidden
    axis = span(low - margin, high + margin)
    hidden = [f"down to {number(least)}"] if least < axis.low else []
    hidden += [f"up to {number(greatest)}"] if greatest > axis.high else []
    return axis, f"outliers not shown: {', '.join(hidden)}" if hidden else ""


def span(low: float, high: float) -> Axis:
    """Return the axis from `low` up to `high`, with about five ticks 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / 5
    power = 10.0 ** _exponent(rough)
    step = min((power * factor for factor in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = [index * step for index in range(first, last + 1)]
    return Axis(low, high, ticks, _labels(ticks, step))


def _labels(ticks: Sequence[float], step: float) -> list[str]:
    """Write ticks in one unit, with as many digits as their step needs."""
    largest = max((abs(tick) for tick in ticks), default=0.0)
    if largest >= 1e15 or step < 1e-5:
        return [_scientific(tick, _exponent(tick) - _exponent(step)) if tick else "0" for tick in ticks]
    units = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
    unit, suffix = next((unit for unit in units if largest >= unit[0]), units[-1])
    decimals = max(0, -_exponent(step / unit))
    return [f"{tick / unit:.{decimals}f}{suffix}" if tick else "0" for tick in ticks]


def _scientific(value: float, decimals: int) -> str:
    mantissa, exponent = f"{value:.{max(0, decimals)}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _exponent(value: float) -> int:
    """Return the power of ten below `value`'s size; 9.9999999 counts as 10."""
    return math.floor(math.log10(abs(value)) + 1e-9)


class Entry(NamedTuple):
    """A line's name in the legend."""

    line: Line
    text: str
    left: float


def _legend(lines: Sequence[Line], font: Font, width: int) -> list[list[Entry]]:
    """Lay the names out in rows, each with the last value of its line."""
    rows: list[list[Entry]] = [[]]
    left = 0.0
    for line in lines:
        known = line.mean[np.isfinite(line.mean)]
        name = _ascii(line.name if len(line.name) <= 40 else f"{line.name[:37]}...")
        text = f"{name}  {number(float(known[-1]))}" if len(known) else name
        room = 34 + font.getlength(text) + 28
        if rows[-1] and left + room > width:
            rows.append([])
            left = 0.0
        rows[-1].append(Entry(line, text, left))
        left += room
    return rows


def _draw_legend(pen: ImageDraw.ImageDraw, rows: list[list[Entry]], font: Font, left: int, top: int) -> None:
    for row, entries in enumerate(rows):
        middle = top + row * ROW + ROW // 2 - 2
        for line, text, place in entries:
            start = left + place
            for begin, end in ((0, 7), (10, 17), (20, 26)) if line.dashed else ((0, 26),):
                pen.rectangle([start + begin, middle - 1, start + end, middle + 1], fill=line.colour)
            pen.text((start + 34, middle), text, TEXT, font, anchor="lm")


def _ascii(text: str) -> str:
    """Spell text on one line in the letters that Pillow's own font has."""
    letters = (c for c in unicodedata.normalize("NFKD", " ".join(text.split())) if not unicodedata.combining(c))
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in letters)
