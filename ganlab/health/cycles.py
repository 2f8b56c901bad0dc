"""Whether a training goes round in circles: a regular cycle in a series of its statistics."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ganlab.health.balance import Statistics
from ganlab.health.signs import LONG, Sign

POINTS = 48
"""So many ticks, or means of ticks, are looked at together."""
EVERY = 24
"""At every how many ticks they are: half of what is looked at is then new."""
TWICE = 2
"""A cycle must be seen so many times in succession: among thousands of looks at noise, one sees anything."""
PERIODS = 4
"""A cycle is one from so many periods on."""
REGULAR = 0.6
"""The correlation of a series with itself one period later, at least."""
OPPOSITE = -0.4
"""And half a period later, at most."""
SWING = 0.5
"""How far the middle nine tenths reach, of the typical value, at least: a smaller ripple does no harm."""
RIPPLE = 0.1
"""And of the largest value in the run: about 0, everything is large beside what is typical."""

Floats = np.ndarray[Any, np.dtype[np.float64]]


class Cycle(NamedTuple):
    """A regular cycle in a series."""

    period: int
    """In points."""
    correlation: float
    """Of the series with itself one period later."""


class Oscillation:
    """Looks for a cycle in the generator's loss, and in how far D(x) and D(G(z)) are apart."""

    name = "oscillation"

    def __init__(self) -> None:
        self._ticks = self._seen = 0
        self._histories = {"loss_generator": _History(), "D(x) - D(G(z))": _History()}

    def tick(self, iteration: int, stats: Mapping[str, float]) -> Sign | None:
        """Look at the ticks so far, now and then."""
        found = Statistics(stats)
        if found.generator_loss is not None:
            self._histories["loss_generator"].add(iteration, found.generator_loss)
        if found.real is not None and found.fake is not None:
            self._histories["D(x) - D(G(z))"].add(iteration, found.real - found.fake)
        self._ticks += 1
        if self._ticks < POINTS or self._ticks % EVERY or iteration < LONG:
            return None
        looked_at = [(name, points) for name, history in self._histories.items() for points in history.windows()]
        for name, points in looked_at:
            if (sign := _sign(name, points, self._histories[name].largest)) is not None:
                self._seen += 1
                return sign if self._seen >= TWICE else None
        self._seen = 0
        if not looked_at:
            return None
        since = min(points[0][0] for _, points in looked_at)
        return Sign(False, since, f"there is no cycle in the statistics since iteration {since:,}", {})


def _sign(name: str, points: Sequence[tuple[int, float]], largest: float) -> Sign | None:
    """Return the sign of a cycle that swings far enough to matter."""
    values = np.array([value for _, value in points])
    low, high = np.quantile(values, [0.05, 0.95])
    typical = float(np.median(np.abs(values)))
    found = cycle(even(points))
    if found is None or high - low < max(SWING * typical, RIPPLE * largest):
        return None
    first, last = points[0][0], points[-1][0]
    period = found.period * (last - first) / (len(points) - 1)
    numbers = {"period": period, "correlation": found.correlation, "low": float(low), "high": float(high)}
    words = (
        f"{name} has gone up and down between {low:.2g} and {high:.2g} since iteration {first:,}, every {period:,.0f} "
        f"iterations (correlation {found.correlation:.2f} one period later, at least {REGULAR:g})"
    )
    return Sign(True, first, words, numbers)


def cycle(values: Floats) -> Cycle | None:
    """Return the cycle of a series at equal distances, once its straight trend is taken out; None where it has none."""
    count = len(values)
    places = np.arange(count) - (count - 1) / 2
    rest = values - values.mean()
    rest = rest - places * float(places @ rest) / float(places @ places)
    power = float(rest @ rest) / count
    if power <= 1e-12 * float(np.square(values).mean()):
        return None
    lags = range(1, count // PERIODS + 1)
    correlation = [float(rest[lag:] @ rest[:-lag]) / (count - lag) / power for lag in lags]
    # The first valley is half a period away, the peak behind it a whole one.
    valley = next((at for at, value in enumerate(correlation) if value <= OPPOSITE), None)
    if valley is None:
        return None
    peak = max(range(valley, len(correlation)), key=correlation.__getitem__)
    return Cycle(lags[peak], correlation[peak]) if correlation[peak] >= REGULAR else None


def even(points: Sequence[tuple[int, float]]) -> Floats:
    """Return as many values at equal distances: ticks come at equal times, not at equal iterations."""
    places, values = np.array([place for place, _ in points], np.float64), np.array([value for _, value in points])
    made: Floats = np.interp(np.linspace(places[0], places[-1], len(points)), places, values)
    return made


class _History:
    """The last ticks, and beside them the whole run in at most twice as many means of ticks."""

    def __init__(self) -> None:
        self.largest = 0.0
        """The largest magnitude so far."""
        self._recent: deque[tuple[int, float]] = deque(maxlen=POINTS)
        self._whole: list[tuple[int, float]] = []
        self._step = 1
        self._open: list[tuple[int, float]] = []

    def add(self, iteration: int, value: float) -> None:
        self.largest = max(self.largest, abs(value))
        self._recent.append((iteration, value))
        self._open.append((iteration, value))
        if len(self._open) == self._step:
            self._whole.append(_mean(self._open))
            self._open = []
        if len(self._whole) == 2 * POINTS:
            self._whole = [_mean(self._whole[at : at + 2]) for at in range(0, 2 * POINTS, 2)]
            self._step *= 2

    def windows(self) -> list[list[tuple[int, float]]]:
        """Return the series that are long enough to be looked at."""
        windows = [list(self._recent)]
        if self._step > 1:
            windows.append(self._whole[-POINTS:])
        return [points for points in windows if len(points) == POINTS and points[-1][0] > points[0][0]]


def _mean(points: Sequence[tuple[int, float]]) -> tuple[int, float]:
    return points[-1][0], math.fsum(value for _, value in points) / len(points)
