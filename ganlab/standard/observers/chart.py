"""Line charts drawn with Pillow alone: panels above each other over one x axis."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ganlab.standard.observers.wording import number

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

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


class Line(NamedTuple):
    """A series with no more points than can be told apart: means, and the range of what each stands for."""

    x: Values
    mean: Values
    low: Values
    high: Values


def draw(title: str, panels: Sequence[Sequence[Series]], x_title: str) -> Image.Image:
    """Draw the panels, each of which has a series at least, from top to bottom."""
    from PIL import Image, ImageDraw, ImageFont

    font, title_font = ImageFont.load_default(15), ImageFont.load_default(22)
    lines = [[_line(series) for series in panel] for panel in panels]
    end = max(float(series.x[-1]) for panel in panels for series in panel) or 1.0
    x_axis = span(0.0, end * 1.01)  # room for the last dot
    y_axes = [_y_axis(panel) for panel in lines]
    left = 24 + round(max(font.getlength(label) for axis in y_axes for label in axis.labels))
    width = WIDTH - left - RIGHT
    legends = [_legend(panel, shown, font, width) for panel, shown in zip(panels, lines, strict=True)]
    height = TOP + sum(len(legend) * ROW + PANEL_HEIGHT + GAP for legend in legends) - GAP + BOTTOM

    chart = Image.new("RGB", (WIDTH, height), "white")
    pen = ImageDraw.Draw(chart)
    pen.text((left, 18), _ascii(title), TEXT, title_font)
    top = TOP
    for shown, y_axis, legend in zip(lines, y_axes, legends, strict=True):
        _draw_legend(pen, legend, font, left, top)
        top += len(legend) * ROW
        chart.paste(_panel(shown, x_axis, y_axis, width), (left, top))
        for place, label in y_axis.places(PANEL_HEIGHT):
            pen.text((left - 8, top + PANEL_HEIGHT - place), label, TEXT, font, anchor="rm")
        remark = _remark(shown, y_axis)
        pen.text((left + width - 6, top + 6), remark, PALE_TEXT, font, anchor="rt")
        top += PANEL_HEIGHT + GAP
    for place, label in x_axis.places(width):
        pen.text((left + place, top - GAP + 8), label, TEXT, font, anchor="mt")
    pen.text((left + width / 2, top - GAP + 34), x_title, TEXT, font, anchor="mt")
    return chart


def _line(series: Series) -> Line:
    """Thin a series out to at most `BINS` points, evenly spaced in x."""
    import numpy as np

    x = series.x
    # Beyond this range sums would become infinite, and ticks zero.
    y = np.where(np.isfinite(series.y), np.clip(series.y, -1e30, 1e30), math.nan)
    y[np.abs(y) < 1e-30] = 0
    if len(x) <= BINS or x[-1] <= 0:
        return Line(x, y, y, y)
    index = np.minimum((x / x[-1] * BINS).astype(int), BINS - 1)
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    known = np.isfinite(y)
    counts = np.add.reduceat(known.astype(float), starts)
    counts[counts == 0] = math.nan
    mean = np.add.reduceat(np.where(known, y, 0.0), starts) / counts
    # fmin and fmax pass over what is nan.
    x = np.add.reduceat(x, starts) / np.diff(starts, append=len(x))
    return Line(x, mean, np.fmin.reduceat(y, starts), np.fmax.reduceat(y, starts))


def _extremes(lines: Sequence[Line]) -> Values:
    """Return the ends of all ranges, as far as they are known."""
    import numpy as np

    values: Values = np.concatenate([ends for line in lines for ends in (line.low, line.high)])
    known: Values = values[np.isfinite(values)]
    return known


def _y_axis(lines: Sequence[Line]) -> Axis:
    """Span the lines; a few outliers, such as a first step's, must not flatten all the rest."""
    import numpy as np

    values = _extremes(lines)
    if not len(values):
        return span(0.0, 1.0)
    low, high = float(values.min()), float(values.max())
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
    return span(low - margin, high + margin)


def _remark(lines: Sequence[Line], axis: Axis) -> str:
    """Say what the axis does not show."""
    values = _extremes(lines)
    if not len(values):
        return "no finite values"
    low, high = float(values.min()), float(values.max())
    parts = [f"down to {number(low)}"] if low < axis.low else []
    parts += [f"up to {number(high)}"] if high > axis.high else []
    return f"outliers not shown: {', '.join(parts)}" if parts else ""


def _panel(lines: Sequence[Line], x_axis: Axis, y_axis: Axis, width: int) -> Image.Image:
    """Draw grid, ranges and means; what lies outside the axes is cut off."""
    import numpy as np
    from PIL import Image, ImageDraw

    size = (width * SCALE, PANEL_HEIGHT * SCALE)
    panel = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(panel, "RGBA")  # blends what is transparent
    for place, _ in x_axis.places(width):
        _rule(pen, round(place), 0, 1, PANEL_HEIGHT, GRID)
    for place, _ in y_axis.places(PANEL_HEIGHT):
        _rule(pen, 0, PANEL_HEIGHT - round(place), width, 1, GRID)
    placed = []
    for line in lines:
        x = x_axis.place(line.x, size[0])
        ys = (np.clip(size[1] - y_axis.place(y, size[1]), -1e4, 1e4) for y in (line.mean, line.low, line.high))
        placed.append((x, *ys))
    for index, (x, _, low, high) in enumerate(placed):
        _draw_range(pen, x, low, high, COLOURS[index % len(COLOURS)])
    for index, (x, mean, _, _) in enumerate(placed):
        _draw_line(pen, x, mean, index)
    _rule(pen, 0, 0, 1, PANEL_HEIGHT, AXIS)
    _rule(pen, 0, PANEL_HEIGHT - 1, width, 1, AXIS)
    return panel.reduce(SCALE)


def _rule(pen: ImageDraw.ImageDraw, x: int, y: int, width: int, height: int, colour: str) -> None:
    """Fill a rectangle given in pixels of the finished chart, so that it stays sharp."""
    pen.rectangle([x * SCALE, y * SCALE, (x + width) * SCALE - 1, (y + height) * SCALE - 1], fill=colour)


def _draw_range(pen: ImageDraw.ImageDraw, x: Values, low: Values, high: Values, colour: str) -> None:
    for part in _unbroken(x, low, high):
        if (part[1] != part[2]).any():
            outline = [*zip(part[0], part[1], strict=True), *reversed(list(zip(part[0], part[2], strict=True)))]
            pen.polygon(outline, fill=f"{colour}30")


def _draw_line(pen: ImageDraw.ImageDraw, x: Values, y: Values, index: int) -> None:
    """Draw a line with gaps; from the eighth on, where the colours come again, it is dashed."""
    colour = COLOURS[index % len(COLOURS)]
    for part_x, part_y in _unbroken(x, y):
        pieces = [(part_x, part_y)] if index < len(COLOURS) else _dashes(part_x, part_y)
        for piece_x, piece_y in pieces:
            if len(piece_x) > 1:
                pen.line(list(zip(piece_x, piece_y, strict=True)), fill=colour, width=2 * SCALE, joint="curve")
        if len(x) < DOTS or len(part_x) == 1:
            for dot_x, dot_y in zip(part_x, part_y, strict=True):
                pen.circle((dot_x, dot_y), 3 * SCALE, fill=colour)


def _unbroken(x: Values, *ys: Values) -> Iterator[tuple[Values, ...]]:
    """Yield the parts of lines between gaps."""
    import numpy as np

    known = np.flatnonzero(np.isfinite(ys[0]))
    for part in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        if len(part):
            yield (x[part], *(y[part] for y in ys))


def _dashes(x: Values, y: Values) -> Iterator[tuple[Values, Values]]:
    """Cut a line into dashes of equal length along it."""
    import numpy as np

    way = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    for start in np.arange(0.0, way[-1], 12 * SCALE):
        end = min(start + 7 * SCALE, way[-1])
        inside = way[(way > start) & (way < end)]
        stops = np.concatenate([[start], inside, [end]])
        yield np.interp(stops, way, x), np.interp(stops, way, y)


class Entry(NamedTuple):
    """A line's name in the legend."""

    order: int
    text: str
    left: float


def _legend(panel: Sequence[Series], lines: Sequence[Line], font: Font, width: int) -> list[list[Entry]]:
    """Lay the names out in rows, each with the last value of its line."""
    import numpy as np

    rows: list[list[Entry]] = [[]]
    left = 0.0
    for index, (series, line) in enumerate(zip(panel, lines, strict=True)):
        known = line.mean[np.isfinite(line.mean)]
        name = _ascii(series.name if len(series.name) <= 40 else f"{series.name[:37]}...")
        text = f"{name}  {number(float(known[-1]))}" if len(known) else name
        room = 34 + font.getlength(text) + 28
        if rows[-1] and left + room > width:
            rows.append([])
            left = 0.0
        rows[-1].append(Entry(index, text, left))
        left += room
    return rows


def _draw_legend(pen: ImageDraw.ImageDraw, rows: list[list[Entry]], font: Font, left: int, top: int) -> None:
    for row, entries in enumerate(rows):
        middle = top + row * ROW + ROW // 2 - 2
        for entry in entries:
            start = left + entry.left
            colour = COLOURS[entry.order % len(COLOURS)]
            dashed = entry.order >= len(COLOURS)
            for begin, end in ((0, 7), (10, 17), (20, 26)) if dashed else ((0, 26),):
                pen.rectangle([start + begin, middle - 1, start + end, middle + 1], fill=colour)
            pen.text((start + 34, middle), entry.text, TEXT, font, anchor="lm")


def _ascii(text: str) -> str:
    """Spell text on one line in the letters that Pillow's own font has."""
    letters = (c for c in unicodedata.normalize("NFKD", " ".join(text.split())) if not unicodedata.combining(c))
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in letters)


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
        for tick, label in zip(self.ticks, self.labels, strict=True):
            yield (tick - self.low) / (self.high - self.low) * length, label


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


def _exponent(value: float) -> int:
    """Return the power of ten below `value`'s size; 9.9999999 counts as 10."""
    return math.floor(math.log10(abs(value)) + 1e-9)


def _scientific(value: float, decimals: int) -> str:
    mantissa, exponent = f"{value:.{max(0, decimals)}e}".split("e")
    return f"{mantissa}e{int(exponent)}"
